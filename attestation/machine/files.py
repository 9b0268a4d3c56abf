# SPDX-License-Identifier: Apache-2.0
"""The files through which hardware is asked, and nothing about what they mean."""

import ctypes
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from placet.refusals import AttesterUnavailable


class Files(Protocol):
    """Device files by their absolute path; every method raises OSError where the kernel does."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        ...

    def read(self, path: str, limit: int) -> bytes:
        """Return the whole content; raise AttesterUnavailable if it has more than `limit` bytes."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write all of `data` at once into a file that exists."""

    def make_folder(self, path: str) -> None:
        """Make a folder; on configfs this makes an object with files in it."""

    def remove_folder(self, path: str) -> None:
        """Remove such an object."""

    def control(self, path: str, request: int, argument: ctypes.Structure) -> None:
        """Issue one ioctl, which may change `argument`."""


class DeviceFiles:
    """The Files of this machine, below a root."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def exists(self, path: str) -> bool:
        return self._at(path).exists()

    def read(self, path: str, limit: int) -> bytes:
        found = bytearray()
        with _opened(self._at(path), os.O_RDONLY) as file:
            # One byte more than allowed tells a file that is too long from one that just fits.
            while part := os.read(file, limit + 1 - len(found)):
                found += part
        if len(found) > limit:
            raise AttesterUnavailable(
                f"{path} holds more than {limit} bytes.", expected=f"at most {limit} bytes"
            )
        return bytes(found)

    def write(self, path: str, data: bytes) -> None:
        with _opened(self._at(path), os.O_WRONLY) as file:
            written = os.write(file, data)
        if written != len(data):
            raise AttesterUnavailable(f"{path} took {written} bytes of {len(data)}.")

    def make_folder(self, path: str) -> None:
        self._at(path).mkdir(mode=0o700)

    def remove_folder(self, path: str) -> None:
        """See Files."""
        self._at(path).rmdir()

    def control(self, path: str, request: int, argument: ctypes.Structure) -> None:
        with _opened(self._at(path), os.O_RDWR) as file:
            fcntl.ioctl(file, request, argument)

    def _at(self, path: str) -> Path:
        return self._root / path.removeprefix("/")


@contextmanager
def answering(what: str, remedy: str) -> Generator[None]:
    """Turn what the kernel refuses into a AttesterUnavailable that says what was asked for."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise AttesterUnavailable(
            f"{what} did not answer ({reason}): {remedy}.", actual=reason, remedy=remedy
        ) from error


@contextmanager
def _opened(path: Path, flags: int) -> Generator[int]:
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)
