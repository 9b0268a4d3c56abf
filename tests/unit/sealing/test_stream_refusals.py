# SPDX-License-Identifier: Apache-2.0
"""What the holder of the sealed bytes may try: everything is refused, and nothing is left
behind."""

import io
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet.refusals import (
    KeyCommitmentMismatch,
    ObjectRootMismatch,
    Refusal,
    SegmentForged,
    StreamHeaderMalformed,
    StreamLength,
)
from placet.sealing import ObjectDescriptor, StreamKey, open_stream, seal_stream, verify_root

_SIZE = 16384
_PLAIN = random.Random(1).randbytes(5 * _SIZE)
_KEY = StreamKey(bytes(range(32)))


def _seal(data: bytes, key: StreamKey = _KEY) -> tuple[bytes, ObjectDescriptor]:
    sealed = io.BytesIO()
    descriptor = seal_stream(io.BytesIO(data), sealed, key, kind="k", labels=(), segment_size=_SIZE)
    return sealed.getvalue(), descriptor


_SEALED, _DESCRIPTOR = _seal(_PLAIN)
_LEAVES = verify_root(io.BytesIO(_SEALED), _DESCRIPTOR)
# Six segments: a first of 16,328 plaintext bytes, four of 16,368, and a last.
_SEGMENTS = [_SEALED[at : at + _SIZE] for at in range(0, len(_SEALED), _SIZE)]


def _read(sealed: bytes, descriptor: ObjectDescriptor, leaves: tuple[bytes, ...] | None) -> bytes:
    return open_stream(io.BytesIO(sealed), _KEY, descriptor, leaf_hashes=leaves).read()


def _flip(data: bytes, at: int, bits: int = 1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= bits
    return bytes(changed)


def test_the_wrong_key_is_refused_before_anything_is_read() -> None:
    with pytest.raises(KeyCommitmentMismatch):
        open_stream(io.BytesIO(), StreamKey(bytes(32)), _DESCRIPTOR, leaf_hashes=None)


def test_a_commitment_to_another_key_does_not_help() -> None:
    thief = StreamKey(bytes(32))
    descriptor = replace(_DESCRIPTOR, commitment=thief.commitment)
    with pytest.raises(SegmentForged):
        open_stream(io.BytesIO(_SEALED), thief, descriptor, leaf_hashes=_LEAVES).read()
    with pytest.raises(KeyCommitmentMismatch):
        open_stream(io.BytesIO(_SEALED), _KEY, descriptor, leaf_hashes=_LEAVES)


def test_another_object_id_is_refused() -> None:
    descriptor = replace(_DESCRIPTOR, id="00" * 16)
    for leaves in (None, _LEAVES):
        with pytest.raises(SegmentForged):
            _read(_SEALED, descriptor, leaves)


_LENGTHS: dict[str, bytes] = {
    "nothing": b"",
    "header only": _SEALED[:40],
    "a byte less": _SEALED[:-1],
    "a segment less": b"".join(_SEGMENTS[:-1]),
    "a byte more": _SEALED + b"\x00",
    "a segment more": _SEALED + _SEGMENTS[3],
    "the whole twice": _SEALED * 2,
}


@pytest.mark.parametrize("case", _LENGTHS)
def test_other_lengths_are_refused_before_anything_is_opened(case: str) -> None:
    source = io.BytesIO(_LENGTHS[case])
    with pytest.raises(StreamLength):
        open_stream(source, _KEY, _DESCRIPTOR, leaf_hashes=_LEAVES)
    with pytest.raises(StreamLength):
        verify_root(source, _DESCRIPTOR)


_FOREIGN, _ = _seal(_PLAIN)
_CONTENTS: dict[str, list[bytes]] = {
    "two segments swapped": [*_SEGMENTS[:2], _SEGMENTS[3], _SEGMENTS[2], *_SEGMENTS[4:]],
    "a segment doubled": [*_SEGMENTS[:2], _SEGMENTS[1], *_SEGMENTS[3:]],
    "the last two merged": [*_SEGMENTS[:4], _SEGMENTS[5], _SEGMENTS[4]],
    "a segment of another object": [
        *_SEGMENTS[:2],
        _FOREIGN[2 * _SIZE : 3 * _SIZE],
        *_SEGMENTS[3:],
    ],
    "zeros": [*_SEGMENTS[:2], bytes(_SIZE), *_SEGMENTS[3:]],
    "salt flipped": [_flip(_SEGMENTS[0], 1), *_SEGMENTS[1:]],
    "nonce prefix flipped": [_flip(_SEGMENTS[0], 33), *_SEGMENTS[1:]],
    "another header": [_FOREIGN[:40] + _SEGMENTS[0][40:], *_SEGMENTS[1:]],
    "first byte flipped": [_flip(_SEGMENTS[0], 40), *_SEGMENTS[1:]],
    "last tag flipped": [*_SEGMENTS[:-1], _flip(_SEGMENTS[-1], -1)],
}


@pytest.mark.parametrize("case", _CONTENTS)
def test_other_contents_are_refused(case: str) -> None:
    sealed = b"".join(_CONTENTS[case])
    assert len(sealed) == len(_SEALED) and sealed != _SEALED
    with pytest.raises(SegmentForged):
        _read(sealed, _DESCRIPTOR, None)
    with pytest.raises(SegmentForged):
        _read(sealed, _DESCRIPTOR, _LEAVES)
    with pytest.raises(ObjectRootMismatch):
        verify_root(io.BytesIO(sealed), _DESCRIPTOR)


def test_a_shorter_object_cannot_be_made_by_dropping_the_end() -> None:
    """Even under a descriptor that agrees: the last segment says that it is the last."""
    sealed = b"".join(_SEGMENTS[:3])
    shorter = replace(_DESCRIPTOR, segments=3, length=len(sealed) - 40 - 3 * 16)
    with pytest.raises(SegmentForged):
        _read(sealed, shorter, None)


@given(at=st.integers(0, len(_SEALED) - 1), bits=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_any_flipped_byte_is_refused(at: int, bits: int) -> None:
    sealed = _flip(_SEALED, at, bits)
    for leaves in (None, _LEAVES):
        with pytest.raises(Refusal):
            _read(sealed, _DESCRIPTOR, leaves)
    with pytest.raises(ObjectRootMismatch):
        verify_root(io.BytesIO(sealed), _DESCRIPTOR)


@pytest.mark.parametrize("first", [0, 24, 39, 41, 255])
def test_another_header_length_is_refused(first: int) -> None:
    with pytest.raises(StreamHeaderMalformed):
        _read(bytes([first]) + _SEALED[1:], _DESCRIPTOR, None)


def test_an_authentic_segment_of_another_sealing_is_refused_by_the_root() -> None:
    """Who knows the key can seal other contents under the same id; the root tells."""
    twin = io.BytesIO()
    other = seal_stream(
        io.BytesIO(_PLAIN[::-1]),
        twin,
        _KEY,
        kind="k",
        labels=(),
        segment_size=_SIZE,
        object_id=_DESCRIPTOR.id,
    )
    assert other.sealed_length == _DESCRIPTOR.sealed_length
    assert _read(twin.getvalue(), _DESCRIPTOR, None) == _PLAIN[::-1]
    with pytest.raises(SegmentForged):
        _read(twin.getvalue(), _DESCRIPTOR, _LEAVES)
    with pytest.raises(ObjectRootMismatch):
        verify_root(twin, _DESCRIPTOR)


def test_bytes_that_change_after_the_root_check_are_refused() -> None:
    source = io.BytesIO(_SEALED)
    leaves = verify_root(source, _DESCRIPTOR)
    reader = open_stream(source, _KEY, _DESCRIPTOR, leaf_hashes=leaves)
    assert reader.read(20_000) == _PLAIN[:20_000]
    source.seek(4 * _SIZE + 100)
    source.write(b"\x00\x01\x02\x03")
    with pytest.raises(SegmentForged, match="segment 4"):
        reader.read()
    source.truncate(3 * _SIZE)
    reader.seek(4 * _SIZE)
    with pytest.raises(StreamLength):
        reader.read()
    with pytest.raises(StreamLength):
        verify_root(source, _DESCRIPTOR)


class Shrinking(io.BytesIO):
    """A file that is shorter when it is read than when it was asked for its length."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        length = super().seek(offset, whence)
        if whence == 2:
            self.truncate(20)
        return length


def test_bytes_that_vanish_between_length_and_reading_are_refused() -> None:
    with pytest.raises(StreamLength):
        open_stream(Shrinking(_SEALED), _KEY, _DESCRIPTOR, leaf_hashes=None)
    with pytest.raises(StreamLength):
        verify_root(Shrinking(_SEALED), _DESCRIPTOR)


_HASHES: dict[str, Callable[[], list[bytes]]] = {
    "none": list,
    "one less": lambda: list(_LEAVES[:-1]),
    "one more": lambda: [*_LEAVES, _LEAVES[-1]],
    "swapped": lambda: [_LEAVES[1], _LEAVES[0], *_LEAVES[2:]],
    "flipped": lambda: [_flip(_LEAVES[0], 0), *_LEAVES[1:]],
    "too short": lambda: [_LEAVES[0][:-1], *_LEAVES[1:]],
    "moved border": lambda: [
        _LEAVES[0] + _LEAVES[1][:1],
        _LEAVES[1][1:],
        *_LEAVES[2:],
    ],
    "no bytes": lambda: [*_LEAVES[:-1], _LEAVES[-1].hex()],  # type: ignore[list-item]
}


@pytest.mark.parametrize("case", _HASHES)
def test_leaf_hashes_that_are_not_those_of_the_root_are_refused(case: str) -> None:
    with pytest.raises(ObjectRootMismatch):
        open_stream(io.BytesIO(_SEALED), _KEY, _DESCRIPTOR, leaf_hashes=_HASHES[case]())


@pytest.mark.parametrize("target", range(6))
@pytest.mark.parametrize("checked", [False, True])
def test_what_was_not_authenticated_is_not_left_in_the_buffer(target: int, checked: bool) -> None:
    # The tag is flipped, so what the cipher leaves behind would be the true plaintext.
    segments = [*_SEGMENTS]
    segments[target] = _flip(segments[target], -1)
    leaves = _LEAVES if checked else None
    source = io.BytesIO(b"".join(segments))
    reader = open_stream(source, _KEY, _DESCRIPTOR, leaf_hashes=leaves)
    buffer = bytearray(b"\xaa" * len(_PLAIN))
    with pytest.raises(SegmentForged, match=f"segment {target} "):
        reader.readinto(buffer)
    capacity = _SIZE - 16
    start = max(0, target * capacity - 40)
    assert buffer[:start] == _PLAIN[:start]
    rest = buffer[start:]
    assert rest.count(0) + rest.count(0xAA) == len(rest)
    assert reader.tell() == 0
    # The others still open, and the position is where it was.
    good = 5 if target != 5 else 4
    reader.seek(good * capacity)
    assert reader.read(50) == _PLAIN[good * capacity : good * capacity + 50]


def test_what_was_not_authenticated_is_not_kept_by_the_reader() -> None:
    source = io.BytesIO(_flip(_SEALED, _SIZE - 1))
    reader = open_stream(source, _KEY, _DESCRIPTOR, leaf_hashes=None)
    for _ in range(2):
        with pytest.raises(SegmentForged):
            reader.read(100)
        plain = reader._plain  # pyright: ignore[reportPrivateUsage] -- what is tested
        assert bytes(plain) == bytes(len(plain))


def test_refusals_say_nothing_of_contents_and_keys() -> None:
    with pytest.raises(SegmentForged) as refusal:
        _read(_flip(_SEALED, -1), _DESCRIPTOR, None)
    text = f"{refusal.value} {refusal.value.details} {refusal.value!r}"
    assert _KEY.to_bytes().hex() not in text
    assert refusal.value.__cause__ is None
    assert refusal.value.details["claim"] == "segment 5"
