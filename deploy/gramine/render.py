# SPDX-License-Identifier: Apache-2.0
"""Renders and checks the manifests of the enclaves; measures them where Gramine is installed, and
signs them with a key.

    python deploy/gramine/render.py --python VENV/bin/python [--onnx-python VENV/bin/python] --out
    FOLDER
        [--program PATH] [--simulated] [--key PEM]

The rendered manifest keeps one expression of Gramine's own, `gramine.runtimedir()`, which its
`gramine-manifest` fills in. `--program` renders the worker of one program (what `placet propose`
takes, a bundle, or the terms of a federation or a service as `placet terms` wrote them), with what
that program imports; without it the program's digest is left zero, for the launcher to fill in
under gramine-direct. `--simulated` is for gramine-direct, which has no attestation of its own.
"""

import argparse
import hashlib
import json
import shutil
import string
import subprocess
import sys
import tempfile
from pathlib import Path

from check import check_manifest
from closure import (
    ENVIRONMENT,
    LIBC,
    OPTIONS,
    TASKS,
    Closure,
    action_of,
    closure,
    modules_of,
)

from placet.client.jobs.bundles import build_bundle

HERE = Path(__file__).resolve().parent
NO_PROGRAM = "0" * 64
# Without a program; what each is launched for. A worker that serves models has another lock, and so
# another interpreter.
NAMES = {"authority": "", "worker": "job", "federation": "federate", "worker-onnx": "serve"}
_SIGSTRUCT_BYTES = 1808
_MODULUS = slice(128, 512)
_ENCLAVE_HASH = slice(960, 992)


def render(role: str, found: Closure, *, program: str = NO_PROGRAM, simulated: bool = False) -> str:
    """Return the checked manifest of a role; `program` is the SHA-256 of bundle or terms in
    hexadecimal."""
    template = string.Template((HERE / f"{role}.manifest.template").read_text())
    text = template.substitute(
        interpreter=found.interpreter,
        argv=", ".join(map(_quoted, _argv(role, found.prefix, simulated))),
        environment="\n".join(f"loader.env.{n} = {_quoted(v)}" for n, v in ENVIRONMENT.items()),
        mounts="\n".join(_mounts(found)),
        trusted="\n".join(_trusted(found)),
        program=program,
    )
    check_manifest(text)
    return text


def _argv(role: str, prefix: Path, simulated: bool) -> list[str]:
    argv = [str(prefix / "bin" / "python"), *OPTIONS, "-m", "placet.enclave", role]
    argv += ["--launch", "/launch/arguments", "--log", "/launch/log"]
    if role == "worker":
        argv += ["--bundle", "/launch/bundle", "--scratch", "/tmp"]
    return [*argv, *(["--simulated"] if simulated else ["--collateral", "/launch/collateral.json"])]


def _mounts(found: Closure) -> list[str]:
    folders = [(str(path), path) for path in (found.prefix, found.stdlib)]
    files = [(str(found.interpreter), found.interpreter)]
    files += [(f"/libraries/{name}", path) for name, path in found.libraries.items()]
    outside = [path for path in found.files if not _inside(path, found)]
    files += [(str(path), path) for path in outside]
    return [
        f"  {{ path = {_quoted(inside)}, uri = {_quoted(f'file:{path}')} }},"
        for inside, path in (*folders, *files)
    ]


def _inside(path: Path, found: Closure) -> bool:
    return path.is_relative_to(found.prefix) or path.is_relative_to(found.stdlib)


def _trusted(found: Closure) -> list[str]:
    gramine = [f"file:{{{{ gramine.runtimedir() }}}}/{name}" for name in sorted(LIBC)]
    return [f"  {_quoted(uri)}," for uri in (*gramine, *(f"file:{path}" for path in found.all))]


def _quoted(text: object) -> str:
    return json.dumps(str(text))  # TOML's basic strings have JSON's escapes


def main() -> int:
    arguments = _parser().parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    wanted = ["worker"] if arguments.program else [n for n in NAMES if _python(NAMES[n], arguments)]
    names = [_write(name, arguments) for name in wanted]
    if shutil.which("gramine-manifest") is None:
        print(
            f"The manifests in {out} are rendered and checked. They are not filled in and not "
            "signed: gramine-manifest is missing. Install Gramine (https://gramine.readthedocs.io) "
            "and run this again."
        )
        return 0
    for name in names:
        _finish(out / name, arguments.key, simulated=arguments.simulated)
    return 0


def _write(name: str, arguments: argparse.Namespace) -> str:
    role = "authority" if name == "authority" else "worker"
    action, program = NAMES[name], NO_PROGRAM
    modules = TASKS.get(action, ())
    if arguments.program:
        bundle = _bundle(arguments.program)
        action, modules = action_of(bundle), modules_of(bundle)
        program = hashlib.sha256(bundle).hexdigest()
        name = f"{role}-{program}"
    python = _python(action, arguments)
    if python is None:
        sys.exit("The worker of a service needs the venv of its own lock: --onnx-python.")
    found = closure(python, role, modules)
    text = render(role, found, program=program, simulated=arguments.simulated)
    (arguments.out / f"{name}.manifest.rendered").write_text(text)
    size = f"{len(found.all)} trusted files, {found.size / 2**20:.1f} MiB"
    print(f"{name}: {size}, AES-GCM by {found.aead}")
    return name


def _python(action: str, arguments: argparse.Namespace) -> Path | None:
    python: Path | None = arguments.onnx_python if action == "serve" else arguments.python
    return python


def _bundle(program: Path) -> bytes:
    """The very bytes that the worker is launched for: a proposal names the digest of a program."""
    ready = program.suffix in (".tar", ".json")
    return program.read_bytes() if ready else build_bundle(program).data


def _finish(path: Path, key: Path | None, *, simulated: bool) -> None:
    """Let Gramine fill in the digests, and measure and sign for SGX; prints the measurement.

    The measurement depends on no key: without one a key is made, and nothing that it signed is
    kept.
    """
    manifest = f"{path}.manifest"
    _run(["gramine-manifest", f"{manifest}.rendered", manifest])
    for old in (f"{path}.sig", f"{manifest}.sgx"):  # of an earlier manifest
        Path(old).unlink(missing_ok=True)
    if simulated or path.name in NAMES.keys() - {"authority"}:  # no program, so no measurement
        return
    if shutil.which("gramine-sgx-sign") is None:
        print("gramine-sgx-sign is missing: neither measured nor signed.")
        return
    with tempfile.TemporaryDirectory() as folder:
        signed = path if key else Path(folder) / path.name
        if key is None:
            key = Path(folder) / "key.pem"
            _run(["gramine-sgx-gen-private-key", str(key)])
        sign = ["gramine-sgx-sign", "--quiet", "--key", str(key), "--manifest", manifest]
        _run([*sign, "--sigfile", f"{signed}.sig", "--output", f"{signed}.manifest.sgx"])
        signature = Path(f"{signed}.sig").read_bytes()
    print(constitution_line(path.name, signature))
    if signed == path:
        print(f"signed by {hashlib.sha256(signature[_MODULUS]).hexdigest()} (MRSIGNER)")


def constitution_line(name: str, signature: bytes) -> str:
    """Return what a constitution has to list for an enclave, from its SIGSTRUCT (Intel SDM,
    38.13)."""
    if len(signature) != _SIGSTRUCT_BYTES:
        sys.exit(f"The signature of {name} is no SIGSTRUCT of {_SIGSTRUCT_BYTES} bytes.")
    role, _, program = name.partition("-")
    made_for = f"=sha256:{program}" if program else ""
    return f'[evidence.{role}] measurements: "{signature[_ENCLAVE_HASH].hex()}{made_for}"'


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Render, check and sign the Gramine manifests.")
    parser.add_argument(
        "--python", type=Path, required=True, help="of the venv that holds the enclave's lock"
    )
    parser.add_argument(
        "--onnx-python",
        type=Path,
        help="of the venv that holds the lock of workers that serve models",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the manifests")
    parser.add_argument(
        "--program", type=Path, help="a program, or terms: render their worker alone"
    )
    parser.add_argument(
        "--simulated", action="store_true", help="for gramine-direct, which cannot attest"
    )
    parser.add_argument("--key", type=Path, help="RSA key of gramine-sgx-gen-private-key")
    return parser


if __name__ == "__main__":
    sys.exit(main())
