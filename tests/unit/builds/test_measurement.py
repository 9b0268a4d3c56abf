# SPDX-License-Identifier: Apache-2.0
"""The measurement: every line of code that can run, and nothing else, changes it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import cryptography
import pytest

import placet.attestation
import placet.builds
import placet.refusals
from placet.builds.measurement import (
    COMPONENTS,
    ENVIRONMENTS,
    LOCKS,
    interpreter,
    measure,
    measure_folders,
)
from placet.refusals import KernelMissing, MeasurementFailed

LOCK_FILE = LOCKS["worker"]
ONNX_LOCK = LOCKS["worker[onnx]"]
KERNEL = f"placet/enclave/_kernel{EXTENSION_SUFFIXES[0]}"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A small installation of the trusted components."""
    for name in COMPONENTS:
        folder = tmp_path / "placet" / name / "part"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("")
        (folder / "code.py").write_text(f"NAME = {name!r}\n")
    (tmp_path / KERNEL).write_bytes(b"\x7fELF")
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
        with pytest.raises(MeasurementFailed, match="no enclave"):
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
        KERNEL,
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
    with pytest.raises(MeasurementFailed, match=LOCKS[enclave]):
        measured(installed, enclave)


def test_links_and_doubles_are_refused(installed: Path) -> None:
    folder = installed / "placet" / "proto"
    components = {name: [installed / "placet" / name] for name in COMPONENTS}
    with pytest.raises(MeasurementFailed, match="twice"):
        measure_folders("worker", components | {"proto": [folder, folder]})
    (folder / "loop").symlink_to(folder)
    with pytest.raises(MeasurementFailed, match="link"):
        measured(installed)


def test_unreadable(installed: Path) -> None:
    (installed / "placet/proto/gone.py").symlink_to(installed / "nowhere")
    with pytest.raises(MeasurementFailed, match="read"):
        measured(installed)
    components = {name: [installed / "placet" / name] for name in COMPONENTS}
    with pytest.raises(MeasurementFailed, match="read"):
        measure_folders("worker", components | {"proto": [installed / "nowhere"]})


MEASURE = """
import sys
from placet.builds.measurement import measure
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


def install_what_measures(installed: Path) -> None:
    """Put the component that measures, and what it imports, beside the small ones."""
    shutil.rmtree(installed / "placet/attestation")
    shutil.rmtree(installed / "placet/refusals")
    for package in (placet.attestation, placet.builds, placet.refusals):
        folder = Path(*package.__path__)
        (installed / "placet" / folder.name).symlink_to(folder)


def test_measures_what_is_installed(installed: Path) -> None:
    install_what_measures(installed)
    first = run(installed)
    assert first == measured(installed)
    (installed / "placet/sealing/part/code.py").write_text("NAME = 'changed'\n")
    assert run(installed) == measured(installed) != first


def test_a_module_of_another_interpreter_changes_nothing(installed: Path) -> None:
    """A checkout that two interpreters use has a kernel for each."""
    install_what_measures(installed)
    before = run(installed)
    other = installed / "placet/enclave/_kernel.cpython-399-x86_64-linux-gnu.so"
    other.write_bytes(b"\x7fELF other")
    assert run(installed) == before
    (installed / "placet/enclave/_other.so").write_bytes(b"\x7fELF")
    assert run(installed) != before


def without_kernel(folder: Path) -> None:
    (folder / KERNEL).unlink()


def with_another(folder: Path) -> None:
    (folder / "placet/enclave/_kernel.abi3.so").write_bytes(b"\x7fELF")


@pytest.mark.parametrize("enclave", LOCKS)
def test_what_has_no_kernel_has_no_measurement(installed: Path, enclave: str) -> None:
    without_kernel(installed)
    with pytest.raises(KernelMissing, match="nothing to measure") as refusal:
        measured(installed, enclave)
    assert refusal.value.reason == "KERNEL_MISSING"
    assert "make enclave" in refusal.value.details["remedy"]


def test_which_of_two_kernels_would_run_is_not_guessed(installed: Path) -> None:
    with_another(installed)
    with pytest.raises(MeasurementFailed, match="2 kernels"):
        measured(installed)


@pytest.fixture
def build(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the enclaves, made of the small installation."""
    folder = tmp_path_factory.mktemp("build")
    for name in set(ENVIRONMENTS.values()):
        packages = folder / name / "lib" / "python3.99" / "site-packages"
        shutil.copytree(installed / "placet", packages / "placet")
        (folder / name / "bin").mkdir()
        (folder / name / "bin" / "python").symlink_to(sys.executable)
    return folder


@pytest.mark.parametrize("enclave", LOCKS)
def test_a_build_is_measured_by_the_environment_that_runs(
    installed: Path, build: Path, enclave: str
) -> None:
    """Whichever interpreter measures it: the client's may be another."""
    assert measure(enclave, build) == measured(installed, enclave)
    code = interpreter(build, enclave).parents[1] / "lib/python3.99/site-packages/placet"
    (code / "sealing/part/code.py").write_text("NAME = 'changed'\n")
    assert measure(enclave, build) != measured(installed, enclave)


@pytest.mark.parametrize("change", [without_kernel, with_another])
def test_a_build_needs_one_kernel(build: Path, change: Callable[[Path], None]) -> None:
    change(build / "venv/lib/python3.99/site-packages")
    with pytest.raises((KernelMissing, MeasurementFailed)):
        measure("authority", build)


def test_a_folder_that_is_no_build_has_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match="no build") as refusal:
        measure("authority", tmp_path / "none")
    assert "make enclave" in refusal.value.details["remedy"]
    with pytest.raises(MeasurementFailed, match="no build"):
        interpreter(tmp_path / "none", "authority")
