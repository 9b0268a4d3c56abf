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

from placet.enclave.worker.bundle import Bundle
from placet.governance.bundles import MAX_BUNDLE
from placet.refusals import ProgramMalformed
from tests.support.council import bundle_of


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


def test_modules_packages_and_data_come_from_memory() -> None:
    files: dict[str, str | bytes] = {
        "main.py": "import one, two.three, pkgutil\n"
        "def main(job): return one.X, two.three.X, pkgutil.get_data('two', 'data.bin'), __file__",
        "one.py": "X = 1",
        "two/__init__.py": "",
        "two/three.py": "from . import four\nX = four.X",
        "two/four.py": "# -*- coding: utf-8 -*-\r\nX = '\xe9'",
        "two/data.bin": b"\x00\x01",
    }
    result = Bundle(bundle_of(files)).load()(None)
    assert result == (1, "\xe9", b"\x00\x01", "/bundle/main.py")


def test_what_the_bundle_does_not_have_is_not_found() -> None:
    main = "def main(job):\n    import pkgutil\n    return pkgutil.get_data(__name__, '../x')"
    with pytest.raises(FileNotFoundError):
        Bundle(bundle_of({"main.py": main})).load()(None)
    with pytest.raises(ModuleNotFoundError):
        Bundle(bundle_of({"main.py": "import nowhere_to_be_found"})).load()


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
        bytes(MAX_BUNDLE + 1),
    ],
    ids=range(16),
)
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(ProgramMalformed):
        Bundle(data)


def _gnu(*members: tarfile.TarInfo, format: int = tarfile.GNU_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=format) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return sink.getvalue()


def _member(name: str = "main.py", **fields: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


WHOLE = tar(MAIN)
OTHER_FORMS = {
    "gnu": _gnu(_member()),
    "time": _gnu(_member(mtime=1), format=tarfile.USTAR_FORMAT),
    "mode": _gnu(_member(mode=0o755), format=tarfile.USTAR_FORMAT),
    "owner": _gnu(_member(uname="root"), format=tarfile.USTAR_FORMAT),
    "comment": _gnu(_member(pax_headers={"comment": "x"}), format=tarfile.PAX_FORMAT),
    "path in a pax header": _gnu(
        _member("seen.py", pax_headers={"path": "main.py"}), format=tarfile.PAX_FORMAT
    ),
    "order": tar(MAIN, ("a.py", tarfile.REGTYPE, b"")),
    "a second entry, which other readers take": tar(MAIN, ("main.py", tarfile.REGTYPE, b"x")),
    "bytes behind the end": WHOLE + bytes(512),
    "less at the end": WHOLE[: -8 * 512],
    "a byte behind a file": WHOLE[:1000] + b"x" + WHOLE[1001:],
    "a second archive": WHOLE + WHOLE,
    "a negative size": WHOLE[:124] + b"-0000005000" + WHOLE[135:],
    "a size without end": WHOLE[:124] + b"77777777777" + WHOLE[135:],
}


@pytest.mark.parametrize("data", OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_one_set_of_files_has_one_archive(data: bytes) -> None:
    """So nobody can read other files in the bytes that were voted on."""
    assert Bundle(WHOLE).files == {"main.py": MAIN[2]}
    with pytest.raises(ProgramMalformed):
        Bundle(data)


@pytest.mark.parametrize(
    "source",
    [
        "# coding: latin-1\n".encode("latin-1"),
        b"# vim: set fileencoding=utf-7 :\n",
        b"#!/usr/bin/python\n# -*- coding: rot13 -*-\n",
        b"# coding: no-such-encoding\n",
        b"\xef\xbb\xbfX = 1\n",
        b"X = '\xe9'\n",
        b"# what a reviewer takes for a comment\rX = 1\n",
        b"X = 1\x0c\n",
        b"X = 1\x00\n",
        "admin = False  # \u202e eslaF \u2066\n".encode(),
        "na\u200bme = 1\n".encode(),
        "\u3164 = 1\n".encode(),
        "X = 1  #\u2028Y = 2\n".encode(),
        "X = 1 #\x85Y = 2\n".encode(),
    ],
)
def test_a_source_reads_the_same_to_people_and_to_python(source: bytes) -> None:
    with pytest.raises(ProgramMalformed, match="other.py"):
        Bundle(bundle_of({"main.py": MAIN[2], "other.py": source}))
    Bundle(bundle_of({"main.py": MAIN[2], "other.bin": source}))  # data are bytes


@pytest.mark.parametrize(
    "names",
    [
        ["Main.py"],
        ["a.py", "A.py"],
        ["\xe9.py", "e\u0301.py"],
        ["a", "a/b.py"],
        ["a/.hidden.py"],
        ["__pycache__/a.py"],
        ["a.pyc"],
        ["a\\b.py"],
        ["a /b.py "],
        ["\u202eyp.a"],
        ["a/../b.py"],
        ["n" * 60 + "/" + "n" * 60],
    ],
)
def test_names_that_somebody_else_would_read_otherwise(names: list[str]) -> None:
    with pytest.raises(ProgramMalformed):
        Bundle(bundle_of({"main.py": MAIN[2], **dict.fromkeys(names, b"")}))


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


def test_letters_that_look_alike_and_code_in_data_are_taken() -> None:
    """What a reviewer has to look for: the second `а` is of another alphabet, and the data file is
    run."""
    main = (
        "import pkgutil\na, \u0430 = 1, 2\ndef main(job): return a, eval(pkgutil.get_data('p', "
        "'d'))"
    )
    files: dict[str, str | bytes] = {"main.py": main, "p/__init__.py": "", "p/d": b"6 * 7"}
    assert Bundle(bundle_of(files)).load()(None) == (1, 42)
