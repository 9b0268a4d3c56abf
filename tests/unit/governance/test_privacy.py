# SPDX-License-Identifier: Apache-2.0
"""What releases cost: against Google's accountants, against arithmetic of many more digits, and at
its edges."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import dp_accounting as dp  # pyright: ignore[reportMissingTypeStubs]
import mpmath  # pyright: ignore[reportMissingTypeStubs]
import pytest
from dp_accounting import gaussian_mechanism, pld, rdp  # pyright: ignore[reportMissingTypeStubs]
from dp_accounting.pld import (  # pyright: ignore[reportMissingTypeStubs]
    privacy_loss_mechanism,
)
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.codec import decode, encode
from placet.governance.documents import UNBOUNDED, Budget, Cost, Declared
from placet.governance.documents.privacy import decimal_text
from placet.governance.privacy import check_budget, epsilon_at, gaussian_cost, is_within
from placet.refusals import DocumentMalformed, PrivacyBudget

mp: Any = mpmath  # it says nothing of its types

CLIP = 10**6
RATIOS = (0.5, 1, 4, 20)
ROUNDS = (1, 15, 200)
DELTAS = (1e-10, 1e-6, 1e-3)
GRID = [(ratio, rounds, delta) for ratio in RATIOS for rounds in ROUNDS for delta in DELTAS]

amounts = st.integers(0, 2**53)
costs = st.just(UNBOUNDED) | st.builds(Cost, amounts, amounts, amounts)


def composed(ratio: float, rounds: int) -> Cost:
    """So many releases with a noise of `ratio` times the clip."""
    return sum([gaussian_cost(CLIP, int(ratio * CLIP))] * rounds, Cost())


def accountant_epsilon(accountant: Any, ratio: float, rounds: int, delta: float) -> float:
    accountant.compose(dp.SelfComposedDpEvent(dp.GaussianDpEvent(ratio), rounds))
    return float(accountant.get_epsilon(delta))


# The only excess of ours over the exact value: the squared parameter is rounded up to 1e-9 in each
# round.


@pytest.mark.parametrize(("ratio", "rounds", "delta"), GRID)
def test_epsilon_is_googles_analytic_one(ratio: float, rounds: int, delta: float) -> None:
    ours = epsilon_at(composed(ratio, rounds), delta)
    exact = gaussian_mechanism.get_epsilon_gaussian(ratio / math.sqrt(rounds), delta)
    assert exact <= ours <= exact * (1 + 1e-6)


@pytest.mark.parametrize(("ratio", "rounds", "delta"), [g for g in GRID if g[0] >= 1 and g[1] < 99])
def test_epsilon_is_googles_of_privacy_loss_distributions(
    ratio: float, rounds: int, delta: float
) -> None:
    ours = epsilon_at(composed(ratio, rounds), delta)
    theirs = accountant_epsilon(pld.PLDAccountant(), ratio, rounds, delta)
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("ratio", "rounds", "delta"), GRID)
def test_epsilon_is_below_that_of_renyi_accounting(ratio: float, rounds: int, delta: float) -> None:
    theirs = accountant_epsilon(rdp.RdpAccountant(), ratio, rounds, delta)
    assert epsilon_at(composed(ratio, rounds), delta) < theirs


@pytest.mark.parametrize(("clip", "sigma"), [(1, 1000), (1000, 1000), (3000, 1000), (500, 1500)])
@pytest.mark.parametrize("delta", [1e-10, 1e-6, 1e-2])
def test_a_discrete_gaussian_is_charged_what_it_costs(clip: int, sigma: int, delta: float) -> None:
    """Their sum over the integers themselves: what is charged covers it, and hardly more."""
    loss: Any = privacy_loss_mechanism.DiscreteGaussianPrivacyLoss(
        float(sigma), sensitivity=clip, truncation_bound=14 * sigma
    )
    epsilon = epsilon_at(gaussian_cost(clip, sigma), delta)
    assert loss.get_delta_for_epsilon(epsilon) <= delta
    assert epsilon == 0 or loss.get_delta_for_epsilon(epsilon * 0.999) > delta


def exact_delta(squared: Any, epsilon: Any) -> Any:
    """Balle and Wang's formula as it stands, with digits enough for what it cancels."""
    m = mp.sqrt(squared)
    tail: Callable[[Any], Any] = lambda x: mp.erfc(x / mp.sqrt(2)) / 2
    return tail(epsilon / m - m / 2) - mp.exp(epsilon) * tail(epsilon / m + m / 2)


@pytest.mark.parametrize("parameter", [1e-4, 1e-3, 0.1, 1, 5.9, 12.1, 50])
@pytest.mark.parametrize("delta", [1e-15, 1e-9, 1e-5, 0.1])
def test_epsilon_is_rounded_up_and_by_little(parameter: float, delta: float) -> None:
    gaussian = math.ceil(parameter**2 * 1e9)
    epsilon = epsilon_at(Cost(gaussian), delta)
    with mp.workdps(80):
        squared, wanted = mp.mpf(gaussian) / 10**9, mp.mpf(delta)
        assert exact_delta(squared, mp.mpf(epsilon)) <= wanted
        if epsilon:
            assert exact_delta(squared, mp.mpf(epsilon) * (1 - 1e-11) - 1e-14) > wanted


@given(
    gaussian=st.integers(1, 10**13), epsilon=st.integers(1, 10**12), delta=st.integers(1, 10**14)
)
def test_a_budget_is_kept_to_by_the_exact_delta(gaussian: int, epsilon: int, delta: int) -> None:
    """Whatever the parameter, from 3e-5 to 100, nothing is let through or refused for a
    rounding."""
    cost = Cost(gaussian)
    with mp.workdps(2000 if gaussian > 10**12 else 400):
        exact = exact_delta(mp.mpf(gaussian) / 10**9, mp.mpf(epsilon) / 10**9)
        bound = mp.mpf(delta) / 10**15
        assert is_within(cost, _budget(epsilon, delta)) == (exact <= bound)


def _budget(epsilon: int, delta: int) -> Budget:
    return Budget(decimal_text(epsilon, 9), decimal_text(delta, 15))


# Composition.


@given(a=costs, b=costs, c=costs)
def test_costs_add_in_any_order(a: Cost, b: Cost, c: Cost) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Cost() == a
    assert decode_cost(a) == a


def decode_cost(cost: Cost) -> Cost:
    """By way of its JSON."""
    return Cost.from_dict(cost.to_dict())


def test_a_sum_beyond_all_integers_has_no_bound() -> None:
    most = Cost(gaussian=2**53)
    assert most.bounded
    assert most + Cost(gaussian=1) == UNBOUNDED
    for amounts in ((-1, 0, 0), (0, 2**53 + 1, 0)):
        with pytest.raises(DocumentMalformed):
            Cost(*amounts)


@pytest.mark.parametrize(
    "value", [None, [], [1, 2], [1, 2, 3, 4], [1, True, 2], [1.0, 0, 0], "any"]
)
def test_what_is_no_cost(value: object) -> None:
    with pytest.raises(DocumentMalformed):
        Cost.from_dict(value)


def test_declared_costs_add_and_take_from_the_delta_of_the_rest() -> None:
    gaussian, declared = composed(4, 15), Declared("0.5", "4e-7").cost
    together = epsilon_at(gaussian + declared + declared, Fraction(1, 10**6))
    alone = epsilon_at(gaussian, Fraction(2, 10**7))
    assert together == pytest.approx(alone + 1, rel=1e-12)
    assert together >= alone + 1
    assert epsilon_at(declared + declared, 1e-6) == pytest.approx(1)
    assert epsilon_at(declared + declared, Fraction(8, 10**7)) == pytest.approx(1)
    assert epsilon_at(gaussian + declared, Fraction(4, 10**7)) == math.inf
    assert epsilon_at(declared + declared, 7.9e-7) == math.inf
    assert epsilon_at(UNBOUNDED, 0.5) == math.inf
    assert epsilon_at(Cost(), 1e-9) == 0


def test_noise_that_is_too_small_to_be_accounted_for_is_refused() -> None:
    assert gaussian_cost(0, 1000) == Cost()
    assert gaussian_cost(1, 10**9).gaussian == 1  # rounded up
    for clip, sigma in ((1, 999), (1, 0), (1, -1000), (-1, 1000), (10**8, 1000)):
        with pytest.raises(DocumentMalformed):
            gaussian_cost(clip, sigma)


# Budgets.


def test_a_budget_is_held_to_its_last_unit() -> None:
    budget, unit = Budget("1", "1e-6"), Cost(epsilon=1)
    almost = Declared("0.999999999", "1e-6").cost
    assert is_within(almost + unit, budget)
    check_budget("owner", budget, almost, unit)
    with pytest.raises(PrivacyBudget) as refusal:
        check_budget("owner", budget, almost + unit, unit)
    assert refusal.value.details["expected"] == "epsilon at most 1 at delta 1e-6"
    assert refusal.value.details["actual"] == "epsilon 1.001 (so far epsilon 1)"
    assert not is_within(Cost(delta=10**9 + 1), budget)
    assert not is_within(UNBOUNDED, Budget("1000000", "0.999999999999999"))


def test_a_gaussian_cost_is_within_a_budget_up_to_its_epsilon() -> None:
    cost = composed(4, 15)
    epsilon = epsilon_at(cost, 1e-6)
    above, below = math.ceil(epsilon * 1e9), math.floor(epsilon * 1e9) - 1
    assert is_within(cost, _budget(above, 10**9))
    assert not is_within(cost, _budget(below, 10**9))
    assert not is_within(cost + Cost(delta=10**9), _budget(above, 10**9))


@pytest.mark.parametrize("text", ["1", "0.5", "0.001", "1e-6", "2.5e-7", "1000000", "1e-9"])
def test_a_decimal_has_one_form(text: str) -> None:
    declared = Declared(text, "0")
    assert decode(Declared, encode(declared)) == declared
    assert declared.cost.epsilon == Fraction(text) * 10**9


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "+1", "1.0", "01", ".5", "5.", "1e6", "1E-6", "0.0001", "10e-7", "1000001",
     "1e-10", "nan", "inf", "1_0", " 1", "1,5", "1/2", "٣"],
)  # fmt: skip
def test_what_is_no_epsilon(text: str) -> None:
    for cls in (Budget, Declared):
        with pytest.raises(DocumentMalformed) as refusal:
            cls(text, "1e-6")
        assert refusal.value.details["claim"] == "privacy.epsilon"


def test_a_delta_is_below_one_and_a_budget_has_one() -> None:
    for cls, text in ((Budget, "0"), (Budget, "1"), (Declared, "1"), (Budget, "1e-16")):
        with pytest.raises(DocumentMalformed) as refusal:
            cls("1", text)
        assert refusal.value.details["claim"] == "privacy.delta"
    assert Declared("1", "0").cost == Cost(epsilon=10**9)
    assert Budget("1", "1e-15").units == (10**9, 1)
