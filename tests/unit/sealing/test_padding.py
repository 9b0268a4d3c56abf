# SPDX-License-Identifier: Apache-2.0
"""Padded outputs: round trip, constant size, and refusal of anything that is not length, content,
zeros."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.refusals import StreamHeaderMalformed
from placet.sealing import pad, padded_length, unpad_into


def padded(content: bytes, max_bytes: int) -> bytes:
    source = pad(io.BytesIO(content), len(content), max_bytes)
    buffer = bytearray(padded_length(max_bytes) + 10)
    view, done = memoryview(buffer), 0
    while size := source.readinto(view[done : done + 7]):
        done += size
    return bytes(buffer[:done])


@given(st.binary(max_size=300), st.integers(0, 300))
def test_content_comes_back_and_only_the_declared_size_shows(content: bytes, room: int) -> None:
    data = padded(content, len(content) + room)
    assert len(data) == padded_length(len(content) + room)
    sink = io.BytesIO()
    assert unpad_into(io.BytesIO(data), sink, len(data)) == len(content)
    assert sink.getvalue() == content


@pytest.mark.parametrize(
    "data",
    {
        "short head": b"\x01\x00\x00",
        "length beyond the end": (9).to_bytes(8, "little") + bytes(8),
        "padding not zero": (1).to_bytes(8, "little") + b"ab\x00",
        "ends early": (8).to_bytes(8, "little") + bytes(4),
    }.items(),
    ids=lambda item: item[0],
)
def test_anything_else_is_refused(data: tuple[str, bytes]) -> None:
    declared = 16 if data[0] == "ends early" else len(data[1])
    with pytest.raises(StreamHeaderMalformed):
        unpad_into(io.BytesIO(data[1]), io.BytesIO(), declared)


def test_more_content_than_declared_is_the_callers_error() -> None:
    with pytest.raises(ValueError):
        pad(io.BytesIO(b"abc"), 3, 2)


def test_content_shorter_than_said_is_not_sealed_as_if_it_were_whole() -> None:
    with pytest.raises(OSError):
        pad_source = pad(io.BytesIO(b"abc"), 5, 8)
        while pad_source.readinto(memoryview(bytearray(4))):
            pass
