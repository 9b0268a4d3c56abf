# SPDX-License-Identifier: Apache-2.0
"""An honest client is never over the clip; what cannot fit into 64 bits is refused; the way back is
exact enough."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from placet.enclave._kernel import LIMIT
from placet.enclave.worker.federation.fixed import check_overflow, finish, multiplier
from placet.governance.documents import federation

positive = st.floats(min_value=2.0**-60, max_value=2.0**60, allow_subnormal=False)


def integers(values: "np.typing.NDArray[np.float32]", factor: float) -> list[int]:
    with np.errstate(over="ignore"):
        product = values * np.float32(factor)
    return [int(q) for q in np.clip(product, -LIMIT, LIMIT)]


@given(
    arrays(np.float32, st.integers(1, 40), elements=st.floats(-1, 1, width=32)),
    st.integers(-60, 60),
    positive,
)
def test_who_declares_the_true_norm_is_never_over_the_clip(
    values: "np.typing.NDArray[np.float32]", exponent: int, clip: float
) -> None:
    values = np.ldexp(values, exponent)
    exact = sum(Fraction(float(value)) ** 2 for value in values)
    norm = math.sqrt(exact)  # of a Fraction: rounded by what a client's own float64 would be
    squares = sum(q * q for q in integers(values, multiplier(clip, norm)))
    assert squares <= LIMIT**2


@given(positive, positive, st.integers(1, 2**24))
def test_whose_product_rounds_up_is_not_over_either(
    clip: float, norm: float, elements: int
) -> None:
    """Equal elements whose product is rounded up by as much as can be: half a unit in the last
    place."""
    factor = multiplier(clip, norm)
    true = Fraction(norm) / Fraction(math.isqrt(elements * 2**120), 2**60)
    largest = Fraction(np.float32(factor).item()) * true * (1 + Fraction(1, 2**24))
    assert elements * largest**2 <= LIMIT**2


@given(positive, positive, positive)
def test_the_multiplier_is_a_float32_just_below_what_it_stands_for(
    clip: float, norm: float, scale: float
) -> None:
    factor = multiplier(clip, norm, scale)
    exact = Fraction(scale) * LIMIT / max(Fraction(clip), Fraction(norm))
    assert np.float32(factor).item() == factor
    if factor not in (0.0, float(np.finfo(np.float32).max)) and factor > 1e-37:
        assert exact * (1 - Fraction(1, 2**21)) < Fraction(factor) < exact


def test_too_large_a_norm_shrinks_its_author_only() -> None:
    assert multiplier(1.0, 100.0) < multiplier(1.0, 1.0) / 99
    assert multiplier(1.0, 1e300) == 0.0
    assert multiplier(1.0, 0.0) == multiplier(1.0, 1.0)


@pytest.mark.parametrize(
    ("clip", "norm", "scale"),
    [
        (0.0, 1.0, 1.0),
        (-1.0, 1.0, 1.0),
        (1.0, -1.0, 1.0),
        (1.0, 1.0, 0.0),
        (math.nan, 1.0, 1.0),
        (1.0, math.inf, 1.0),
    ],
)
def test_terms_that_cannot_be_are_refused(clip: float, norm: float, scale: float) -> None:
    with pytest.raises(ValueError):
        multiplier(clip, norm, scale)


def test_the_overflow_bound_is_exact() -> None:
    check_overflow(1, 2**36 - 1)
    check_overflow(4096, 2**24 - 1)
    with pytest.raises(ValueError, match="at most 68719476735"):
        check_overflow(1, 2**36)
    with pytest.raises(ValueError, match="overflow 64 bits"):
        check_overflow(4096, 2**24)
    with pytest.raises(ValueError, match="sigma"):
        check_overflow(1, 1, 2**40)


def test_ledger_and_kernel_mean_the_same_bound() -> None:
    assert federation.LIMIT == LIMIT


def test_sums_at_the_bound_stay_within_64_bits() -> None:
    # 40 standard deviations of the largest noise: further than chance will go.
    assert 4096 * (2**24 - 1) * LIMIT + 40 * 2**40 < 2**63


@given(
    arrays(np.int64, st.integers(1, 50), elements=st.integers(-(2**61), 2**61)),
    st.integers(1, 2**31),
    st.floats(1e-3, 1e3),
    st.floats(1e-3, 1e3),
)
def test_the_way_back_is_within_a_few_roundings_of_the_truth(
    sums: "np.typing.NDArray[np.int64]", divisor: int, clip: float, rate: float
) -> None:
    base = np.linspace(-1, 1, len(sums), dtype=np.float32)
    out = np.empty_like(base)
    finish(sums, divisor, clip=clip, rate=rate, base=base, out=out)
    for start, total, value in zip(base.tolist(), sums.tolist(), out.tolist(), strict=True):
        step = Fraction(rate) * Fraction(clip) * total / LIMIT / divisor
        exact = Fraction(start) + step
        slack = (
            abs(exact) / 2**24 + (abs(step) + abs(Fraction(start))) / 2**50 + Fraction(1, 2**149)
        )
        assert abs(Fraction(value) - exact) <= slack


def test_the_way_back_does_not_depend_on_chunks_or_threads_and_may_be_in_place() -> None:
    sums = np.random.default_rng(3).integers(-(2**50), 2**50, 200_001)
    base = np.random.default_rng(4).standard_normal(200_001).astype(np.float32)
    whole, parts = np.empty_like(base), np.empty_like(base)
    finish(sums, 7, clip=1.5, rate=0.5, base=base, out=whole)
    for start in range(0, 200_001, 9999):
        part = slice(start, start + 9999)
        finish(sums[part], 7, clip=1.5, rate=0.5, base=base[part], out=parts[part])
    finish(sums, 7, clip=1.5, rate=0.5, base=base, out=base, threads=3)
    assert whole.tobytes() == parts.tobytes() == base.tobytes()


def test_a_model_never_becomes_infinite() -> None:
    base = np.array([3e38, -3e38], np.float32)
    finish(np.array([2**60, -(2**60)]), 1, clip=1e35, rate=1.0, base=base, out=base)
    assert np.isfinite(base).all()


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        finish(np.zeros(3, np.int64), 1, clip=1, rate=1, base=None, out=np.empty(4, np.float32))
