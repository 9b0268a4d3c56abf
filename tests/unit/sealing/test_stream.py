# SPDX-License-Identifier: Apache-2.0
"""Sealed streams as files: what was sealed is read, in any pieces, in any order, in flat memory."""

import io
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet.refusals import (
    DescriptorMalformed,
    KeyCommitmentMismatch,
    ObjectRootMismatch,
    StreamHeaderMalformed,
    StreamLength,
)
from placet.sealing import (
    HEADER_BYTES,
    ObjectDescriptor,
    SeekableSource,
    StreamKey,
    StreamReader,
    open_stream,
    seal_stream,
    verify_plaintext,
    verify_root,
)
from tests.support.describing import describe_stream

SMALL = 16384
_CAPACITY = SMALL - 16
# Lengths around the ends of the first segments, and any other.
_lengths = st.one_of(
    st.tuples(st.integers(0, 4), st.integers(-2, 2)).map(
        lambda near: max(0, near[0] * _CAPACITY - 40 + near[1])
    ),
    st.integers(0, 5 * SMALL),
)


def _plain(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def _seal(data: bytes, segment_size: int = SMALL) -> tuple[io.BytesIO, StreamKey, ObjectDescriptor]:
    key, sealed = StreamKey.generate(), io.BytesIO()
    descriptor = seal_stream(
        io.BytesIO(data), sealed, key, kind="dataset", labels=("health",), segment_size=segment_size
    )
    return sealed, key, descriptor


def _open(data: bytes, segment_size: int = SMALL) -> StreamReader:
    sealed, key, descriptor = _seal(data, segment_size)
    return open_stream(sealed, key, descriptor, leaf_hashes=verify_root(sealed, descriptor))


class Dribble(io.RawIOBase):
    """A file that reads and writes a few bytes at a time, as sockets do."""

    def __init__(self, inner: io.BytesIO) -> None:
        super().__init__()
        self._inner = inner

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        return self._inner.readinto(buffer[:997])

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]
        return self._inner.write(data[:1009])

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._inner.seek(offset, whence)


@given(length=_lengths)
@settings(max_examples=60, deadline=None)
def test_streams_go_round(length: int) -> None:
    data = _plain(length)
    sealed, key, descriptor = _seal(data)
    assert descriptor.length == length
    assert descriptor.sealed_length == len(sealed.getvalue())
    assert descriptor.commitment == key.commitment
    leaves = verify_root(sealed, descriptor)
    assert len(leaves) == descriptor.segments
    for hashes in (None, leaves, list(leaves)):
        with open_stream(sealed, key, descriptor, leaf_hashes=hashes) as reader:
            assert reader.read() == data
            assert reader.read() == reader.read(5) == b""
    assert not sealed.closed


@given(
    length=_lengths,
    pieces=st.lists(st.tuples(st.integers(0, 6 * SMALL), st.integers(0, 4 * SMALL)), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_any_piece_is_read_at_any_place(length: int, pieces: list[tuple[int, int]]) -> None:
    data = _plain(length)
    reader = _open(data)
    for position, size in pieces:
        assert reader.seek(position) == reader.tell() == position
        buffer = bytearray(b"\xaa" * size)
        count = reader.readinto(buffer)
        expected = data[position : position + size]
        assert count == len(expected)
        assert buffer == expected + b"\xaa" * (size - count)
        assert reader.tell() == position + count


@given(length=_lengths, sizes=st.lists(st.integers(1, 3 * SMALL), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_pieces_in_sequence_make_the_whole(length: int, sizes: list[int]) -> None:
    data = _plain(length)
    reader = _open(data)
    pieces = [reader.read(size) for size in sizes]
    assert b"".join([*pieces, reader.read()]) == data


@pytest.mark.parametrize("exponent", range(14, 21))
def test_every_segment_size(exponent: int) -> None:
    size = 1 << exponent
    data = _plain(2 * size + 12345)
    assert _open(data, size).read() == data


def test_the_published_sizes_hold() -> None:
    """A first segment of 65,480 plaintext bytes and further ones of 65,520."""
    for length, segments in ((0, 1), (65480, 1), (65481, 2), (65480 + 65520, 2), (131001, 3)):
        assert _seal(_plain(length), 65536)[2].segments == segments


def test_files_that_read_and_write_a_little_at_a_time() -> None:
    data = _plain(70_000)
    key, sealed = StreamKey.generate(), io.BytesIO()
    descriptor = seal_stream(
        Dribble(io.BytesIO(data)), Dribble(sealed), key, kind="k", labels=(), segment_size=SMALL
    )
    leaves = verify_root(Dribble(sealed), descriptor)
    assert open_stream(Dribble(sealed), key, descriptor, leaf_hashes=leaves).read() == data


def _buffered(path: Path) -> SeekableSource:
    return path.open("rb")


@pytest.mark.parametrize("opened", [_buffered, io.FileIO])
def test_real_files(tmp_path: Path, opened: Callable[[Path], SeekableSource]) -> None:
    data = _plain(1_000_000)
    key, path = StreamKey.generate(), tmp_path / "sealed"
    with path.open("wb") as sink:
        descriptor = seal_stream(io.BytesIO(data), sink, key, kind="k", labels=())
    source = opened(path)
    assert isinstance(source, io.IOBase)
    with source:
        leaves = verify_root(source, descriptor)
        with open_stream(source, key, descriptor, leaf_hashes=leaves) as reader:
            assert io.BufferedReader(reader).read() == data
        assert not source.closed


def test_a_moved_source_makes_no_difference() -> None:
    data = _plain(5 * SMALL)
    sealed, key, descriptor = _seal(data)
    sealed.seek(777)
    reader = open_stream(sealed, key, descriptor, leaf_hashes=None)
    assert reader.read(3 * SMALL) + reader.read() == data


def test_seeking_follows_the_rules_of_files() -> None:
    data = _plain(3 * SMALL)
    reader = _open(data)
    assert reader.readable() and reader.seekable() and not reader.writable()
    assert reader.seek(-10, os.SEEK_END) == len(data) - 10
    assert reader.read() == data[-10:]
    assert reader.seek(-20, os.SEEK_CUR) == len(data) - 20
    assert reader.read(5) == data[-20:-15]
    assert reader.seek(10, os.SEEK_END) == len(data) + 10
    assert reader.read() == b"" and reader.readinto(bytearray(5)) == 0
    assert reader.tell() == len(data) + 10
    with pytest.raises(ValueError, match="negative"):
        reader.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        reader.seek(0, 9)


def test_buffers_of_other_items_are_filled() -> None:
    data = _plain(SMALL * 2)
    reader = _open(data)
    buffer = memoryview(bytearray(16000)).cast("d", (40, 50))
    assert reader.readinto(buffer) == 16000
    assert buffer.tobytes() == data[:16000]
    assert reader.readinto(memoryview(b"").cast("B")) == 0


def test_a_closed_reader_refuses_and_forgets() -> None:
    reader = _open(b"A" * SMALL)
    reader.read(100)
    plain = reader._plain  # pyright: ignore[reportPrivateUsage] -- the buffer is what is tested
    assert plain[:100] == b"A" * 100
    reader.close()
    reader.close()
    assert bytes(plain) == bytes(len(plain))
    for use in (reader.read, reader.tell, lambda: reader.seek(0), lambda: reader.readinto(b"")):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_two_readers_may_share_a_source() -> None:
    data = _plain(5 * SMALL)
    sealed, key, descriptor = _seal(data)
    one = open_stream(sealed, key, descriptor, leaf_hashes=None)
    other = open_stream(sealed, key, descriptor, leaf_hashes=None)
    for _ in range(7):
        assert one.read(10_000) == other.read(10_000)


def test_ids_are_given_or_random_and_no_two_seals_are_alike() -> None:
    data, key = b"data", StreamKey.generate()
    one, other = io.BytesIO(), io.BytesIO()
    identity = "0f" * 16
    first = seal_stream(io.BytesIO(data), one, key, kind="k", labels=(), object_id=identity)
    second = seal_stream(io.BytesIO(data), other, key, kind="k", labels=(), object_id=identity)
    assert first.id == second.id == identity
    assert one.getvalue() != other.getvalue() and first.root != second.root
    ids = {_seal(data)[2].id for _ in range(10)}
    assert len(ids) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "two words"},
        {"labels": ("twice", "twice")},
        {"segment_size": 10_000},
        {"object_id": "0F" * 16},
        {"object_id": "no hex"},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_before_anything_is_written(
    wrong: dict[str, object],
) -> None:
    arguments: dict[str, object] = {"kind": "k", "labels": (), **wrong}
    sink = io.BytesIO()
    with pytest.raises(DescriptorMalformed):
        seal_stream(io.BytesIO(b"data"), sink, StreamKey.generate(), **arguments)  # type: ignore[arg-type]
    assert sink.getvalue() == b""


def test_a_sink_that_takes_nothing_is_an_error() -> None:
    class Full(io.RawIOBase):
        def write(self, _: object, /) -> int:
            return 0

    with pytest.raises(OSError, match="took no bytes"):
        seal_stream(io.BytesIO(b"data"), Full(), StreamKey.generate(), kind="k", labels=())


def test_memory_does_not_grow_with_the_object(tmp_path: Path) -> None:
    def peak(length: int) -> int:
        key, path, left = StreamKey.generate(), tmp_path / str(length), length
        (tmp_path / "plain").write_bytes(_plain(left))
        tracemalloc.start()
        with (tmp_path / "plain").open("rb") as source, path.open("wb") as sink:
            descriptor = seal_stream(source, sink, key, kind="k", labels=(), segment_size=SMALL)
        buffer = bytearray(100_000)
        with (
            path.open("rb") as source,
            open_stream(source, key, descriptor, leaf_hashes=None) as reader,
        ):
            while reader.readinto(buffer):
                pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1 << 17)  # what is loaded on first use
    assert peak(1 << 23) < peak(1 << 19) + (1 << 16)


@given(length=_lengths)
@settings(max_examples=30, deadline=None)
def test_a_description_of_sealed_bytes_is_the_descriptor(length: int) -> None:
    sealed, key, descriptor = _seal(_plain(length))
    described = describe_stream(
        sealed,
        key,
        kind=descriptor.kind,
        labels=descriptor.labels,
        object_id=descriptor.id,
        segment_size=SMALL,
    )
    assert described == descriptor


@pytest.mark.parametrize("length", [0, 39, 40, 55, SMALL + 1, SMALL + 16, 3 * SMALL + 16])
def test_lengths_that_no_stream_has_cannot_be_described(length: int) -> None:
    source, key = io.BytesIO(bytes(length)), StreamKey.generate()
    with pytest.raises(StreamLength):
        describe_stream(source, key, kind="k", labels=(), object_id="00" * 16, segment_size=SMALL)
    with pytest.raises(ValueError, match="power of two"):
        describe_stream(source, key, kind="k", labels=(), object_id="00" * 16, segment_size=100)


@given(length=_lengths)
@settings(max_examples=30, deadline=None)
def test_a_plaintext_is_known_by_its_key_and_header(length: int) -> None:
    data = _plain(length)
    sealed, key, descriptor = _seal(data)
    header = sealed.getvalue()[:HEADER_BYTES]
    assert verify_plaintext(io.BytesIO(data), key, header, descriptor) is descriptor
    flipped = bytes([*data[:-1], data[-1] ^ 1]) if data else b"x"
    for other in (flipped, data + b"\0", data[:-1] if data else b"\0"):
        with pytest.raises(ObjectRootMismatch):
            verify_plaintext(io.BytesIO(other), key, header, descriptor)
    with pytest.raises(ObjectRootMismatch):
        changed = header[:-1] + bytes([header[-1] ^ 1])
        verify_plaintext(io.BytesIO(data), key, changed, descriptor)
    with pytest.raises(KeyCommitmentMismatch):
        verify_plaintext(io.BytesIO(data), StreamKey.generate(), header, descriptor)
    with pytest.raises(StreamHeaderMalformed):
        verify_plaintext(io.BytesIO(data), key, header[:-1], descriptor)
