# SPDX-License-Identifier: Apache-2.0
"""A folder has one bundle, whatever its times, owners and order."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from placet.client import FileRefused, build_bundle
from placet.client.jobs.bundles import blob_of
from placet.enclave.worker.bundle import Bundle as EnclaveBundle

FILES = {"main.py": b"def main(job):\n    pass\n", "lib/a.py": b"A = 1\n", "lib-b.txt": b""}


def write(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(FILES[name])
    return folder


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = write(tmp_path / "first", list(FILES))
    second = write(tmp_path / "second", list(reversed(FILES)))
    for path in second.rglob("*"):
        os.utime(path, (1, 1))
    (second / "main.py").chmod(0o700)
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"x")
    (second / ".hidden").write_bytes(b"x")
    (second / "old.pyc").write_bytes(b"x")
    one, two = build_bundle(first), build_bundle(second)
    assert one == two
    assert one.blob == one.digest.removeprefix("sha256:")[:32] == blob_of(one.digest)


def test_its_form(tmp_path: Path) -> None:
    bundle = build_bundle(write(tmp_path, list(FILES)))
    with tarfile.open(fileobj=io.BytesIO(bundle.data), mode="r:") as archive:
        members = archive.getmembers()
    assert [m.name for m in members] == ["lib-b.txt", "lib/a.py", "main.py"]
    for member in members:
        assert (member.mode, member.uid, member.gid, member.mtime) == (0o644, 0, 0, 0)
        assert (member.uname, member.gname, member.isreg()) == ("", "", True)
    assert bundle.data[257:265] == b"ustar\x0000"


def test_a_worker_takes_it(tmp_path: Path) -> None:
    bundle = build_bundle(write(tmp_path, list(FILES)))
    taken = EnclaveBundle(bundle.data)
    assert (taken.digest, taken.files) == (bundle.digest, FILES)


def test_one_file_becomes_main(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_bytes(FILES["main.py"])
    folder = write(tmp_path / "folder", ["main.py"])
    assert build_bundle(path) == build_bundle(folder)


def test_any_change_shows(tmp_path: Path) -> None:
    folder = write(tmp_path, list(FILES))
    before = build_bundle(folder).digest
    (folder / "lib" / "a.py").write_bytes(b"A = 2\n")
    assert build_bundle(folder).digest != before


def test_what_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"main\.py"):
        build_bundle(write(tmp_path / "a", ["lib-b.txt"]))
    with pytest.raises(FileRefused):
        build_bundle(tmp_path / "none")
    linked = write(tmp_path / "b", ["main.py"])
    (linked / "data").symlink_to("/etc")
    with pytest.raises(FileRefused, match="regular"):
        build_bundle(linked)
    long = write(tmp_path / "c", ["main.py"])
    (long / ("n" * 120)).write_bytes(b"")
    with pytest.raises(FileRefused, match="too long"):
        build_bundle(long)


def test_what_was_unpacked_has_the_same_bytes(tmp_path: Path) -> None:
    """A reviewer of the unpacked files has read all that an enclave would run."""
    bundle = build_bundle(write(tmp_path / "a", list(FILES)))
    bundle.write(tmp_path / "b")
    assert build_bundle(tmp_path / "b") == bundle
    with pytest.raises(FileRefused, match="Name a new one"):
        bundle.write(tmp_path / "b")


def test_what_an_enclave_would_refuse_is_refused_at_home(tmp_path: Path) -> None:
    folder = write(tmp_path, ["main.py"])
    (folder / "lib.py").write_bytes(b"# coding: latin-1\n")
    with pytest.raises(FileRefused, match=r"lib\.py.*UTF-8"):
        build_bundle(folder)
