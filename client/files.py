# SPDX-License-Identifier: Apache-2.0
"""Files that are either the old ones or the new ones, whatever happens while they are written."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path

from placet.client.errors import FileRefused


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file: a new one beside it, flushed, renamed over it, and the folder flushed."""
    with replacing(path, mode=mode) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Generator[BufferedRandom]:
    """A binary file that takes the place of `path` when the block ends, and vanishes if it raises.

    Raises `FileRefused` where the file cannot be written.
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


def _cannot(what: str, path: Path, error: OSError | ValueError) -> FileRefused:
    """The refusal of a path: ValueError is Python's word for one that no file system can have."""
    why = getattr(error, "strerror", None) or "no file can have this name"
    return FileRefused(
        f"Cannot {what} {path}: {why}. Check the path and its permissions.", claim=str(path)
    )
