# SPDX-License-Identifier: Apache-2.0
"""A program as bytes: one archive for each set of files, and sources that read the same to people
and to Python.

The archive is an uncompressed ustar of regular files in order of name, with mode 0644, no owners
and no times. Whoever takes one packs its files again and compares (`unpack`), so no other dialect,
no second entry of a name and no byte beside the files can make two readers see different programs.
It is written here, because libraries differ in what they leave to chance.
"""

import io
import tokenize
import unicodedata
from collections.abc import Iterable, Mapping

from placet.governance.codec import malformed
from placet.governance.text import brief, described, hidden, why_no_name
from placet.refusals import DocumentMalformed

ENTRY = "main.py"
MAX_BUNDLE = 64 * 1024 * 1024
MAX_FILES = 2000
_MAX_NAME = 100  # bytes, of a ustar header
_BLOCK = 512
_RECORD = 20 * _BLOCK
_SUM = slice(148, 156)


def pack(files: Mapping[str, bytes]) -> bytes:
    """The one archive of these files. Raises `DocumentMalformed` for files that are no program."""
    _check_names(files)
    for name, content in files.items():
        if name.endswith(".py"):
            _check_source(name, content)
    parts: list[bytes] = []
    for name in sorted(files, key=str.encode):
        content = files[name]
        parts += [_header(name, len(content)), content, bytes(-len(content) % _BLOCK)]
    size = sum(map(len, parts)) + 2 * _BLOCK
    parts.append(bytes(2 * _BLOCK + -size % _RECORD))
    if size > MAX_BUNDLE:
        raise malformed("bundle", f"at most {MAX_BUNDLE} bytes", f"{size} bytes")
    return b"".join(parts)


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of an archive, which is the one of these files. Raises `DocumentMalformed`."""
    if len(data) > MAX_BUNDLE:
        raise malformed("bundle", f"at most {MAX_BUNDLE} bytes", f"{len(data)} bytes")
    files: dict[str, bytes] = {}
    at = 0
    while any(data[at : at + 1]):
        if len(files) > MAX_FILES:
            break
        start = at + _BLOCK
        try:
            name = data[at : at + _MAX_NAME].rstrip(b"\0").decode()
            size = int(data[at + 124 : at + 135], 8)
        except ValueError:
            raise _other() from None
        if size < 0:
            raise _other()
        files[name] = data[start : start + size]
        at = start + size + -size % _BLOCK
    if pack(files) != data:
        raise _other()
    return files


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name belongs to no program: byte code, and what hides."""
    return name == "__pycache__" or name.startswith(".") or name.endswith(".pyc")


def _check_names(files: Mapping[str, bytes]) -> None:
    """Names that every file system keeps apart, and that show what they hold."""
    if ENTRY not in files:
        raise malformed("bundle", f"a program with {ENTRY} at its top", "one without")
    if len(files) > MAX_FILES:
        raise malformed("bundle", f"at most {MAX_FILES} files", "more")
    for name in files:
        _check_name(name)
    alike = {unicodedata.normalize("NFC", name).casefold() for name in files}
    folders = {folder for name in alike for folder in _folders(name)}
    if len(alike) < len(files) or alike & folders:
        raise malformed("bundle", "names that differ by more than their case", "two that do not")


def _check_name(name: str) -> None:
    why = why_no_name(name)
    if not why and len(name.encode()) > _MAX_NAME:
        why = f"too long: more than {_MAX_NAME} bytes"
    if not why and ("\\" in name or any(not part or is_left_out(part) for part in name.split("/"))):
        why = "a hidden file, byte code, or no plain relative path"
    if why:
        raise malformed(f"the name {brief(name, 200)}", "a plain relative path", why)


def _folders(name: str) -> Iterable[str]:
    parts = name.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def _check_source(name: str, content: bytes) -> None:
    """UTF-8 as people see it: no other encoding, no other line ends, nothing hidden."""
    expected = "in UTF-8, without byte order mark, and show all it holds"
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode()
    except (SyntaxError, UnicodeDecodeError):
        raise malformed(name, expected, "in another encoding") from None
    if encoding != "utf-8":
        raise malformed(name, expected, f"in {brief(encoding)}")
    for character in hidden(text.replace("\r\n", "").replace("\n", "").replace("\t", "")):
        raise malformed(name, expected, f"with {described(character)}; write an escape")


def _header(name: str, size: int) -> bytes:
    header = bytearray(_BLOCK)
    for at, field in (
        (0, name.encode()),
        (100, b"0000644"),
        (108, b"0000000"),
        (116, b"0000000"),
        (124, b"%011o" % size),
        (136, b"%011o" % 0),
        (_SUM.start, b" " * 8),
        (156, b"0"),
        (257, b"ustar\x0000"),
    ):
        header[at : at + len(field)] = field
    header[_SUM] = b"%06o\0 " % sum(header)
    return bytes(header)


def _other() -> DocumentMalformed:
    return malformed("bundle", "the archive that placet makes of its files", "another")
