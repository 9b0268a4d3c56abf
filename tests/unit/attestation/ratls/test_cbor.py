# SPDX-License-Identifier: Apache-2.0
"""The CBOR of RA-TLS: one encoding of everything, bounds, nothing foreign raised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.ratls.cbor import MAX_DEPTH, MAX_ITEMS, Item, Tag, decode, encode
from placet.refusals import EvidenceMalformed

NUMBERS = st.integers(0, 2**64 - 1)
LEAVES = NUMBERS | st.binary(max_size=300) | st.text(max_size=30)


def nested(inner: st.SearchStrategy[Item]) -> st.SearchStrategy[Item]:
    """One level more."""
    arrays = st.lists(inner, max_size=5).map(tuple)
    maps = st.dictionaries(st.text(max_size=9), inner, max_size=5)
    return arrays | maps | st.builds(Tag, NUMBERS, inner)


def items(depth: int) -> st.SearchStrategy[Item]:
    """Everything that is this deep at most."""
    return LEAVES | nested(items(depth - 1)) if depth else LEAVES


ITEMS = items(MAX_DEPTH)


@given(ITEMS)
def test_round_trip(item: Item) -> None:
    assert decode(encode(item), 2**20) == item


@given(st.binary(max_size=60))
def test_what_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        item = decode(data, 60)
    except EvidenceMalformed:
        return
    assert encode(item) == data


@given(ITEMS, st.data())
def test_changed_bytes(item: Item, data: st.DataObject) -> None:
    raw = bytearray(encode(item))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(raw), 2**20)
    except EvidenceMalformed:
        return
    assert encode(found) == raw


@pytest.mark.parametrize(
    ("text", "item"),
    [  # RFC 8949, appendix A
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1a000f4240", 1_000_000),
        ("1bffffffffffffffff", 2**64 - 1),
        ("4401020304", b"\1\2\3\4"),
        ("62c3bc", "\u00fc"),
        ("83010203", (1, 2, 3)),
        ("a26161016162820203", {"a": 1, "b": (2, 3)}),
        ("c11a514b67b0", Tag(1, 1363896240)),
    ],
)
def test_examples_of_the_rfc(text: str, item: Item) -> None:
    assert decode(bytes.fromhex(text), 100) == item
    assert encode(item).hex() == text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "cut off"),
        ("18", "cut off"),
        ("4201", "cut off"),
        ("8201", "cut off"),
        ("5b7fffffffffffffff", "cut off"),
        ("0000", "bytes follow"),
        ("1817", "shortest"),
        ("1900ff", "shortest"),
        ("1a0000ffff", "shortest"),
        ("1b00000000ffffffff", "shortest"),
        ("580101", "shortest"),
        ("5f4101ff", "definite"),
        ("9fff", "definite"),
        ("bfff", "definite"),
        ("1c", "definite"),
        ("a2616101616102", "twice"),
        ("a1410101", "not text"),
        ("a10101", "not text"),
        ("61ff", "UTF-8"),
        ("20", "no place"),
        ("f5", "no place"),
        ("f97c00", "no place"),
        ("8181818181", "deeper"),
        ("c1c1c1c1c101", "deeper"),
        ("9841" + "00" * 65, "more than"),
        ("b841", "more than"),
        ("9bffffffffffffffff", "more than"),
    ],
)
def test_refused(text: str, what: str) -> None:
    with pytest.raises(EvidenceMalformed, match=what):
        decode(bytes.fromhex(text), 100)


def test_bounds() -> None:
    assert len(encode(tuple(range(MAX_ITEMS)))) < 200
    assert decode(encode(bytes(97)), 99) == bytes(97)
    with pytest.raises(EvidenceMalformed, match="at most 99"):
        decode(encode(bytes(98)), 99)
    for number in (-1, 2**64):
        with pytest.raises(ValueError, match="from 0"):
            encode(number)
