# SPDX-License-Identifier: Apache-2.0
"""Clipping and encoding: what is declared is never below what is sent, and never far above it.
Checked in exact arithmetic."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from placet.client.errors import StateRefused
from placet.client.federations import add_noise, clip, decode, encode, norm_above
from placet.governance.documents.federation import ELEMENT_BYTES, Encoding

ENCODINGS: tuple[Encoding, ...] = ("float32", "float16", "bfloat16", "int8")


def floats(bound: float) -> st.SearchStrategy[Any]:
    """Vectors of float32, subnormal and equal coordinates among them."""
    limit = float(np.float32(bound))
    one = st.floats(-limit, limit, width=32)
    return arrays.arrays(np.float32, st.integers(1, 40), elements=one)


def square(values: Any) -> Fraction:
    """The exact square of an L2 norm."""
    return sum((Fraction(float(v)) ** 2 for v in values), Fraction(0))


def exact(data: Any, encoding: Encoding, scale: float) -> Fraction:
    """The exact square of the L2 norm of encoded values."""
    if encoding == "int8":
        steps = data.view(np.int8).tolist()
        return Fraction(scale) ** 2 * int(sum(step * step for step in steps))
    return square(decode(data, encoding))


@settings(max_examples=200)
@given(floats(60000), st.sampled_from(ENCODINGS))
def test_the_declared_norm_is_never_below_the_real_one(vector: Any, encoding: Encoding) -> None:
    encoded = encode(vector.copy(), encoding)
    assert len(encoded.data) == len(vector) * ELEMENT_BYTES[encoding]
    real = exact(encoded.data, encoding, encoded.scale)
    assert Fraction(encoded.norm) ** 2 >= real
    # And it is not so far above it that it would shrink its author.
    if real > Fraction(1, 10**60):
        assert Fraction(encoded.norm) ** 2 <= real * (1 + Fraction(1, 10**9))
    assert encoded.scale == float(np.float32(encoded.scale)) > 0
    assert encoding == "int8" or encoded.scale == 1.0


def test_it_holds_for_long_vectors_too() -> None:
    random = np.random.default_rng(5)
    vector = random.standard_t(2, 300_001).astype(np.float32)
    assert Fraction(norm_above(vector)) ** 2 >= square(vector)
    assert norm_above(vector) <= math.sqrt(square(vector)) * (1 + 1e-10)


@settings(max_examples=200)
@given(floats(1e30), st.floats(1e-9, 1e9))
def test_what_is_clipped_is_within_the_bound(vector: Any, bound: float) -> None:
    before = vector.copy()
    clipped = clip(vector, bound)
    assert clipped is vector
    assert square(clipped) <= Fraction(bound) ** 2
    if square(before) < Fraction(bound) ** 2 * Fraction(999, 1000):
        assert np.array_equal(clipped, before)
    elif square(before) > Fraction(bound) ** 2:
        assert square(clipped) >= Fraction(bound) ** 2 * Fraction(99, 100)


@settings(max_examples=200)
@given(floats(60000), st.sampled_from(ENCODINGS))
def test_what_is_encoded_is_near_to_what_was_given(vector: Any, encoding: Encoding) -> None:
    encoded = encode(vector.copy(), encoding)
    back = decode(encoded.data, encoding, encoded.scale).astype(np.float64)
    largest = float(np.abs(vector).max())
    allowed = {
        "float32": 0.0,
        "float16": 2.0**-11 * np.abs(vector.astype(np.float64)) + 2.0**-25,
        "bfloat16": 2.0**-8 * np.abs(vector.astype(np.float64)) + 2.0**-133,
        "int8": largest / 127 * 0.501 + 1e-37,
    }[encoding]
    assert (np.abs(back - vector) <= allowed).all()


def test_bfloat16_rounds_to_the_nearest_and_ties_to_even() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0xBF818000], np.uint32)
    found = encode(bits.view(np.float32), "bfloat16").data.view("<u2").tolist()
    assert found == [0x3F80, 0x3F82, 0x3F81, 0x3F80, 0xBF82]


def test_zeros_have_norm_zero_and_a_scale_that_is_allowed() -> None:
    for encoding in ENCODINGS:
        encoded = encode(np.zeros(5, np.float32), encoding)
        assert (encoded.norm, encoded.scale) == (0.0, 1.0) and not encoded.data.any()
        assert not clip(np.zeros(5, np.float32), 1.0).any()


@pytest.mark.parametrize(
    ("encoding", "value"), [("float16", 65520.0), ("float16", -1e30), ("bfloat16", 3.4e38)]
)
def test_what_an_encoding_cannot_hold_is_refused(encoding: Encoding, value: float) -> None:
    with pytest.raises(StateRefused, match=encoding):
        encode(np.array([0, value], np.float32), encoding)


def test_int8_has_127_steps_to_either_side() -> None:
    encoded = encode(np.array([-2.0, 2.0, 1.0, 0.0], np.float32), "int8")
    assert encoded.data.view(np.int8).tolist() == [-127, 127, 64, 0]
    assert encoded.scale == pytest.approx(2 / 127)


def test_noise_is_as_wide_as_asked_for_and_new_each_time() -> None:
    first = add_noise(np.zeros(200_000, np.float32), 0.5)
    second = add_noise(np.zeros(200_000, np.float32), 0.5)
    assert 0.495 < first.std() < 0.505 and abs(first.mean()) < 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    same = [add_noise(np.zeros(9, np.float32), 1.0, np.random.default_rng(1)) for _ in range(2)]
    assert np.array_equal(same[0], same[1])


def test_nothing_of_the_values_is_shown() -> None:
    encoded = encode(np.full(3, 1.25, np.float32), "float32")
    assert "1.25" not in repr(encoded) and "2.16" not in repr(encoded)
