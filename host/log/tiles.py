# SPDX-License-Identifier: Apache-2.0
"""The files a log is served as: hash tiles and entry bundles of 256, and their paths.

A tile at level L holds the hashes of consecutive complete subtrees of 256^L leaves.

Source: C2SP tlog-tiles. Placet's paths are relative to the log's prefix.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from placet.governance.log import MAX_ENTRY_BYTES, Tree
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


def encode_tile(tree: Tree, path: TilePath) -> bytes:
    """Return the bytes of a hash tile; `ValueError` if the tree has not grown to it."""
    if path.level is None:
        raise ValueError("entries are not in the tree; use encode_entries")
    return tree.nodes(path.level * TILE_HEIGHT, path.start, path.start + path.width)


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Return the bundle of 1 to 256 entries; `ValueError` if there are more, or one is too long."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise ValueError(f"a bundle has 1 to {TILE_WIDTH} entries, not {len(entries)}")
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def _malformed(finding: str, **details: str) -> LogTileMalformed:
    return LogTileMalformed(
        f"{finding}; fetch it again, and restore the log's files if it stays so.", **details
    )
