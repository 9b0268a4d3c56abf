# SPDX-License-Identifier: Apache-2.0
"""The wheel holds every component's files, the kernel and the enclave's lock, and nothing else."""

import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)

COMPONENTS = ("attestation", "client", "enclave", "governance", "host", "proto", "sealing")
KERNEL = f"placet/enclave/_kernel{sysconfig.get_config_var('EXT_SUFFIX')}"

Run = Callable[..., str]
BuildWheel = Callable[[Path, Path], Path]


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def test_the_wheel_holds_what_the_components_hold(sources: Path, wheel: Path) -> None:
    expected = {
        f"placet/{file.relative_to(sources).as_posix()}"
        for component in COMPONENTS
        for file in (sources / component).rglob("*")
        if file.is_file() and not file.is_relative_to(sources / "enclave" / "kernel")
    }
    held = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert held == expected | {KERNEL}


def test_the_wheel_holds_what_is_easily_forgotten(wheel: Path) -> None:
    held = contents(wheel)
    assert {f"placet/{component}/py.typed" for component in COMPONENTS} <= held.keys()
    stubs = [name for name in held if name.endswith("_pb2.py")]
    assert stubs
    assert all(f"{name}i" in held for name in stubs)
    assert {"placet/enclave/requirements.txt", "placet/enclave/_kernel.pyi"} <= held.keys()
    assert "placet/proto/__init__.py" not in held
    assert not [name for name in held if name.endswith((".c", ".h"))]


def test_the_wheel_names_its_licence_and_command(wheel: Path) -> None:
    metadata = {
        name.split("/", 1)[1]: data
        for name, data in contents(wheel).items()
        if ".dist-info/" in name
    }
    assert {
        "METADATA",
        "WHEEL",
        "RECORD",
        "entry_points.txt",
        "licenses/LICENSE",
    } <= metadata.keys()
    assert b"License-Expression: Apache-2.0" in metadata["METADATA"]
    assert b"placet = placet.client.cli:main" in metadata["entry_points.txt"]


def test_the_source_distribution_gives_the_same_wheel(
    sources: Path, wheel: Path, run: Run, build_wheel: BuildWheel, tmp_path: Path
) -> None:
    """The kernel included, to the bit: it is measured, so it may not depend on where it is built."""
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    run(sys.executable, "-c", build, cwd=sources)
    [sdist] = tmp_path.glob("*.tar.gz")
    again = contents(build_wheel(sdist, tmp_path))
    first = contents(wheel)
    assert again.keys() == first.keys()
    assert [name for name in first if again[name] != first[name]] == []
