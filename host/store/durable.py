# SPDX-License-Identifier: Apache-2.0
"""Files that are on the disk, and not only in a cache, before anybody is told that they exist."""

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Flush a folder, so that names made or renamed in it stay."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def write_durable(path: Path, data: bytes, *, mode: int) -> None:
    """Replace a small file whole: after a crash it holds either what it held or `data`."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
