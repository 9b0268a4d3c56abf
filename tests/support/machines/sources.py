# SPDX-License-Identifier: Apache-2.0
"""Sealed updates as an aggregation reads them, from this process's own memory."""

from typing_extensions import Buffer


class MemorySource:
    """Bytes in this process's own memory, which nothing writes to any more."""

    def __init__(self, sealed: Buffer) -> None:
        self._sealed = memoryview(sealed).cast("B")

    def length(self) -> int:
        return len(self._sealed)

    def window(self, start: int, room: memoryview) -> Buffer:
        if start + len(room) > len(self._sealed):
            raise EOFError("the bytes end before the stream does")
        return self._sealed[start : start + len(room)]
