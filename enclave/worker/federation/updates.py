# SPDX-License-Identifier: Apache-2.0
"""The sealed updates of a round: their shape, their keys, and where their bytes are.

The bytes belong to others, who may change them at any time. A stream that is too short, too long,
or does not begin with a header is its client's fault: a reason, never an exception that ends the
round.
"""

import math
import os
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

from typing_extensions import Buffer

from placet.governance.documents.federation import ELEMENT_BYTES
from placet.refusals import StreamHeaderMalformed
from placet.sealing import (
    HEADER_BYTES,
    SEGMENT_SIZES,
    StreamKey,
    open_header,
    sealed_length,
    segment_count,
)

MAX_WEIGHT = (1 << 31) - 1


class Fault(StrEnum):
    """Why a client's update does not count."""

    LENGTH = "LENGTH"  # the sealed bytes are too few, too many, or cannot be read
    HEADER = "HEADER"  # they do not begin with a header
    SEGMENT_FORGED = "SEGMENT_FORGED"  # a segment does not open under the key at its place
    NONFINITE = "NONFINITE"  # an element is NaN or infinite
    NORM_EXCEEDED = "NORM_EXCEEDED"  # the integers are beyond the clip, whatever norm was declared
    CHANGED = "CHANGED"  # other bytes were shown on a second reading that must be of the same


@dataclass(frozen=True, slots=True)
class Shape:
    """The public terms of the vectors: how many elements, in which encoding, in segments of how
    many sealed bytes."""

    elements: int
    encoding: str
    segment_bytes: int = 65536

    def __post_init__(self) -> None:
        if self.elements < 1:
            raise ValueError(f"an update has at least one element, not {self.elements}")
        if self.encoding not in ELEMENT_BYTES:
            raise ValueError(f"the encoding must be one of {', '.join(ELEMENT_BYTES)}")
        if self.segment_bytes not in SEGMENT_SIZES:
            raise ValueError(
                f"segments have a power of two from {SEGMENT_SIZES[0]} to {SEGMENT_SIZES[-1]} bytes"
            )

    @property
    def plain_bytes(self) -> int:
        return self.elements * ELEMENT_BYTES[self.encoding]

    @property
    def segments(self) -> int:
        return segment_count(self.plain_bytes, self.segment_bytes)

    @property
    def sealed_bytes(self) -> int:
        """The length of a sealed stream, header and tags included."""
        return sealed_length(self.plain_bytes, self.segments)


class Source(Protocol):
    """Where the sealed bytes of one update are. Several threads may ask at once."""

    def length(self) -> int:
        """How many bytes there are. Raises `OSError` where nobody can say."""
        ...

    def window(self, start: int, room: memoryview) -> Buffer:
        """The len(room) bytes from `start` on, written into `room` or lying elsewhere; nobody
        changes them while they are used.

        Raises `EOFError` where there are fewer, or `OSError`.
        """
        ...


class FileSource:
    """A file. It is read, not mapped: a mapped file can change between its check and its use, and
    Gramine copies it whole."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        # Seeking and reading are two calls: preadv would be one, but Gramine does not have it.
        self._lock = threading.Lock()

    def length(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def window(self, start: int, room: memoryview) -> Buffer:
        done = 0
        with self._lock:
            self._file.seek(start)
            while done < len(room):
                count = self._file.readinto(room[done:])
                if not count:
                    raise EOFError("the file ends before the stream does")
                done += count
        return room

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Update:
    """One client's sealed update. `multiplier` comes from `fixed.multiplier`; `weight` counts in a
    weighted mean only."""

    client: str
    organisation: str
    key: StreamKey
    object_id: str
    multiplier: float
    weight: int
    source: Source

    def __post_init__(self) -> None:
        if not (math.isfinite(self.multiplier) and self.multiplier >= 0):
            raise ValueError("a multiplier is finite and not negative")
        if not 1 <= self.weight <= MAX_WEIGHT:
            raise ValueError(f"a weight is a whole number from 1 to {MAX_WEIGHT}")


@dataclass(frozen=True, slots=True)
class Opened:
    """An update whose header was read: the key of its segments and their nonce prefix are known."""

    update: Update
    key: bytes = field(repr=False)
    prefix: bytes


def open_updates(
    updates: tuple[Update, ...], shape: Shape
) -> tuple[list[Opened], dict[str, Fault]]:
    """Check lengths and open headers. Anything wrong with a stream is its client's `Fault`."""
    opened, left = list[Opened](), dict[str, Fault]()
    for update in updates:
        result = _open(update, shape)
        if isinstance(result, Fault):
            left[update.client] = result
        else:
            opened.append(result)
    return opened, left


def _open(update: Update, shape: Shape) -> Opened | Fault:
    try:
        if update.source.length() != shape.sealed_bytes:
            return Fault.LENGTH
        header = bytes(update.source.window(0, memoryview(bytearray(HEADER_BYTES))))
        return Opened(update, *open_header(header, update.key, update.object_id))
    except (EOFError, OSError):
        return Fault.LENGTH
    except StreamHeaderMalformed:
        return Fault.HEADER
