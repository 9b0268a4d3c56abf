# SPDX-License-Identifier: Apache-2.0
"""The bytes of hash tiles and of entry bundles.

Source: C2SP tlog-tiles.
"""

from collections.abc import Sequence

from placet.auditing.tiles.paths import TILE_HEIGHT, TILE_WIDTH, TilePath
from placet.governance.log import HASH_SIZE, MAX_ENTRY_BYTES, Tree
from placet.refusals import LogTileMalformed

MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)
"""Longest bundle of entries."""


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
    return LogTileMalformed(
        f"{finding}; fetch it again, and restore the log's files if it stays so.", **details
    )
