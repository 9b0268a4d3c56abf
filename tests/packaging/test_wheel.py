# SPDX-License-Identifier: Apache-2.0
"""The wheel holds every component's files, the kernel and the enclave's lock, and nothing else."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)

COMPONENTS = (
    "attestation",
    "auditing",
    "builds",
    "client",
    "enclave",
    "governance",
    "host",
    "proto",
    "ratls",
    "refusals",
    "sealing",
)
KERNEL = f"placet/enclave/_kernel{sysconfig.get_config_var('EXT_SUFFIX')}"

Run = Callable[..., str]
BuildWheel = Callable[[Path, Path], Path]


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two wheels: files by name, and at last the archive itself."""
    first, second = contents(one), contents(other)
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return names + ["the archive"] * (one.read_bytes() != other.read_bytes())


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
    locks = {f"placet/enclave/requirements{variant}.txt" for variant in ("", "-onnx")}
    assert {*locks, "placet/enclave/_kernel.pyi"} <= held.keys()
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
    """The kernel included, to the byte: it is measured, so it may not depend on where it is
    built."""
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    run(sys.executable, "-c", build, cwd=sources)
    [sdist] = tmp_path.glob("*.tar.gz")
    assert differences(wheel, build_wheel(sdist, tmp_path)) == []


def test_another_folder_time_and_umask_give_the_same_wheel(
    sources: Path, wheel: Path, build_wheel: BuildWheel, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "a" / "longer" / "path" / "to" / "it"
    # Without what the first build left there, or the kernel would not be compiled again.
    shutil.copytree(sources, elsewhere, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    for path in elsewhere.rglob("*"):
        os.utime(path, (1_500_000_000, 1_500_000_000))
        if path.is_file():
            path.chmod(0o600)
    mask = os.umask(0o077)
    try:
        again = build_wheel(elsewhere, tmp_path)
    finally:
        os.umask(mask)
    assert differences(wheel, again) == []


def test_the_time_of_the_files_can_be_named(
    sources: Path, build_wheel: BuildWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with zipfile.ZipFile(build_wheel(sources, tmp_path)) as archive:
        assert {one.date_time for one in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}


def test_the_kernels_cipher_is_what_was_asked_for_or_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The extension is optional, so a wrong word must not merely leave the kernel out.
    monkeypatch.setenv("PLACET_AEAD", "rot13")
    setup = Path(__file__).parents[2] / "setup.py"
    command = [sys.executable, str(setup), "--name"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=setup.parent)
    assert done.returncode != 0
    assert "PLACET_AEAD must be openssl or ipsec-mb" in done.stderr
