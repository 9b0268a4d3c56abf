# SPDX-License-Identifier: Apache-2.0
"""Tensors as bytes: there and back, one way to write them, and nothing but a refusal for anything
else."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.documents.serving import DType
from placet.proto.refusals import refusal_of
from placet.proto.tensors import (
    DTYPES,
    MAX_RANK,
    MAX_TENSORS,
    Tensor,
    pack,
    pack_into,
    packed_size,
    unpack,
)
from placet.proto.v1 import common_pb2
from placet.refusals import QuestionInvalid

ONE = Tensor("x", "float32", (2, 1), memoryview(b"12345678"))
PACKED = b"\x01\x00\x01x\x02\x02\x00\x00\x00\x02\x00\x00\x00\x0112345678"


@st.composite
def tensors(draw: st.DrawFn) -> list[Tensor]:
    names = draw(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5, unique=True))
    made: list[Tensor] = []
    for name in names:
        dtype = draw(st.sampled_from(tuple(DTYPES)))
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
        size = DTYPES[dtype] * math.prod(shape)
        data = draw(st.binary(min_size=size, max_size=size))
        made.append(Tensor(name, dtype, shape, memoryview(data)))
    return made


def test_the_dtypes_are_those_of_the_documents() -> None:
    """Their order is their code, so it is part of the format."""
    assert tuple(DTYPES) == get_args(DType)


def test_the_bytes_are_these() -> None:
    assert pack([ONE]) == PACKED
    assert unpack(PACKED) == (ONE,)


@given(tensors())
def test_there_and_back(made: list[Tensor]) -> None:
    packed = pack(made)
    assert len(packed) == packed_size(made)
    assert unpack(packed) == tuple(made)


@given(tensors(), st.integers(0, 9))
def test_packing_into_a_buffer_touches_nothing_else(made: list[Tensor], offset: int) -> None:
    buffer = bytearray(b"\xaa" * (offset + packed_size(made) + 3))
    end = pack_into(buffer, offset, made)
    assert buffer[:offset] == b"\xaa" * offset and buffer[end:] == b"\xaa" * 3
    assert buffer[offset:end] == pack(made)


@given(tensors(), st.data())
def test_other_bytes_are_refused_or_the_only_way_to_write_what_they_hold(
    made: list[Tensor], data: st.DataObject
) -> None:
    packed = pack(made)
    place = data.draw(st.integers(0, len(packed) - 1))
    if data.draw(st.booleans()):
        del packed[place:]
    else:
        packed[place] = data.draw(st.integers(0, 255))
    try:
        held = unpack(packed)
    except QuestionInvalid:
        return
    assert pack(held) == packed


def test_the_data_are_views() -> None:
    """Wiping what was unpacked wipes the tensors."""
    content = bytearray(PACKED)
    (tensor,) = unpack(content)
    content[-8:] = bytes(8)
    assert bytes(tensor.data) == bytes(8)


def _changed(place: int, value: bytes) -> bytes:
    return PACKED[:place] + value + PACKED[place + len(value) :]


REFUSED = {
    "empty": (b"", "length"),
    "no tensors": (b"\x00", "count"),
    "too many": (_changed(0, bytes([MAX_TENSORS + 1])), "count"),
    "one missing": (_changed(0, b"\x02"), "length"),
    "no name": (_changed(1, b"\x00\x00"), "name"),
    "long name": (_changed(1, b"\x04\x00"), "name"),
    "name of other bytes": (_changed(3, b"\xff"), "name"),
    "dtype 0": (_changed(4, b"\x00"), "dtype"),
    "dtype 13": (_changed(4, b"\x0d"), "dtype"),
    "rank": (_changed(5, bytes([MAX_RANK + 1])), "rank"),
    "no end": (_changed(6, b"\xff\xff\xff\xff\xff\xff\xff\xff"), "length"),
    "cut off": (PACKED[:-1], "length"),
    "trailing": (PACKED + b"\x00", "length"),
    "twice": (b"\x02" + 2 * PACKED[1:], "name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_tensors(name: str) -> None:
    """Refused as an invalid question, by what is wrong."""
    data, claim = REFUSED[name]
    with pytest.raises(QuestionInvalid) as refused:
        unpack(data)
    assert refused.value.details["claim"] == claim
    assert refusal_of(refused.value).reason == common_pb2.REASON_QUESTION_INVALID


@pytest.mark.parametrize(
    "made",
    [
        [],
        [ONE, ONE],
        [Tensor("", "float32", (), memoryview(b"1234"))],
        [Tensor("x", "float32", (), memoryview(b"123"))],
        [Tensor("x", "int8", (1,) * (MAX_RANK + 1), memoryview(b"1"))],
    ],
)
def test_what_would_be_refused_is_not_written(made: list[Tensor]) -> None:
    with pytest.raises(ValueError, match="tensors|bytes"):
        pack(made)
