# SPDX-License-Identifier: Apache-2.0
"""Placet imports in the environments it promises: the oldest, the enclave's own, and beside
flwr."""

import importlib
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "enclave" / "requirements.txt"
ONNX_LOCK = ROOT / "enclave" / "requirements-onnx.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

Run = Callable[..., str]
Environment = Callable[..., Path]

TRUSTED = tuple(
    f"placet.{name}" for name in ("attestation", "enclave", "governance", "proto", "sealing")
)
# What may import onnxruntime: it is loaded by a worker that is launched for a service, and by
# nothing else.
INFERENCE = "placet.enclave.worker.inference"

# Under `python -I`, with the unpacked wheel in front: imports every module of the named packages,
# but for those of `without`, and prints what of Placet's was loaded by it.
IMPORT_ALL = """
import importlib, pathlib, sys
root, without, *packages = sys.argv[1:]
sys.path.insert(0, root)
for package in packages:
    for file in sorted(pathlib.Path(root, *package.split(".")).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if parts[-1] != "__main__" and not (without and ".".join(parts).startswith(without)):
            importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
print(*sorted(name for name in sys.modules if name.startswith("placet.")))
"""


def oldest(name: str) -> str:
    """The lower bound of a dependency as a pin."""
    [requirement] = [
        r for r in map(Requirement, PROJECT["dependencies"]) if r.name.lower() == name.lower()
    ]
    [bound] = [s.version for s in requirement.specifier if s.operator == ">="]
    return f"{name}=={bound}"


def import_all(
    run: Run, python: Path, unpacked: Path, *packages: str, without: str = ""
) -> list[str]:
    command = (python, "-I", "-W", "error", "-c", IMPORT_ALL, unpacked, without, *packages)
    return run(*command).split()


STUBS = ("placet.proto", "placet.refusals")


def assert_proto_stands_alone(loaded: list[str]) -> None:
    """The import linter cannot see placet.proto, which has no __init__.py; so this is tested
    here."""
    assert "placet.proto.v1.common_pb2" in loaded
    assert [name for name in loaded if not name.startswith(STUBS)] == []


def test_the_stubs_import_with_the_oldest_protobuf_and_grpcio(
    environment: Environment, run: Run, unpacked: Path
) -> None:
    python = environment(oldest("protobuf"), oldest("grpcio"))
    assert_proto_stands_alone(import_all(run, python, unpacked, "placet.proto"))


def test_the_stubs_import_with_protobuf_7(
    environment: Environment, run: Run, unpacked: Path
) -> None:
    python = environment("protobuf>=7,<8", oldest("grpcio"))
    assert_proto_stands_alone(import_all(run, python, unpacked, "placet.proto"))


@pytest.mark.parametrize(
    ("lock", "without"), [(LOCK, INFERENCE), (ONNX_LOCK, "")], ids=["enclave", "onnx"]
)
def test_the_trusted_side_imports_with_its_lock_alone(
    environment: Environment, run: Run, unpacked: Path, lock: Path, without: str
) -> None:
    python = environment("--no-deps", "--require-hashes", "-r", str(lock), inputs=lock.read_bytes())
    loaded = import_all(run, python, unpacked, *TRUSTED, without=without)
    assert "placet.enclave.worker.main" in loaded
    strangers = ("placet.client", "placet.host", *([without] if without else []))
    assert [m for m in loaded if m.startswith(strangers)] == []


def test_placet_installs_beside_flwr(registry: None, run: Run, wheel: Path) -> None:
    """pip's own resolver has to find versions for both; nothing is downloaded but metadata."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run")
    printed = run(*pip, "--ignore-installed", "flwr==1.41.*", f"{wheel}[host]")
    [resolved] = [line for line in printed.splitlines() if line.startswith("Would install")]
    assert "flwr-1.41." in resolved
    assert "protobuf-6." in resolved


def test_generated_code_runs_under_the_protobuf_that_flwr_installs() -> None:
    """`pip install flwr` after a host brings protobuf 6: code that was generated for 7 would end
    the host at its start."""
    packages = ("placet.proto.v1", "grpc_health.v1", "grpc_reflection.v1alpha")
    files = [
        file
        for package in packages
        for folder in importlib.import_module(package).__path__
        for file in Path(folder).glob("*_pb2.py")
    ]
    assert len(files) > len(packages)
    for file in files:
        made_for = re.search(r"^# Protobuf Python Version: (\d+)\.", file.read_text(), re.MULTILINE)
        assert made_for and int(made_for[1]) <= 6, file
