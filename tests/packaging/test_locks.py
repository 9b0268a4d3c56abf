# SPDX-License-Identifier: Apache-2.0
"""The locks pin with hashes and name no place; an enclave's holds its list and what that needs."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
ENCLAVE = ROOT / "enclave" / "requirements.txt"
ONNX = ROOT / "enclave" / "requirements-onnx.txt"
DEV = ROOT / "requirements" / "dev.txt"
HOST = ROOT / "requirements" / "host.txt"
LOCKS = [ENCLAVE, ONNX, *sorted((ROOT / "requirements").glob("*.txt"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TRUSTED = {"cryptography", "dcap-qvl", "grpcio", "numpy", "protobuf", "securesystemslib"}
SERVING = ["onnxruntime"]

Run = Callable[..., str]
Environment = Callable[..., Path]

LOADED = """
import sys, onnxruntime
print(*sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
"""

INSTALLED = """
import importlib.metadata, json
print(json.dumps({d.name: d.requires or [] for d in importlib.metadata.distributions()}))
"""


def entries(lock: Path) -> list[str]:
    """The lock's requirements, each with its hashes on one line, without comments."""
    text = re.sub(r"^ *#.*\n", "", lock.read_text(), flags=re.MULTILINE)
    return text.replace("\\\n", "").splitlines()


def pins(lock: Path) -> dict[str, str]:
    requirements = [Requirement(entry.split(" --hash=")[0].strip()) for entry in entries(lock)]
    return {r.name: str(r.specifier) for r in requirements if not r.marker or r.marker.evaluate()}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.relative_to(ROOT).as_posix())
def test_a_lock_pins_with_hashes_and_names_no_place(lock: Path) -> None:
    assert entries(lock)
    for entry in entries(lock):
        assert re.fullmatch(
            r"[a-z0-9-]+==[^ ]+( ; .+?)? +(--hash=sha256:[0-9a-f]{64} *)+", entry
        ), entry


def test_the_enclaves_list_is_the_trusted_one_and_the_clients_holds_it() -> None:
    enclave = PROJECT["optional-dependencies"]["enclave"]
    assert {Requirement(r).name for r in enclave} == TRUSTED
    assert set(enclave) <= set(PROJECT["dependencies"])
    assert [Requirement(r).name for r in PROJECT["optional-dependencies"]["onnx"]] == SERVING


@pytest.mark.parametrize("lock", [ENCLAVE, ONNX, HOST], ids=["enclave", "onnx", "host"])
def test_what_is_tested_is_what_runs(lock: Path) -> None:
    run, dev = pins(lock), pins(DEV)
    assert run == {name: dev.get(name) for name in run}


def test_setuptools_is_locked_because_nothing_is_built_in_isolation() -> None:
    assert "setuptools" in pins(DEV)


def test_an_inference_workers_lock_is_the_enclaves_and_what_serving_needs() -> None:
    """What else onnxruntime's metadata asks for is locked too, and is never imported: the last
    test."""
    plain, onnx = pins(ENCLAVE), pins(ONNX)
    assert {name: onnx.get(name) for name in plain} == plain
    assert onnx.keys() - plain.keys() == {*SERVING, "flatbuffers", "packaging"}


@pytest.mark.parametrize(
    ("lock", "listed"), [(ENCLAVE, TRUSTED), (ONNX, {*TRUSTED, *SERVING})], ids=["enclave", "onnx"]
)
def test_an_enclaves_lock_holds_its_list_and_what_that_needs(
    environment: Environment, run: Run, lock: Path, listed: set[str]
) -> None:
    python = environment("--no-deps", "--require-hashes", "-r", str(lock), inputs=lock.read_bytes())
    installed: dict[str, list[str]] = json.loads(run(python, "-I", "-c", INSTALLED))
    requires = {canonicalize_name(name): needs for name, needs in installed.items()}
    needed: set[str] = set()
    waiting = set(listed)
    while waiting:
        name = waiting.pop()
        needed.add(name)
        for requirement in map(Requirement, requires[canonicalize_name(name)]):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting |= {canonicalize_name(requirement.name)} - needed
    assert needed == set(pins(lock)) == set(requires)


def test_onnxruntime_imports_numpy_and_nothing_else(environment: Environment, run: Run) -> None:
    python = environment("--no-deps", "--require-hashes", "-r", str(ONNX), inputs=ONNX.read_bytes())
    loaded = set(run(python, "-I", "-W", "error", "-c", LOADED).split())
    assert {"onnxruntime", "numpy"} <= loaded
    assert not loaded & set(pins(ONNX)) - {"onnxruntime", "numpy"}


def test_onnxruntime_cannot_report_what_it_loads(environment: Environment) -> None:
    """Later ones do, and a variable of the environment would be all that is between a model's
    digest and their makers."""
    python = environment("--no-deps", "--require-hashes", "-r", str(ONNX), inputs=ONNX.read_bytes())
    libraries = list(python.parents[1].glob("lib/*/site-packages/onnxruntime/capi/*.so*"))
    assert len(libraries) >= 2
    for library in libraries:
        content = library.read_bytes()
        for name in (b"getaddrinfo", b"\0socket\0", b"\0connect\0"):
            assert name not in content, f"{library.name} asks for {name!r}"
