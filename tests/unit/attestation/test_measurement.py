# SPDX-License-Identifier: Apache-2.0
"""The measurement: every line of code that can run, and nothing else, changes it."""

import os
import subprocess
import sys
from pathlib import Path

import cryptography
import pytest

import placet.attestation
from placet.attestation import MeasurementError
from placet.attestation.measurement import COMPONENTS, LOCKS, measure_folders

LOCK_FILE = LOCKS["worker"]
ONNX_LOCK = LOCKS["worker[onnx]"]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A small installation of the trusted components."""
    for name in COMPONENTS:
        folder = tmp_path / "placet" / name / "part"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("")
        (folder / "code.py").write_text(f"NAME = {name!r}\n")
    (tmp_path / "placet/enclave/_kernel.cpython-311.so").write_bytes(b"\x7fELF")
    (tmp_path / LOCK_FILE).write_text("cryptography==50.0.2\n")
    (tmp_path / ONNX_LOCK).write_text("cryptography==50.0.2\n")
    return tmp_path


def measured(root: Path, enclave: str = "worker") -> str:
    return measure_folders(enclave, {name: [root / "placet" / name] for name in COMPONENTS})


def test_enclaves_differ(installed: Path) -> None:
    found = {measured(installed, enclave) for enclave in LOCKS}
    assert {len(one) for one in found} == {64}
    assert len(found) == len(LOCKS) == 3
    for unknown in ("client", "worker[]", "authority[onnx]"):
        with pytest.raises(MeasurementError, match="no enclave"):
            measured(installed, unknown)


def test_an_enclave_is_measured_with_its_own_lock_alone(installed: Path) -> None:
    before = {enclave: measured(installed, enclave) for enclave in LOCKS}
    for lock, unchanged in ((LOCK_FILE, {"worker[onnx]"}), (ONNX_LOCK, {"authority", "worker"})):
        (installed / lock).write_text("cryptography==50.0.3\n")
        after = {enclave: measured(installed, enclave) for enclave in LOCKS}
        assert {enclave for enclave in LOCKS if after[enclave] == before[enclave]} == unchanged
        before = after


@pytest.mark.parametrize(
    "name",
    [
        "placet/sealing/part/code.py",
        "placet/governance/__init__.py",
        "placet/enclave/_kernel.cpython-311.so",
        LOCK_FILE,
    ],
)
def test_one_changed_file(installed: Path, name: str) -> None:
    before = measured(installed)
    content = (installed / name).read_bytes()
    (installed / name).write_bytes(content + b"\n")
    assert measured(installed) != before
    (installed / name).write_bytes(content)
    assert measured(installed) == before


@pytest.mark.parametrize("name", ["new.py", "part/new.py", "new.so", "new.pyc"])
def test_one_new_file(installed: Path, name: str) -> None:
    before = measured(installed)
    (installed / "placet/proto" / name).write_bytes(b"")
    assert measured(installed) != before


def test_one_moved_file(installed: Path) -> None:
    before = measured(installed)
    code = installed / "placet/proto/part/code.py"
    code.rename(code.with_name("other.py"))
    assert measured(installed) != before


@pytest.mark.parametrize(
    "name", ["__pycache__/code.pyc", "part/__pycache__/x.py", "kernel.c", "py.typed", "x.pyi"]
)
def test_what_cannot_run_does_not_count(installed: Path, name: str) -> None:
    before = measured(installed)
    file = installed / "placet/enclave" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"anything")
    assert measured(installed) == before


def test_place_does_not_count(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    links = tmp_path_factory.mktemp("links") / "placet"
    links.mkdir()
    for name in COMPONENTS:
        (links / name).symlink_to(installed / "placet" / name)
    assert measured(links.parent) == measured(installed)


@pytest.mark.parametrize("enclave", LOCKS)
def test_lock_file_is_needed(installed: Path, enclave: str) -> None:
    (installed / LOCKS[enclave]).unlink()
    with pytest.raises(MeasurementError, match=LOCKS[enclave]):
        measured(installed, enclave)


def test_links_and_doubles_are_refused(installed: Path) -> None:
    folder = installed / "placet" / "proto"
    components = {name: [installed / "placet" / name] for name in COMPONENTS}
    with pytest.raises(MeasurementError, match="twice"):
        measure_folders("worker", components | {"proto": [folder, folder]})
    (folder / "loop").symlink_to(folder)
    with pytest.raises(MeasurementError, match="link"):
        measured(installed)


def test_unreadable(installed: Path) -> None:
    (installed / "placet/proto/gone.py").symlink_to(installed / "nowhere")
    with pytest.raises(MeasurementError, match="read"):
        measured(installed)
    components = {name: [installed / "placet" / name] for name in COMPONENTS}
    with pytest.raises(MeasurementError, match="read"):
        measure_folders("worker", components | {"proto": [installed / "nowhere"]})


MEASURE = """
import sys
from placet.attestation import measure
print(measure("worker"))
for name in ("governance", "sealing", "proto", "enclave"):
    assert f"placet.{name}" not in sys.modules
"""


def run(installed: Path) -> str:
    """Return what a fresh interpreter that sees this installation alone measures."""
    path = [str(installed), str(Path(cryptography.__file__).parents[1])]
    environment = {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-c", MEASURE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_measures_what_is_installed(installed: Path) -> None:
    attestation = installed / "placet/attestation"
    for file in attestation.rglob("*.py"):
        file.unlink()
    attestation.joinpath("part").rmdir()
    attestation.rmdir()
    attestation.symlink_to(Path(placet.attestation.__file__).parent)
    first = run(installed)
    assert first == measured(installed)
    (installed / "placet/sealing/part/code.py").write_text("NAME = 'changed'\n")
    assert run(installed) == measured(installed) != first
