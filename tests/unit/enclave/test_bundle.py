# SPDX-License-Identifier: Apache-2.0
"""Bundles: their form, and that the program is imported from the bytes that were hashed."""

import hashlib
import io
import sys
import tarfile
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.enclave.errors import ProgramMalformed
from placet.enclave.worker.bundle import MAX_BUNDLE_BYTES, Bundle


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    path, modules = list(sys.meta_path), set(sys.modules)
    yield
    sys.meta_path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def tar(*members: tuple[str, bytes, bytes], mode: Literal["w", "w:gz"] = "w") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as archive:
        for name, kind, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


MAIN = ("main.py", tarfile.REGTYPE, b"def main(job): return job + 1")


def test_a_bundle_is_named_by_its_bytes_and_runs() -> None:
    data = tar(MAIN)
    bundle = Bundle(data)
    assert bundle.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert bundle.load()(1) == 2


def test_modules_packages_and_data_come_from_memory(kit: Any) -> None:
    files = {
        "main.py": "import one, two.three, pkgutil\n"
        "def main(job): return one.X, two.three.X, pkgutil.get_data('two', 'data.bin'), __file__",
        "one.py": "X = 1",
        "two/__init__.py": "",
        "two/three.py": "from . import four\nX = four.X",
        "two/four.py": "# -*- coding: latin-1 -*-\nX = '\xe9'".encode("latin-1"),
        "two/data.bin": b"\x00\x01",
    }
    result = Bundle(kit.bundle_of(files)).load()(None)
    assert result == (1, "\xe9", b"\x00\x01", "/bundle/main.py")


def test_what_the_bundle_does_not_have_is_not_found(kit: Any) -> None:
    main = "def main(job):\n    import pkgutil\n    return pkgutil.get_data(__name__, '../x')"
    with pytest.raises(FileNotFoundError):
        Bundle(kit.bundle_of({"main.py": main})).load()(None)
    with pytest.raises(ModuleNotFoundError):
        Bundle(kit.bundle_of({"main.py": "import nowhere_to_be_found"})).load()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a tar",
        tar(("other.py", tarfile.REGTYPE, b"")),
        tar(MAIN, mode="w:gz"),
        tar(MAIN, MAIN),
        tar(MAIN, ("../up", tarfile.REGTYPE, b"")),
        tar(MAIN, ("/abs", tarfile.REGTYPE, b"")),
        tar(MAIN, ("a//b", tarfile.REGTYPE, b"")),
        tar(MAIN, ("./a", tarfile.REGTYPE, b"")),
        tar(MAIN, ("link", tarfile.SYMTYPE, b"")),
        tar(MAIN, ("link", tarfile.LNKTYPE, b"")),
        tar(MAIN, ("fifo", tarfile.FIFOTYPE, b"")),
        tar(MAIN, ("folder", tarfile.DIRTYPE, b"")),
        tar(MAIN)[:700],
        tar(*((f"f{n}", tarfile.REGTYPE, b"") for n in range(2001))),
        bytes(MAX_BUNDLE_BYTES + 1),
    ],
    ids=range(16),
)
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(ProgramMalformed):
        Bundle(data)


@pytest.mark.parametrize("source", [b"", b"main = 3", b"def Main(job): pass"])
def test_main_has_to_be_a_function(source: bytes) -> None:
    with pytest.raises(ProgramMalformed):
        Bundle(tar(("main.py", tarfile.REGTYPE, source))).load()


@given(st.binary(max_size=2048), st.integers(0, 1500))
def test_no_bytes_raise_anything_else(junk: bytes, at: int) -> None:
    whole = bytearray(tar(MAIN))
    whole[at : at + len(junk)] = junk
    for data in (junk, bytes(whole)):
        try:
            Bundle(data)
        except ProgramMalformed:
            pass
