# SPDX-License-Identifier: Apache-2.0
"""Which modules of Placet each enclave loads, as loaded.txt lists them: each is attack surface."""

import subprocess
import sys
from pathlib import Path

import pytest

LISTED = Path(__file__).with_name("loaded.txt")
# What each enclave starts with, and what it imports only once it knows what it was launched for.
STARTS = {
    "authority": ("placet.enclave.authority.main",),
    "worker": ("placet.enclave.worker.main", "placet.enclave.worker.federation.round"),
    "worker[onnx]": ("placet.enclave.worker.main", "placet.enclave.worker.inference.task"),
}
_LOAD = """
import importlib, sys
for name in ("placet.attestation", "placet.enclave.__main__", *sys.argv[1:]):
    importlib.import_module(name)
print(*(name for name in sys.modules if name.startswith("placet.")), sep="\\n")
"""


def loaded(enclave: str) -> set[str]:
    command = [sys.executable, "-I", "-c", _LOAD, *STARTS[enclave]]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


def listed(enclave: str) -> set[str]:
    lines = [line.split() for line in LISTED.read_text().splitlines()]
    return {module for module, *enclaves in lines if enclave in enclaves}


def table() -> str:
    """The list as it would be now: python tests/unit/enclave/test_loaded.py > .../loaded.txt"""
    found = {enclave: loaded(enclave) for enclave in STARTS}
    modules = sorted({module for of_one in found.values() for module in of_one})
    width = max(map(len, modules)) + 2
    rows = (f"{m:{width}}" + " ".join(e for e in STARTS if m in found[e]) for m in modules)
    return "\n".join(rows)


@pytest.mark.parametrize("enclave", STARTS)
def test_each_enclave_loads_what_is_listed(enclave: str) -> None:
    found, known = loaded(enclave), listed(enclave)
    new, gone = sorted(found - known), sorted(known - found)
    assert not new, (
        f"The {enclave} loads what no list names, and whoever attacks it can use: {new}. Where it "
        f"has to, enter it in {LISTED.name} ({table.__doc__}); else import less."
    )
    assert not gone, f"The {enclave} loads {gone} no more. Take it out of {LISTED.name}."


if __name__ == "__main__":
    print(table())
