# SPDX-License-Identifier: Apache-2.0
"""The paths of the files that a log is published as: hash tiles and entry bundles of 256.

A tile at level L holds the hashes of consecutive complete subtrees of 256^L leaves.

Source: C2SP tlog-tiles. Placet's paths are relative to the log's prefix.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from placet.refusals import LogTileMalformed

MAX_SIZE = 2**63 - 1

TILE_WIDTH = 256
"""Hashes of a full tile, entries of a full bundle."""

TILE_HEIGHT = 8
"""Tree levels between a tile level and the next."""

MAX_LEVEL = 63
"""Highest tile level the specification has a path for."""

CHECKPOINT_PATH = "checkpoint"
"""Path of the newest signed checkpoint."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PATH = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[0-9]{1,3}))?"
)


@dataclass(frozen=True, slots=True)
class TilePath:
    """Which tile: `level`, or None for a bundle of entries, `index` in the level, and `width`.

    A width below 256 is a partial tile, a file of its own. Raises `LogTileMalformed` for what no
    log of at most 2^63-1 entries has.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if self.level is not None and not 0 <= self.level <= MAX_LEVEL:
            raise _malformed(f"The level of a tile must be 0 to {MAX_LEVEL}")
        if not 1 <= self.width <= TILE_WIDTH:
            raise _malformed(f"The width of a tile must be 1 to {TILE_WIDTH}")
        end = (self.start + self.width) << TILE_HEIGHT * (self.level or 0)
        if self.index < 0 or end > MAX_SIZE:
            raise _malformed("The index of a tile must be in a log of at most 2^63-1 entries")

    @property
    def start(self) -> int:
        """Index of the first hash among those of its level, or of the first entry of a bundle."""
        return self.index * TILE_WIDTH

    def to_text(self) -> str:
        """Return the path, as in `tile/0/x001/x234/067.p/8`."""
        groups = f"{self.index:,d}".split(",")
        groups[0] = groups[0].zfill(3)
        name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{name}{partial}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse a path in its only spelling; raises `LogTileMalformed`."""
        match = _PATH.fullmatch(text)
        if match is None:
            raise _malformed("A tile path must read tile/<level>/<index> or tile/entries/<index>")
        level = None if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("x", "").replace("/", ""))
        path = cls(level, index, int(match["width"] or TILE_WIDTH))
        if path.to_text() != text:
            raise _malformed("A tile path must not have needless zeroes")
        return path


def tile_paths(old_size: int, new_size: int) -> Iterator[TilePath]:
    """Yield what is to be written as a log grows: bundles first, then tiles from level 0 up.

    Partial tiles are given at their width at `new_size` only. With `old_size` 0 this is the whole
    log. Raises `ValueError` if the sizes are not in order.
    """
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise ValueError(f"a log does not grow from {old_size} to {new_size}")
    levels = (new_size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT
    for level in (None, *range(levels)):
        shift = TILE_HEIGHT * (level or 0)
        old, new = old_size >> shift, new_size >> shift
        if old == new:
            continue
        for index in range(old // TILE_WIDTH, (new + TILE_WIDTH - 1) // TILE_WIDTH):
            yield TilePath(level, index, min(TILE_WIDTH, new - index * TILE_WIDTH))


def document_path(digest: str) -> str:
    """The path of a document that entries name, which is Placet's own addition. Raises
    `LogTileMalformed` for what is no digest: it would be a path to anywhere."""
    if not _DIGEST.fullmatch(digest):
        raise _malformed("A document is named by sha256: and 64 hexadecimal digits")
    return f"documents/{digest.removeprefix('sha256:')}"


def _malformed(finding: str, **details: str) -> LogTileMalformed:
    return LogTileMalformed(
        f"{finding}; fetch it again, and restore the log's files if it stays so.", **details
    )
