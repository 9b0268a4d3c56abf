# SPDX-License-Identifier: Apache-2.0
"""Noise: of the right distribution, new each time, used once, wiped; and what it demands of an
aggregation."""

import math
from typing import Any

import numpy as np
import pytest

from placet.enclave._kernel import LIMIT
from placet.enclave.worker.federation.aggregate import aggregate
from placet.enclave.worker.federation.noise import Noise
from placet.enclave.worker.federation.rules import Mean, Median
from placet.enclave.worker.federation.updates import Fault, Shape
from placet.refusals import JobEnded

SHAPE = Shape(3000, "float32", 16384)


def drawn(elements: int, sigma: int, threads: int = 1) -> Any:
    sums = np.zeros(elements, np.int64)
    with Noise(elements, sigma, threads=threads) as noise:
        noise.add_to(sums)
    return sums


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("sigma", [1, 1000, LIMIT])
def test_mean_variance_and_tails_are_those_of_a_gaussian(sigma: int, threads: int) -> None:
    """Six standard errors each: a false alarm once in 500 million."""
    count = 200_000
    values = drawn(count, sigma, threads).astype(np.float64) / sigma
    # N_Z(0, 1) has, to the ninth digit, variance 1 and fourth moment 3, as the continuous one.
    assert abs(values.mean()) < 6 / math.sqrt(count)
    assert abs(values.var() - 1) < 6 * math.sqrt(2 / count)
    beyond = (np.abs(values) > 2.5).mean()  # for sigma 1: 3 and more
    expected = math.erfc(2.5 / math.sqrt(2))
    if sigma == 1:
        weights = [math.exp(-k * k / 2) for k in range(-40, 41)]
        expected = sum(w for k, w in enumerate(weights, -40) if abs(k) > 2.5) / sum(weights)
    assert abs(beyond - expected) < 6 * math.sqrt(expected / count)


def test_parts_of_one_vector_and_two_releases_share_nothing() -> None:
    one, other = drawn(40_000, 2**30, 4), drawn(40_000, 2**30, 4)
    values = np.concatenate([one, other])
    # Of 80,000 draws with this sigma one pair is expected to be equal by chance; a shared part
    # makes thousands.
    assert len(values) - len(np.unique(values)) < 20
    quarters = one.reshape(4, -1)
    correlation = np.corrcoef(np.vstack([quarters, other.reshape(4, -1)]).astype(np.float64))
    assert np.abs(correlation - np.eye(8)).max() < 6 / math.sqrt(10_000)


def test_noise_is_used_once_and_wiped(make_clients: Any) -> None:
    sums = np.zeros(1000, np.int64)
    noise = Noise(1000, LIMIT)
    noise.add_to(sums)
    assert np.count_nonzero(sums) > 990
    with pytest.raises(RuntimeError, match="each release needs its own"):
        noise.add_to(sums)
    with Noise(1000, LIMIT) as unused:
        pass
    with pytest.raises(RuntimeError, match="each release needs its own"):
        unused.add_to(sums)


@pytest.mark.parametrize(("elements", "sigma"), [(0, 1), (1, 0), (1, 2**40)])
def test_terms_that_cannot_be_drawn_are_refused(elements: int, sigma: int) -> None:
    with pytest.raises(ValueError, match="noise has"):
        Noise(elements, sigma)


def test_the_sums_are_the_exact_ones_and_the_noise(make_clients: Any, reference: Any) -> None:
    clients = make_clients(4, SHAPE)
    with Noise(SHAPE.elements, 50, threads=2) as noise:
        result = aggregate([c.update() for c in clients], SHAPE, Mean(), smallest=1, noise=noise)
    noise_added = result.sums - np.array(reference.mean(clients))
    assert 0 < np.abs(noise_added).max() < 50 * 8
    assert abs(noise_added.astype(float).std() - 50) < 6 * 50 / math.sqrt(2 * SHAPE.elements)


def test_with_noise_who_leaves_counts_as_zeros(make_clients: Any) -> None:
    """The divisor is the number of updates given, whatever is in them."""
    clients = make_clients(4, SHAPE)
    bad = type(clients[0])(SHAPE, np.full(SHAPE.elements, np.inf, np.float32), name="bad", norm=1.0)
    updates = [client.update() for client in [*clients, bad]]
    with Noise(SHAPE.elements, LIMIT) as noise:
        result = aggregate(updates, SHAPE, Mean(), smallest=1, noise=noise)
    assert (result.divisor, result.left) == (5, {"bad": Fault.NONFINITE})


def test_noise_is_for_the_mean_with_weights_of_one(make_clients: Any) -> None:
    clients = make_clients(3, SHAPE)
    updates = [client.update() for client in clients]
    with Noise(SHAPE.elements, 1) as noise:
        with pytest.raises(ValueError, match="weights of 1"):
            aggregate(updates, SHAPE, Median(), smallest=1, noise=noise)
        with pytest.raises(ValueError, match="weights of 1"):
            aggregate([clients[0].update(weight=2)], SHAPE, Mean(), smallest=1, noise=noise)
        with pytest.raises(ValueError, match="the noise has 3000 elements, the updates 3001"):
            shape = Shape(3001, "float32", 16384)
            aggregate([make_clients(1, shape)[0].update()], shape, Mean(), smallest=1, noise=noise)


def test_what_is_cancelled_leaves_the_noise_unused(make_clients: Any) -> None:
    updates = [client.update() for client in make_clients(3, SHAPE)]
    with Noise(SHAPE.elements, LIMIT) as noise:
        with pytest.raises(JobEnded):
            aggregate(updates, SHAPE, Mean(), smallest=1, noise=noise, cancelled=lambda: True)
        assert aggregate(updates, SHAPE, Mean(), smallest=1, noise=noise).divisor == 3
