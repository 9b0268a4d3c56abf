# SPDX-License-Identifier: Apache-2.0
"""Builds the enclaves, from the locks alone: `make enclave`.

    python deploy/enclave.py --compiler FOLDER --out FOLDER [--aead openssl|ipsec-mb]

    OUT/wheel/       Placet, its kernel made by the locked compiler with the stated AEAD
    OUT/venv/        an environment with what enclave/requirements.txt has, and the wheel alone
    OUT/venv-onnx/   the same with enclave/requirements-onnx.txt
    OUT/build.json   what it was made of, and what each enclave measures

The same commit gives the same measurements on every machine of one architecture with one version of
CPython, whatever else is installed there. From the machine come the interpreter with its headers,
and those of the AEAD's library.
"""

import argparse
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from pathlib import Path

from placet.builds.measurement import ENVIRONMENTS, LOCKS, measure
from placet.client.trust.builds import AEADS, Build
from placet.governance.codec import encode

ROOT = Path(__file__).resolve().parents[1]
# All that a wheel is made of.
PARTS = (
    "attestation", "auditing", "builds", "client", "enclave", "governance", "host", "proto",
    "ratls", "refusals", "sealing",
    "LICENSE", "README.md", "pyproject.toml", "setup.py",
)  # fmt: skip
OUTSIDE = ("auditing", "builds", "client", "host", "ratls")  # of the enclave
# What else decides what is built.
RECIPE = ("deploy/enclave.py", "requirements/compiler.txt")
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
# The oldest C library that the packages of the lock run with.
GLIBC = "2.28"
INCLUDE = Path("/usr/include")
LIBRARIES = (Path("/usr/lib64"), Path("/usr/lib"))


def build(sources: Path, compiler: Path, out: Path, aead: str) -> None:
    """Build the enclaves of a folder of sources anew."""
    shutil.rmtree(out, ignore_errors=True)
    wheel = make_wheel(sources, compiler, out / "wheel", aead)
    locks = {
        name: sources / LOCKS[one].removeprefix("placet/") for one, name in ENVIRONMENTS.items()
    }
    with ThreadPoolExecutor() as pool:
        made_all = [
            pool.submit(make_environment, out / name, lock, wheel) for name, lock in locks.items()
        ]
    for one in made_all:
        one.result()
    made = describe(sources, compiler, out, aead)
    (out / "build.json").write_bytes(encode(made) + b"\n")


def make_wheel(sources: Path, compiler: Path, folder: Path, aead: str) -> Path:
    """Build the wheel from a copy, so that nothing that an earlier build left is packed."""
    with tempfile.TemporaryDirectory(prefix="placet-enclave-") as temporary:
        copy = Path(temporary) / "placet"
        copy.mkdir()
        for name in PARTS:
            if (sources / name).is_dir():
                shutil.copytree(sources / name, copy / name, ignore=NOT_SOURCES)
            else:
                shutil.copyfile(sources / name, copy / name)
        options = ("--no-build-isolation", "--no-deps", "--wheel-dir", str(folder))
        run(*PIP, "wheel", *options, str(copy), environment=compile_with(compiler, aead))
    [wheel] = folder.glob("*.whl")
    return wheel


def compile_with(compiler: Path, aead: str) -> dict[str, str]:
    """The environment of the compiler: all that it is told, and nothing that the caller has set."""
    machine = platform.machine()
    system = [INCLUDE, INCLUDE / f"{machine}-linux-gnu"]
    # The compiler's own headers of the C library come first: a machine's differ.
    headers = [word for folder in system for word in ("-idirafter", str(folder))]
    places = [LIBRARIES[1] / f"{machine}-linux-gnu", *LIBRARIES]
    target = f"{machine}-linux-gnu.{GLIBC}"
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "CC": shlex.join([str(compiler.resolve() / "ziglang" / "zig"), "cc", "-target", target]),
        "CPPFLAGS": shlex.join(headers),
        "LDFLAGS": shlex.join(["-s", *(f"-L{place}" for place in places if place.is_dir())]),
        "ZIG_GLOBAL_CACHE_DIR": str(compiler.resolve() / "cache"),
        "ZIG_LOCAL_CACHE_DIR": str(compiler.resolve() / "cache"),
        "PLACET_AEAD": aead,
    }


def make_environment(folder: Path, lock: Path, wheel: Path) -> None:
    """An environment that holds a lock and the wheel, and no installer."""
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    install = (*PIP, "--python", str(python), "install", "--no-deps", "--no-compile")
    run(*install, "--require-hashes", "--only-binary", ":all:", "-r", str(lock))
    run(*install, str(wheel))
    # What an enclave could import and nobody measures.
    [packages] = (folder / "lib").glob("python3.*/site-packages")
    for name in OUTSIDE:
        shutil.rmtree(packages / "placet" / name)
    # Without the command that made it, which names folders.
    config = folder / "pyvenv.cfg"
    kept = [line for line in config.read_text().splitlines() if not line.startswith("command")]
    config.write_text("\n".join(kept) + "\n")
    # They name their sources by digest: the same everywhere, and used for no other source.
    compiled = ("-m", "compileall", "-q", "-s", str(folder), "--invalidation-mode", "checked-hash")
    run(str(python), "-I", *compiled, "-x", "/tests/", str(folder / "lib"))


def describe(sources: Path, compiler: Path, out: Path, aead: str) -> Build:
    """What a build was made of, and what its enclaves measure."""
    [made_by] = distributions(path=[str(compiler)])
    [wheel] = (out / "wheel").iterdir()
    locks = {one: sources / lock.removeprefix("placet/") for one, lock in LOCKS.items()}
    return Build(
        version=wheel.name.split("-")[1],
        commit=commit_of(sources),
        architecture=platform.machine(),
        python=".".join(platform.python_version_tuple()[:2]),
        aead=aead,
        compiler=f"{made_by.name} {made_by.version}",
        locks={one: hashlib.sha256(lock.read_bytes()).hexdigest() for one, lock in locks.items()},
        measurements={one: measure(one, out) for one in LOCKS},
    )


def commit_of(sources: Path) -> str:
    """The commit of a folder of sources, as `Build` has it."""
    if not (sources / ".git").exists():
        return "none"
    git = ("git", "-C", str(sources))
    changed = run(*git, "status", "--porcelain", "--", *PARTS, *RECIPE)
    return run(*git, "rev-parse", "HEAD").strip() + ("+changes" if changed else "")


def run(*command: str, environment: dict[str, str] | None = None) -> str:
    """What a command printed; ends with what it said if it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{shlex.join(command[:6])} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Build; `placet measure --enclave OUT` says what came of it."""
    parser = argparse.ArgumentParser(description="Build the enclaves from the locks alone.")
    parser.add_argument("--sources", type=Path, default=ROOT, help="folder of the sources")
    parser.add_argument("--compiler", type=Path, required=True, help="folder of the locked one")
    parser.add_argument("--out", type=Path, required=True, help="folder to make, or make anew")
    parser.add_argument("--aead", choices=AEADS, default="openssl", help="what opens segments")
    arguments = parser.parse_args()
    build(arguments.sources, arguments.compiler, arguments.out, arguments.aead)


if __name__ == "__main__":
    main()
