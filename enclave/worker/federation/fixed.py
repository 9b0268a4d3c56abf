# SPDX-License-Identifier: Apache-2.0
"""Between real numbers and the integers that are added: multiplier, overflow bound, noise scale,
the way back.

A real vector of L2 norm `clip` becomes an integer vector of norm LIMIT. Everything that decides is
on the integers.
"""

import math
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from placet.enclave._kernel import LIMIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The kernel rounds each product to the nearest float32, so it may exceed the true product by a
# factor 1 + 2^-24. Twice that is taken off, which leaves room for the 2^-53 of the arithmetic here
# and of the client's own norm.
_MARGIN = 1.0 - 2.0**-23
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
# Sums stay below 2^62 and noise of sigma below 2^40 does not reach 2^62 (the chance is below
# exp(-2^43)), so that their sum stays below 2^63.
_LARGEST_SUM = 1 << 62
_LARGEST_SIGMA = 1 << 40
# Elements at a time: as float64 they fit in a core's second-level cache.
_CHUNK = 1 << 16


def multiplier(clip: float, declared_norm: float, scale: float = 1.0) -> float:
    """The float32 by which the kernel multiplies each of a client's elements.

    The update whose L2 norm is `declared_norm` is scaled to norm LIMIT where it is above `clip`,
    and by LIMIT / `clip` otherwise; `scale` is what one unit of an "int8" element stands for. For
    every update whose norm is at most the declared one, the integers have a norm of at most LIMIT:
    the quotient is taken a margin too small and rounded toward zero, more than the rounding of the
    products can add, and truncation toward zero only shrinks.

    A norm declared too large shrinks its author; one declared too small, or a scale beyond reason,
    makes integers that are beyond LIMIT, and whoever adds them refuses them. Raises `ValueError`
    unless `clip` and `scale` are positive, `declared_norm` is not negative, and all are finite.
    """
    if not (math.isfinite(clip) and math.isfinite(declared_norm) and math.isfinite(scale)):
        raise ValueError("clip, declared norm and scale must be finite")
    if clip <= 0 or declared_norm < 0 or scale <= 0:
        raise ValueError("clip and scale must be positive, the declared norm not negative")
    return _float32_toward_zero(scale * (LIMIT / max(clip, declared_norm)) * _MARGIN)


def _float32_toward_zero(value: float) -> float:
    """The largest float32 that is not above `value`, which is not negative."""
    nearest = float(np.float32(min(value, _LARGEST_FLOAT32)))
    if nearest <= value:
        return nearest
    bits = struct.unpack("<I", struct.pack("<f", nearest))[0]
    return float(struct.unpack("<f", struct.pack("<I", bits - 1))[0])


def check_overflow(cohort: int, largest_weight: int, sigma: int = 0) -> None:
    """Raise `ValueError` unless no sum of so many clients, noise included, can leave 64 bits.

    `cohort` x `largest_weight` x LIMIT must stay below 2^62, and `sigma`, the noise's scale, below
    2^40.
    """
    if cohort < 1 or largest_weight < 1 or sigma < 0:
        raise ValueError("cohort and largest weight must be positive, sigma not negative")
    if cohort * largest_weight * LIMIT >= _LARGEST_SUM:
        most = (_LARGEST_SUM - 1) // (cohort * LIMIT)
        raise ValueError(
            f"{cohort} clients with weights of up to {largest_weight} could overflow 64 bits; "
            f"allow weights of at most {most}"
        )
    if sigma >= _LARGEST_SIGMA:
        raise ValueError(f"sigma must be below 2^40, not {sigma}; take a smaller noise multiplier")


def finish(
    sums: "NDArray[np.int64]",
    divisor: int,
    *,
    clip: float,
    rate: float,
    base: "NDArray[np.float32] | None",
    out: "NDArray[np.float32]",
    threads: int = 1,
) -> None:
    """Write out = base + rate * (clip / LIMIT) * sums / divisor, in float64, rounded to float32
    once.

    `sums`, `base` and `out` have the shape (elements,); without `base` it is zero; `base` may be
    `out`. What is beyond the range of float32 becomes its largest value. Each element goes through
    the same IEEE operations, so the result is the same on every machine and any number of threads.
    Memory is a chunk a thread, whatever the size.
    """
    if sums.shape != out.shape or (base is not None and base.shape != out.shape):
        raise ValueError("sums, base and out must have the same shape")
    factor = rate * (clip / LIMIT) / divisor

    def run(first: int) -> None:
        wide = np.empty(min(_CHUNK, len(out)), np.float64)
        for start in range(first * _CHUNK, len(out), threads * _CHUNK):
            part = slice(start, min(start + _CHUNK, len(out)))
            values = wide[: part.stop - start]
            np.multiply(sums[part], factor, out=values)
            if base is not None:
                np.add(values, base[part], out=values)
            np.clip(values, -_LARGEST_FLOAT32, _LARGEST_FLOAT32, out=values)
            out[part] = values

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(threads)))
