# SPDX-License-Identifier: Apache-2.0
"""Reading a log's tiles and bundles, as tools of others do (C2SP tlog-tiles): Placet serves
them."""

from collections.abc import Iterator

from placet.governance.log import HASH_SIZE
from placet.host.log.tiles import MAX_SIZE, TILE_HEIGHT, TILE_WIDTH, TilePath
from placet.refusals import LogTileMalformed


def tile_paths(old_size: int, new_size: int) -> Iterator[TilePath]:
    """Yield what must be written as a log grows: bundles first, then tiles from level 0 up.

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


def decode_tile(data: bytes, path: TilePath) -> tuple[bytes, ...]:
    """Return the hashes of the tile at `path`; raises `LogTileMalformed`."""
    if len(data) != path.width * HASH_SIZE:
        raise _malformed(
            f"A tile of width {path.width} must have {path.width * HASH_SIZE} bytes",
            actual=str(len(data)),
        )
    return tuple(data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE))


def decode_entries(data: bytes, path: TilePath) -> tuple[bytes, ...]:
    """Return the entries of the bundle at `path`; raises `LogTileMalformed`."""
    entries, position = list[bytes](), 0
    for _ in range(path.width):
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        entries.append(data[start:position])
    # A prefix or an entry that was cut short has moved the position beyond the end, for good.
    if position != len(data):
        raise _malformed(f"A bundle of width {path.width} must hold exactly {path.width} entries")
    return tuple(entries)


def _malformed(finding: str, **details: str) -> LogTileMalformed:
    return LogTileMalformed(finding, **details)
