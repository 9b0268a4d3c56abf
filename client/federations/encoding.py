# SPDX-License-Identifier: Apache-2.0
"""An update as it is sent: clipped, encoded, and with a norm that is never below the one it has.

The aggregator scales an update by its declared norm and then looks at the integers that come out
(docs/federation.md). Too small a norm is found out there and costs the client its part; so the norm
declared here is that of the values as they were encoded, in float64, rounded up.

    encoding    a coordinate
    float32     4 bytes
    float16     2 bytes, IEEE 754
    bfloat16    2 bytes, the upper half of a float32, rounded to the nearest, ties to even
    int8        1 byte, of steps of `scale` = the largest magnitude / 127

All little-endian.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from placet.client.errors import StateRefused
from placet.client.federations.vectors import Vector
from placet.governance.documents.federation import ELEMENT_BYTES, Encoding

_STEPS = 127  # symmetric: -128 is never used
_BLOCK = 1 << 16
# The sum of n positive products in float64, in any order, is off by less than n * 2^-53 of itself
# (Higham, Accuracy and Stability of Numerical Algorithms, 4.2); blocks of 2^16 are summed so, and
# the blocks' sums exactly.
_SLACK = 1 + 2.0**-36


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded update: its bytes as an array of uint8, an upper bound of its L2 norm, and the
    scale of int8 (else 1.0)."""

    data: NDArray[np.uint8]
    norm: float
    scale: float

    def __repr__(self) -> str:
        return "Encoded(...)"


def encode(vector: Vector, encoding: Encoding) -> Encoded:
    """Encode a finite vector of float32, shape (elements,).

    Raises `StateRefused` where a coordinate is too large for the encoding.
    """
    data, scale = _ENCODERS[encoding](vector)
    norm = _norm(data, encoding, scale)
    if not math.isfinite(norm):
        raise StateRefused(
            f"A coordinate of the update is too large for {encoding}. Use a smaller clipping "
            "bound, or float32.",
            claim="encoding",
            expected=f"within the range of {encoding}",
            actual="a larger coordinate",
        )
    return Encoded(data, norm, scale)


def decode(data: NDArray[np.uint8], encoding: Encoding, scale: float = 1.0) -> Vector:
    """The values that encoded bytes stand for: float32 of shape (elements,), rounded only where
    int8 has a scale."""
    if encoding == "float32":
        return data.view("<f4").astype(np.float32)
    if encoding == "float16":
        return data.view("<f2").astype(np.float32)
    if encoding == "bfloat16":
        return (data.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return data.view(np.int8).astype(np.float32) * np.float32(scale)


def clip(vector: Vector, bound: float) -> Vector:
    """Scale a vector of float32 down, in place, to an L2 norm of at most `bound`; returns it. A
    shorter one stays."""
    norm = norm_above(vector)
    if norm > bound:
        # Each product is rounded to float32: a little less than the quotient keeps the norm below
        # the bound.
        factor = bound / norm * (1 - 2.0**-22)
        for block in _blocks(vector):
            block[:] = block.astype(np.float64) * factor
    return vector


def add_noise(
    vector: Vector, deviation: float, generator: np.random.Generator | None = None
) -> Vector:
    """Add Gaussian noise of this standard deviation to each coordinate, in place; returns the
    vector.

    This is the client's own affair: no ledger knows of it, and no budget is charged or saved. The
    noise is continuous and in floating point, so it is no proof against whoever sees the update
    itself (Mironov 2012); that nobody does is what the enclave is for. Without a generator one is
    seeded from the system's entropy.
    """
    generator = generator or np.random.default_rng()
    for block in _blocks(vector):
        block += generator.normal(0.0, deviation, len(block)).astype(np.float32)
    return vector


def norm_above(vector: Vector) -> float:
    """A float64 that is at least the L2 norm of float32 values, and above it by less than 1e-10 of
    it."""
    return _norm(vector.view(np.uint8), "float32", 1.0)


def _norm(data: NDArray[np.uint8], encoding: Encoding, scale: float) -> float:
    """An upper bound of the L2 norm of encoded values; not finite where one of them is not."""
    sums: list[float] = []
    step = _BLOCK * ELEMENT_BYTES[encoding]
    for start in range(0, len(data), step):
        # Squares of float32 are exact in float64.
        block = decode(data[start : start + step], encoding).astype(np.float64)
        sums.append(float(block @ block))
        block.fill(0)
    norm = scale * math.sqrt(math.fsum(sums))
    return math.nextafter(norm * _SLACK, math.inf) if norm else 0.0


def _blocks(vector: Vector) -> Iterator[Vector]:
    return (vector[start : start + _BLOCK] for start in range(0, len(vector), _BLOCK))


def _to_float32(vector: Vector) -> tuple[NDArray[np.uint8], float]:
    return vector.astype("<f4").view(np.uint8), 1.0


def _to_float16(vector: Vector) -> tuple[NDArray[np.uint8], float]:
    with np.errstate(over="ignore"):
        return vector.astype("<f2").view(np.uint8), 1.0


def _to_bfloat16(vector: Vector) -> tuple[NDArray[np.uint8], float]:
    bits = vector.view(np.uint32)
    rounded = bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))
    return (rounded >> 16).astype("<u2").view(np.uint8), 1.0


def _to_int8(vector: Vector) -> tuple[NDArray[np.uint8], float]:
    largest = float(np.abs(vector).max(initial=0.0))
    # A scale is above 0, also that of zeros, and of coordinates too small to be told from them.
    scale = max(np.float32(largest / _STEPS), np.finfo(np.float32).tiny) if largest else 1.0
    steps = np.rint(vector / np.float32(scale)).clip(-_STEPS, _STEPS)
    return steps.astype(np.int8).view(np.uint8), float(scale)


_ENCODERS: dict[Encoding, Callable[[Vector], tuple[NDArray[np.uint8], float]]] = {
    "float32": _to_float32,
    "float16": _to_float16,
    "bfloat16": _to_bfloat16,
    "int8": _to_int8,
}
