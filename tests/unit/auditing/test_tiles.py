# SPDX-License-Identifier: Apache-2.0
"""Tiles and bundles: their paths, which of them a log has, their bytes, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.auditing.tiles.contents import (
    decode_entries,
    decode_tile,
    encode_entries,
    encode_tile,
)
from placet.auditing.tiles.paths import TilePath, tile_paths
from placet.governance.log import MAX_ENTRY_BYTES, Checkpoint, SignedNote, Tree, leaf_hash
from placet.refusals import LogTileMalformed, Refusal

PATHS = {
    "tile/0/000": TilePath(0, 0),
    "tile/0/000.p/1": TilePath(0, 0, 1),
    "tile/0/999.p/255": TilePath(0, 999, 255),
    "tile/1/x001/000": TilePath(1, 1000),
    "tile/3/x001/234": TilePath(3, 1234),
    "tile/0/x001/x234/067": TilePath(0, 1234067),
    "tile/0/x001/x234/067.p/8": TilePath(0, 1234067, 8),
    "tile/entries/x001/x234/067.p/8": TilePath(None, 1234067, 8),
    "tile/entries/000": TilePath(None, 0),
    "tile/7/000.p/127": TilePath(7, 0, 127),
    "tile/0/x036/x028/x797/x018/x963/967.p/255": TilePath(0, 2**55 - 1, 255),
}

BAD_PATHS = [
    "",
    "tile/0",
    "tile/0/",
    "/tile/0/000",
    "tile/0/000/",
    "tile/0/000\n",
    "tile/00/000",
    "tile/-1/000",
    "tile/64/000",
    "tile/100/000",
    "tile/8/000",  # no log of 2^63-1 entries has a hash there
    "tile/7/000",
    "tile/0/0",
    "tile/0/0000",
    "tile/0/x000",
    "tile/0/x000/001",
    "tile/0/001/001",
    "tile/0/x001/x234",
    "tile/0/x1/001",
    "tile/0/X001/001",
    "tile/0/x001/x234/x067/x001/x001/x001/x001/001",
    "tile/0/x036/x028/x797/x018/x963/968",
    "tile/0/000.p/0",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/0/000.p/1000",
    "tile/0/000.p/",
    "tile/0/000.p",
    "tile/0/000/p/1",
    "tile/0/\u0660\u0660\u0660",
    "tile/entries/x000/001",
    "tile/data/000",
    "tile/0/../000",
    "checkpoint",
]


def make_tree(size: int) -> Tree:
    return Tree(leaf_hash(b"entry %d" % index) for index in range(size))


@pytest.mark.parametrize("text", PATHS)
def test_paths(text: str) -> None:
    assert PATHS[text].to_text() == text
    assert TilePath.from_text(text) == PATHS[text]


@pytest.mark.parametrize("text", BAD_PATHS)
def test_bad_paths(text: str) -> None:
    with pytest.raises(LogTileMalformed):
        TilePath.from_text(text)


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(-1, 0, 1), (64, 0, 1), (10**6, 0, 1), (0, -1, 1), (0, 2**55, 1), (0, 0, 0), (0, 0, 257)],
)
def test_bad_values(level: int, index: int, width: int) -> None:
    with pytest.raises(LogTileMalformed):
        TilePath(level, index, width)


@given(st.none() | st.just(0), st.integers(0, 2**55 - 2), st.integers(1, 256))
def test_paths_round_trip(level: int | None, index: int, width: int) -> None:
    path = TilePath(level, index, width)
    assert TilePath.from_text(path.to_text()) == path


def test_the_tiles_of_the_specifications_example() -> None:
    tiles = [path for path in tile_paths(0, 70_000) if path.level is not None]
    widths = {level: [path.width for path in tiles if path.level == level] for level in range(3)}
    assert widths == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}
    at_256 = [path.to_text() for path in tile_paths(0, 256)]
    assert at_256 == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


def test_growth_writes_what_changed() -> None:
    def written(old: int, new: int) -> list[str]:
        return [path.to_text() for path in tile_paths(old, new)]

    assert written(0, 0) == []
    assert written(300, 300) == []
    assert written(0, 1) == ["tile/entries/000.p/1", "tile/0/000.p/1"]
    assert written(255, 256) == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
    assert written(256, 257) == ["tile/entries/001.p/1", "tile/0/001.p/1"]
    assert written(300, 600)[:2] == ["tile/entries/001", "tile/entries/002.p/88"]
    assert written(300, 600)[4:] == ["tile/1/000.p/2"]
    for sizes in ((2, 1), (-1, 1), (0, 2**63)):
        with pytest.raises(ValueError):
            written(*sizes)


@given(st.lists(st.integers(0, 400), max_size=5))
def test_growth_in_steps_leaves_the_files_of_the_whole(steps: list[int]) -> None:
    held: set[TilePath] = set()
    size = 0
    for step in steps:
        held.update(tile_paths(size, size + step))
        size += step
    assert set(tile_paths(0, size)) <= held


def test_a_tree_is_rebuilt_from_its_tiles() -> None:
    for size in (1, 255, 256, 257, 1000):
        tree = make_tree(size)
        leaves, above = list[bytes](), list[bytes]()
        for path in tile_paths(0, size):
            if path.level is None:
                continue
            data = encode_tile(tree, path)
            hashes = decode_tile(data, path)
            assert b"".join(hashes) == data
            if path.level == 0:
                leaves += hashes
                assert len(hashes) == path.width
            else:
                above += hashes
        assert Tree(leaves).root() == tree.root()
        full = [leaves[i : i + 256] for i in range(0, size - 255, 256)]
        assert above == [Tree(part).root() for part in full]


def test_a_tile_the_tree_does_not_have_is_not_written() -> None:
    tree = make_tree(300)
    for path in (TilePath(0, 1), TilePath(0, 2, 1), TilePath(1, 0, 2), TilePath(None, 0)):
        with pytest.raises(ValueError):
            encode_tile(tree, path)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 63, 65, 96])
def test_a_tile_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(LogTileMalformed):
        decode_tile(b"\0" * length, TilePath(0, 0, 2))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_entries_round_trip(entries: list[bytes]) -> None:
    data, path = encode_entries(entries), TilePath(None, 0, len(entries))
    assert decode_entries(data, path) == tuple(entries)
    for wrong in (data[:-1], data + b"\0", data + b"\0\0", b""):
        with pytest.raises(LogTileMalformed):
            decode_entries(wrong, path)


def test_entry_bounds() -> None:
    longest = b"a" * MAX_ENTRY_BYTES
    data = encode_entries([longest] * 256)
    assert len(data) == 256 * (2 + MAX_ENTRY_BYTES)
    assert decode_entries(data, TilePath(None, 0)) == (longest,) * 256
    for entries in ([], [b""] * 257, [longest + b"a"]):
        with pytest.raises(ValueError):
            encode_entries(entries)


def test_a_known_bundle() -> None:
    assert encode_entries([b"ab", b"", b"c"]) == b"\0\2ab\0\0\0\1c"
    assert leaf_hash(decode_entries(b"\0\0", TilePath(None, 0, 1))[0]) == leaf_hash(b"")


@given(st.binary(max_size=300), st.integers(1, 20))
def test_the_parsers_raise_their_own_errors_only(data: bytes, width: int) -> None:
    path = TilePath(None, 0, width)
    try:
        assert encode_entries(decode_entries(data, path)) == data
    except Refusal:
        pass
    try:
        assert b"".join(decode_tile(data, TilePath(0, 0, width))) == data
    except Refusal:
        pass


@given(st.text(max_size=40) | st.from_regex(r"tile/([0-9]{1,3}|entries)/(x?[0-9]{1,4}/?){1,9}"))
def test_the_path_parser_raises_its_own_errors_only(text: str) -> None:
    try:
        path = TilePath.from_text(text)
    except Refusal:
        return
    assert path.to_text() == text


# A log of 300 entries as Sunlight publishes it; hashes of records that its generator names.
SUNLIGHT = Path(__file__).parents[2] / "vectors" / "published" / "sunlight"


def test_the_tiles_are_those_of_another_log_software() -> None:
    tree = Tree(leaf_hash(b"record %d" % index) for index in range(300))
    note = SignedNote.from_bytes((SUNLIGHT / "checkpoint").read_bytes())
    assert Checkpoint.from_text(note.text) == Checkpoint("rome2026h1.example.org", 300, tree.root())
    tiles = [path for path in tile_paths(0, 300) if path.level is not None]
    theirs = {p.relative_to(SUNLIGHT).as_posix() for p in SUNLIGHT.rglob("*") if p.is_file()}
    assert {path.to_text() for path in tiles} == theirs - {"checkpoint", "LICENSE"}
    for path in tiles:
        assert encode_tile(tree, path) == (SUNLIGHT / path.to_text()).read_bytes()
