# SPDX-License-Identifier: Apache-2.0
"""Tensors as bytes: what a question and an answer hold.

    u8 count; each: u16 BE length of the name || name (UTF-8) || u8 dtype || u8 rank || rank x u32
    BE || data

Data are row-major and little-endian; their length follows from dtype and shape. There is one way to
write the same tensors, and what is not written so is refused: unknown dtypes, doubled names,
missing or trailing bytes, bounds exceeded.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from placet.refusals import QuestionInvalid

# As NumPy names them, with the bytes of an element; a dtype's code is its place here, from 1.
DTYPES: Final = {
    "float16": 2, "float32": 4, "float64": 8, "int8": 1, "int16": 2, "int32": 4, "int64": 8,
    "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8, "bool": 1,
}  # fmt: skip
MAX_TENSORS: Final = 64
MAX_NAME: Final = 800  # bytes: 200 characters of at most four
MAX_RANK: Final = 16

_NAMES = tuple(DTYPES)
_CODES = {name: code for code, name in enumerate(DTYPES, 1)}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array with a name. dtype: a key of DTYPES. data: its bytes, not copied and as good as what
    they lie in."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


def packed_size(tensors: Sequence[Tensor]) -> int:
    """How many bytes `pack_into` writes."""
    return 1 + sum(
        4 + len(tensor.name.encode()) + 4 * len(tensor.shape) + tensor.data.nbytes
        for tensor in tensors
    )


def pack_into(buffer: bytearray | memoryview, offset: int, tensors: Sequence[Tensor]) -> int:
    """Write tensors at `offset`; returns where they end. Raises ValueError for what `unpack` would
    refuse."""
    if not 0 < len(tensors) <= MAX_TENSORS or len({tensor.name for tensor in tensors}) != len(
        tensors
    ):
        raise ValueError(f"1 to {MAX_TENSORS} tensors, each with a name of its own")
    buffer[offset] = len(tensors)
    offset += 1
    for tensor in tensors:
        offset = _pack_tensor(buffer, offset, tensor)
    return offset


def pack(tensors: Sequence[Tensor]) -> bytearray:
    """Tensors as bytes of their own."""
    packed = bytearray(packed_size(tensors))
    pack_into(packed, 0, tensors)
    return packed


def unpack(data: bytes | bytearray | memoryview) -> tuple[Tensor, ...]:
    """The tensors that the bytes hold, and nothing besides them; their data are views of `data`.
    Raises QuestionInvalid."""
    view = memoryview(data).cast("B")
    try:
        count, offset = view[0], 1
        if not 0 < count <= MAX_TENSORS:
            raise _malformed("count", f"1 to {MAX_TENSORS} tensors", str(count))
        tensors: list[Tensor] = []
        for _ in range(count):
            tensor, offset = _unpack_tensor(view, offset)
            tensors.append(tensor)
    except (IndexError, struct.error):
        raise _malformed("length", "whole tensors", f"{len(view)} bytes") from None
    if offset != len(view):
        raise _malformed("length", f"{offset} bytes", str(len(view)))
    if len({tensor.name for tensor in tensors}) != count:
        raise _malformed("name", "each name once", "a name twice")
    return tuple(tensors)


def _pack_tensor(buffer: bytearray | memoryview, offset: int, tensor: Tensor) -> int:
    name, rank = tensor.name.encode(), len(tensor.shape)
    size = DTYPES[tensor.dtype] * math.prod(tensor.shape)
    if not 0 < len(name) <= MAX_NAME or rank > MAX_RANK or size != tensor.data.nbytes:
        raise ValueError(f"a name of 1 to {MAX_NAME} bytes, a rank up to {MAX_RANK}, all the data")
    head = struct.pack(
        f">H{len(name)}sBB{rank}I", len(name), name, _CODES[tensor.dtype], rank, *tensor.shape
    )
    end = offset + len(head) + size
    buffer[offset : offset + len(head)] = head
    buffer[offset + len(head) : end] = tensor.data.cast("B") if size else b""
    return end


def _unpack_tensor(view: memoryview, offset: int) -> tuple[Tensor, int]:
    (length,) = struct.unpack_from(">H", view, offset)
    if not 0 < length <= MAX_NAME:
        raise _malformed("name", f"1 to {MAX_NAME} bytes", str(length))
    raw: bytes
    code: int
    rank: int
    raw, code, rank = struct.unpack_from(f">{length}sBB", view, offset + 2)
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise _malformed("name", "UTF-8", "other bytes") from None
    if not 0 < code <= len(_NAMES):
        raise _malformed("dtype", f"a code from 1 to {len(_NAMES)}", str(code))
    if rank > MAX_RANK:
        raise _malformed("rank", f"at most {MAX_RANK}", str(rank))
    shape = struct.unpack_from(f">{rank}I", view, offset + 4 + length)
    start = offset + 4 + length + 4 * rank
    end = start + DTYPES[_NAMES[code - 1]] * math.prod(shape)
    if end > len(view):
        raise _malformed("length", f"at least {end} bytes", str(len(view)))
    return Tensor(name, _NAMES[code - 1], shape, view[start:end]), end


def _malformed(claim: str, expected: str, actual: str) -> QuestionInvalid:
    return QuestionInvalid(
        "The bytes are not tensors as docs/inference.md writes them.",
        claim=claim,
        expected=expected,
        actual=actual,
    )
