# SPDX-License-Identifier: Apache-2.0
"""Writes what each enclave is made of, as a CycloneDX 1.5 document:
{authority,worker,worker-onnx}.cdx.json.

    python deploy/sbom.py --build BUILD --out FOLDER     of a build
    python deploy/sbom.py --out FOLDER                   of what is installed here

Three kinds of components: the packages of its lock, each with the digests that the lock allows; the
measured files of Placet; the library outside of Python that the kernel opens segments with, as it
is installed here. Nothing depends on the time or the folder, so the same installation gives the
same bytes. CPython and the C library are not listed.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from placet.builds.measurement import LOCKS, interpreter, measure, measured_files

Component = dict[str, Any]

_LIBRARIES = {"ipsec-mb": "libIPSec_MB", "openssl": "libcrypto"}
_LOADED = """
from placet.enclave import _kernel
print(_kernel.AEAD, open("/proc/self/maps").read(), sep="\\n")
"""
_FACTS = ("commit", "architecture", "python", "aead", "compiler")
_PIN = re.compile(r"([a-z0-9-]+)==([^\s;]+)(?: ; (.+?))?((?: +--hash=sha256:[0-9a-f]{64})+) *")


def packages(lock: str) -> Iterator[Component]:
    """The lock's packages. Their hashes are of distributions: any one of them may be what is
    installed."""
    joined = re.sub(r"^ *#.*\n", "", lock, flags=re.MULTILINE).replace("\\\n", "")
    for line in joined.splitlines():
        pin = _PIN.fullmatch(line)
        if pin is None:
            raise SystemExit(f"The lock: not a pin with hashes: {line[:80]!r}. Run: make lock")
        name, number, marker, hashes = pin.groups()
        purl = f"pkg:pypi/{name}@{number}"
        found: Component = {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": number,
            "purl": purl,
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": f"https://pypi.org/simple/{name}/",
                    "hashes": [_sha256(one) for one in re.findall(r"sha256:(\w+)", hashes)],
                }
            ],
        }
        if marker:
            found["properties"] = [{"name": "placet:marker", "value": marker}]
        yield found


def native(build: Path | None) -> Component:
    """The library that the loaded kernel is linked with: what the loader chose, not what the linker
    saw."""
    python = (str(interpreter(build, "worker")), "-I") if build else (sys.executable, "-P")
    asked = subprocess.run([*python, "-c", _LOADED], capture_output=True, text=True, check=True)
    aead, _, maps = asked.stdout.partition("\n")
    name = _LIBRARIES[aead]
    mapped = re.findall(rf"(/\S*/{name}\.so\S*)$", maps, re.MULTILINE)
    paths = {Path(path).resolve() for path in mapped}
    if len(paths) != 1:
        raise SystemExit(f"The kernel is linked with {name}; loaded are {sorted(map(str, paths))}.")
    [path] = paths
    return {
        "type": "library",
        "bom-ref": f"native:{name}",
        "name": name,
        "version": path.name.partition(".so.")[
            2
        ],  # the ABI's, with OpenSSL; the release's, with ipsec-mb
        "hashes": [_digest(path)],
    }


def document(enclave: str, build: Path | None, told: Component) -> Component:
    """One enclave's CycloneDX document, with what its build.json says of the build."""
    files = measured_files(enclave, build)
    components = [
        *packages(files[LOCKS[enclave]].read_text()),
        native(build),
        *(
            {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": [_digest(path)]}
            for name, path in sorted(files.items())
        ),
    ]
    root = {
        "type": "application",
        "bom-ref": f"placet-{enclave}",
        "name": f"placet-{enclave}",
        "version": version("placet"),
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "properties": [
            {"name": "placet:measurement", "value": measure(enclave, build)},
            *({"name": f"placet:{name}", "value": told[name]} for name in _FACTS if told),
        ],
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": [one["bom-ref"] for one in components]}
        ],
    }


def _sha256(content: str) -> Component:
    return {"alg": "SHA-256", "content": content}


def _digest(path: Path) -> Component:
    return _sha256(hashlib.sha256(path.read_bytes()).hexdigest())


def main() -> None:
    """Write all documents."""
    parser = argparse.ArgumentParser(description="Write the SBOM of each enclave.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--build", type=Path, help="folder that `make enclave` made")
    arguments = parser.parse_args()
    out: Path = arguments.out
    told: Component = {}
    if arguments.build:
        told = json.loads((arguments.build / "build.json").read_text())
    out.mkdir(parents=True, exist_ok=True)
    for enclave in LOCKS:
        name = enclave.replace("[", "-").removesuffix("]")
        path = out / f"{name}.cdx.json"
        path.write_text(json.dumps(document(enclave, arguments.build, told), indent=2) + "\n")
        print(path)


if __name__ == "__main__":
    main()
