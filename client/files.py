# SPDX-License-Identifier: Apache-2.0
"""Files that are either the old ones or the new ones, whatever happens while they are written.

What cannot be had again (a key, a sealed object, a receipt, a result) keeps its place: nothing is
written over it, unless its reader says so.
"""

import filecmp
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path

from placet.client.errors import FileRefused


def write_file(path: Path, data: bytes, *, mode: int = 0o644, keep: bool = False) -> None:
    """Write a file: a new one beside it, flushed, renamed over it, and the folder flushed. keep: as
    `replacing` has it."""
    with replacing(path, mode=mode, keep=keep) as file:
        file.write(data)


def check_free(*paths: Path) -> None:
    """Raises `FileRefused` if there is one of these files, before any work for it is done."""
    for path in paths:
        if path.exists():
            raise taken(path)


@contextmanager
def replacing(path: Path, *, mode: int = 0o644, keep: bool = False) -> Generator[BufferedRandom]:
    """A binary file that takes the place of `path` when the block ends, and vanishes if it raises.

    keep: a file that is there stays, and is refused unless it has the same bytes. Raises
    `FileRefused` where the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    except (OSError, ValueError) as error:
        raise _cannot("write", path, error) from None
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep and path.exists() and not filecmp.cmp(beside, path, shallow=False):
            raise taken(path)
        beside.replace(path)
        sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def reading(path: Path) -> BufferedReader:
    """A file, open to be read. Raises `FileRefused`."""
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise _cannot("read", path, error) from None


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes. Raises `FileRefused`."""
    try:
        with reading(path) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise _cannot("read", path, error) from None
    if len(data) > limit:
        raise FileRefused(
            f"{path} has more than {limit} bytes, so it is not the file that was meant. Name "
            "another.",
            claim=str(path),
            expected=f"at most {limit} bytes",
        )
    return data


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def taken(path: Path) -> FileRefused:
    """The refusal to write over a file."""
    return FileRefused(
        f"{path} exists, and is not replaced: what it holds would be lost. Name another file, or "
        "say that it may be replaced (--force).",
        claim=str(path),
    )


def _cannot(what: str, path: Path, error: OSError | ValueError) -> FileRefused:
    """The refusal of a path: ValueError is Python's word for one that no file system can have."""
    why = getattr(error, "strerror", None) or "no file can have this name"
    return FileRefused(
        f"Cannot {what} {path}: {why}. Check the path and its permissions.", claim=str(path)
    )
