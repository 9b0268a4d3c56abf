# SPDX-License-Identifier: Apache-2.0
"""The methods asked of files that are read and written, and loops over their short counts.

Any `io.RawIOBase` or `io.BufferedIOBase` fits, so do files opened in binary mode and `io.BytesIO`.
"""

from typing import Protocol


class ReadableSource(Protocol):
    """Bytes that come one after another; 0 or None means that there are no more."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...


class SeekableSource(ReadableSource, Protocol):
    """Bytes that can be read at any place."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


class WritableSink(Protocol):
    """Takes bytes, and has done with the buffer when it returns the number taken."""

    def write(self, data: memoryview, /) -> int | None: ...


def fill(source: ReadableSource, buffer: memoryview) -> int:
    """Read until `buffer` is full or the source ends; return the number of bytes read."""
    done, size = 0, len(buffer)
    while done < size:
        count = source.readinto(buffer[done:])
        if not count:
            break
        done += count
    return done


def write_all(sink: WritableSink, data: memoryview) -> None:
    """Write the whole of `data`. Raises `OSError` if the sink takes nothing."""
    while data:
        count = sink.write(data)
        if not count:
            raise OSError("the sink took no bytes")
        data = data[count:]


def wipe(buffer: bytearray | memoryview) -> None:
    buffer[:] = bytes(len(buffer))
