# SPDX-License-Identifier: Apache-2.0
"""Room on the disk: what running puts have announced is as good as used, before its first byte has
come. And what a disk that takes nothing more is called."""

import errno
import logging
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager

from placet.refusals import BlobTooLarge, StoreUnavailable

# As obstore writes it: its exceptions have no number.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_FULL = ("full", "Let the operator make room on the host's disk.")
_KINDS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: ("read-only", "Let the operator make the state folder writable."),
    errno.EIO: ("failing", "Let the operator look after the host's disk."),
}
_log = logging.getLogger("placet.host.blobs")


class Room:
    """`free` says what the disk has left, of which `kept` is for others than blobs."""

    def __init__(self, free: Callable[[], int], kept: int) -> None:
        self._free = free
        self._kept = kept
        self._announced = 0

    @property
    def free(self) -> int:
        """Bytes that the disk has left."""
        return self._free()

    @property
    def announced(self) -> int:
        """Bytes that running puts have announced and not written yet."""
        return self._announced

    @property
    def alarmed(self) -> bool:
        """Whether nothing is left for blobs: what is kept for others is touched."""
        return self._free() < self._kept

    @contextmanager
    def announce(self, size: int) -> Generator[Callable[[int], None], None, None]:
        """Reserve so many bytes until the end, or until they are said to be written.

        Raises `BlobTooLarge` where they do not fit beside all that was announced before.
        """
        left = max(self._free() - self._kept - self._announced, 0)
        if size > left:
            raise BlobTooLarge(
                "The blob is larger than this host has room for.",
                claim="length",
                expected=str(left),
                actual=str(size),
            )
        self._announced += size
        rest = size

        def written(count: int) -> None:
            nonlocal rest
            count = min(count, rest)
            rest -= count
            self._announced -= count

        try:
            yield written
        finally:
            self._announced -= rest


def disk_refusal(error: Exception) -> StoreUnavailable | None:
    """What a caller is told of a disk that takes nothing more, named in the log as well; None for
    another fault."""
    told = _OS_ERROR.search(str(error))
    number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
    known = None if number is None else _KINDS.get(number)
    if known is None or number is None:
        return None
    kind, remedy = known
    name = errno.errorcode[number]
    _log.error("trouble kind=%s errno=%s", kind, name)
    text = f"The host's disk is {kind} ({name})."
    return StoreUnavailable(text, claim="disk", actual=name, remedy=remedy)
