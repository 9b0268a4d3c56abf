# SPDX-License-Identifier: Apache-2.0
"""The discrete Gaussian: the distribution itself where it is small, its moments where it is not,
and its bytes."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet.enclave._kernel import discrete_gaussian

LARGEST = 1 << 24


def stream(seed: str, count: int) -> bytes:
    """Bytes that look uniform and are the same in every run."""
    return hashlib.shake_256(seed.encode()).digest(count)


def sample(seed: str, sigma: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    out = np.zeros(count, np.int64)
    written, used = discrete_gaussian(stream(seed, count * 60), sigma, out)
    assert written == count
    assert used < count * 60
    return out


@pytest.mark.parametrize("sigma", [1, 2, 3, 4])
def test_the_distribution_is_the_discrete_gaussian(sigma: int) -> None:
    """Chi-square over the values that are expected at least 20 times, the tails as one cell
    each."""
    count = 200_000
    samples = sample(f"distribution {sigma}", sigma, count)
    values = np.arange(-12 * sigma, 12 * sigma + 1)
    mass = np.exp(-(values**2) / (2 * sigma**2))
    mass /= mass.sum()
    edge = int(values[mass * count >= 20].max())
    clipped = samples.clip(-edge, edge)
    seen = np.array([(clipped == value).sum() for value in range(-edge, edge + 1)])
    expected = np.array([mass[values == value].sum() for value in range(-edge, edge + 1)])
    expected[0], expected[-1] = mass[values <= -edge].sum(), mass[values >= edge].sum()
    statistic = ((seen - expected * count) ** 2 / (expected * count)).sum()
    freedom = 2 * edge
    # Five standard deviations of chi-square; the bytes are fixed, so it holds always or never.
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("sigma", [1000, 1 << 26, 3**20, (1 << 40) - 1])
def test_the_moments_are_those_of_the_gaussian(sigma: int) -> None:
    count = 200_000
    scaled = sample(f"moments {sigma}", sigma, count) / sigma
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        spread = math.sqrt(math.prod(range(1, 2 * power, 2)) / count)
        assert abs((scaled**power).mean() - moment) < 5 * spread
    assert 0.49 < (scaled > 0).mean() < 0.51
    inside = (abs(scaled) < 1).mean()
    assert abs(inside - math.erf(math.sqrt(0.5))) < 0.01


def test_the_low_bits_are_uniform() -> None:
    """A sample that was scaled or rounded would have gaps."""
    low = sample("low bits", (1 << 26) + 3, 200_000) & 15
    seen = np.bincount(low, minlength=16)
    assert abs(seen - 12_500).max() < 5 * math.sqrt(12_500)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, (1 << 40) - 1), st.lists(st.integers(0, 300), min_size=1, max_size=30))
def test_samples_depend_on_the_bytes_and_not_on_how_they_come(
    sigma: int, pieces: list[int]
) -> None:
    data = stream("pieces", sum(pieces))
    whole = np.zeros(1000, np.int64)
    count, used = discrete_gaussian(data, sigma, whole)
    samples, rest, consumed = list[int](), b"", 0
    for piece in pieces:
        rest += data[consumed + len(rest) :][:piece]
        part = np.zeros(1000, np.int64)
        written, taken = discrete_gaussian(rest, sigma, part)
        samples += part[:written].tolist()
        assert not part[written:].any()
        rest, consumed = rest[taken:], consumed + taken
    assert samples == whole[:count].tolist()
    assert consumed == used


@settings(max_examples=50, deadline=None)
@given(st.integers(1, (1 << 40) - 1), st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_samples_do_not_depend_on_where_they_go(sigma: int, sizes: list[int]) -> None:
    data = stream("sizes", 60 * sum(sizes) + 1000)
    whole = np.zeros(sum(sizes), np.int64)
    assert discrete_gaussian(data, sigma, whole)[0] == sum(sizes)
    samples, consumed = list[int](), 0
    for size in sizes:
        part = np.zeros(size, np.int64)
        written, used = discrete_gaussian(data[consumed:], sigma, part)
        assert written == size
        samples += part.tolist()
        consumed += used
    assert samples == whole.tolist()


def test_bytes_that_suffice_for_nothing_are_not_consumed() -> None:
    out = np.full(3, 7, np.int64)
    assert discrete_gaussian(b"", 5, out) == (0, 0)
    assert discrete_gaussian(b"\x01", 5, out) == (0, 0)
    assert discrete_gaussian(bytes(1000), 5, out) == (0, 0)  # zeros: a trial that succeeds for ever
    assert out.tolist() == [7, 7, 7]
    assert discrete_gaussian(stream("", 100), 5, np.zeros(0, np.int64)) == (0, 0)


@pytest.mark.parametrize("sigma", [0, -1, 1 << 40])
def test_a_sigma_without_a_distribution_is_refused(sigma: int) -> None:
    with pytest.raises(ValueError, match="sigma must be"):
        discrete_gaussian(bytes(8), sigma, np.zeros(1, np.int64))


def test_buffers_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="int64"):
        discrete_gaussian(bytes(8), 1, bytearray(8))
    with pytest.raises(BufferError, match="writable"):
        discrete_gaussian(bytes(8), 1, bytes(8))
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        discrete_gaussian(bytes(8), 1, np.zeros(8, np.int64)[::2])
    with pytest.raises(ValueError, match="piece by piece"):
        discrete_gaussian(bytes(LARGEST + 1), 1, np.zeros(1, np.int64))
