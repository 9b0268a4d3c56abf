# SPDX-License-Identifier: Apache-2.0
"""Sealed questions and answers that are longer than a message: cut into pieces, and whole again.

The first piece says how many bytes there are in all; the others follow in their order, under the
same id. What is whole in one message says nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from placet.proto.limits import MAX_SEALED
from placet.refusals import QuestionTooLarge, QueueFull, RequestMalformed

_RETRY_MS = 100


def cut(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The pieces, each with the size that it says."""
    if len(data) <= MAX_SEALED:
        yield data, 0
        return
    view = memoryview(data)
    for start in range(0, len(data), MAX_SEALED):
        yield bytes(view[start : start + MAX_SEALED]), 0 if start else len(data)


@dataclass(slots=True, eq=False)
class _Part:
    """What has come of one, and how much has not; `taken` says whether anybody wants it."""

    size: int
    left: int
    taken: bool
    come: bytearray = field(repr=False)


class Arriving:
    """What comes in pieces, by id: each of at most `largest` bytes, and so many `together`."""

    def __init__(self, largest: int, together: int) -> None:
        self._largest = largest
        self._together = together
        self._parts: dict[int, _Part] = {}
        self._reserved = 0

    def add(self, id: int, data: bytes, size: int) -> bytes | bytearray | None:
        """All of it once its last piece is here; None before.

        Raises `QuestionTooLarge` and `QueueFull` with the first piece of what is not taken, whose
        others are passed over, and `RequestMalformed` where pieces do not fit their size.
        """
        part = self._parts.get(id)
        if part is None:
            if not size:
                return data
            self._begin(id, data, size)
            return None
        part.left -= len(data)
        if part.left < 0 or not data:
            self.drop(id)
            raise _malformed()
        if part.taken:
            part.come += data
        if part.left:
            return None
        self.drop(id)
        return part.come if part.taken else None

    def drop(self, id: int) -> None:
        """Forget one of which nothing more comes."""
        part = self._parts.pop(id, None)
        if part is not None and part.taken:
            self._reserved -= part.size

    def _begin(self, id: int, data: bytes, size: int) -> None:
        """Room is kept for all of it, so that what has begun can be finished."""
        if size <= len(data) or not data:
            raise _malformed()
        refusal = self._refusal(size)
        taken = refusal is None
        self._parts[id] = _Part(
            size, size - len(data), taken, bytearray(data) if taken else bytearray()
        )
        if refusal is not None:
            raise refusal
        self._reserved += size

    def _refusal(self, size: int) -> Exception | None:
        if size > self._largest:
            return QuestionTooLarge(
                "A sealed question is longer than it may be. Ask for fewer rows at a time.",
                claim="length",
                expected=f"at most {self._largest} bytes",
                actual=str(size),
            )
        if self._reserved + size > self._together:
            return QueueFull(
                "Other large questions are on their way. Ask again later.",
                claim="length",
                retry_ms=str(_RETRY_MS),
            )
        return None


def _malformed() -> RequestMalformed:
    return RequestMalformed("The pieces of a question are not as long as it says.", claim="size")
