# SPDX-License-Identifier: Apache-2.0
"""Privacy accounting: what a release costs, what it comes to, and whether it is within an owner's budget.

Neighbours differ in one contribution, replaced by zero; who took part is public, so nothing is gained by sampling. A
sequence of releases, each chosen in sight of those before, costs the sum of their costs.

    cost = gaussian_cost(clip, sigma)                # one release with noise
    epsilon_at(cost + cost, Fraction(1, 10**6))      # two of them
    check_budget(owner, budget, charged, cost)       # raises PrivacyBudget

Decisions take decimal arithmetic of a fixed precision, whose results are the same on every machine; every rounding is
towards more cost.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from placet.governance.codec import malformed
from placet.governance.documents.privacy import (
    DELTA_DIGITS,
    EPSILON_DIGITS,
    MAX_AMOUNT,
    Budget,
    Cost,
)
from placet.governance.errors import PrivacyBudget
from placet.governance.gaussian import epsilon_of, tail_delta

_EPSILON = 10**EPSILON_DIGITS
_DELTA = 10**DELTA_DIGITS
# The discrete Gaussian is a rounding of a continuous one whose variance is smaller by this (see `gaussian_cost`).
_ROUNDING_VARIANCE = 100
_MIN_SIGMA = 1000


def gaussian_cost(clip: int, sigma: int) -> Cost:
    """One release of a sum of integers of L2 norm at most `clip`, with noise of N_Z(0, sigma^2) on each of its coordinates.

    Both are in units of the integers. Raises `DocumentMalformed` for a sigma below 1000 or a cost beyond 2^53 units.

    N_Z(m, sigma^2) for an integer m is, up to a factor of 1 + 1e-800 in each probability, what one gets by drawing x from
    N(m, sigma^2 - 100) and rounding it to N_Z(x, 100) (Peikert 2010, theorem 3.1: 10 is far above the smoothing parameter of
    the integers). The rounding does not know m, so the release is as private as the continuous one, and it is charged
    clip^2 / (sigma^2 - 100), rounded up.
    """
    if sigma < _MIN_SIGMA:
        raise malformed("sigma", f"at least {_MIN_SIGMA}", str(sigma))
    if clip < 0:
        raise malformed("clip", "at least 0", str(clip))
    amount = -(-_EPSILON * clip**2 // (sigma**2 - _ROUNDING_VARIANCE))
    if amount > MAX_AMOUNT:
        raise malformed("sigma", "noise that hides something of the clip", f"{sigma} for {clip}")
    return Cost(gaussian=amount)


def epsilon_at(cost: Cost, delta: Fraction | float) -> float:
    """The epsilon of a cost at this delta, rounded up; infinity where no epsilon is enough.

    What was declared adds to the Gaussian part by basic composition, delta and epsilon each.
    """
    left = Fraction(delta) - Fraction(cost.delta, _DELTA)
    if not cost.bounded or left < 0 or (cost.gaussian and left == 0):
        return math.inf
    declared = _ratio(Fraction(cost.epsilon, _EPSILON), ROUND_CEILING)
    squared = Decimal(f"{cost.gaussian}e-{EPSILON_DIGITS}")
    gaussian = epsilon_of(squared, _ratio(left, ROUND_FLOOR))
    total = Context(prec=50, rounding=ROUND_CEILING).add(declared, gaussian)
    return math.nextafter(float(total), math.inf) if total else 0.0


def is_within(cost: Cost, budget: Budget) -> bool:
    """Whether a cost is within a budget: one evaluation of the exact delta, at the epsilon that is left."""
    epsilon, delta = budget.units
    if not cost.bounded or cost.epsilon > epsilon or cost.delta > delta:
        return False
    if not cost.gaussian:
        return True
    squared = Decimal(f"{cost.gaussian}e-{EPSILON_DIGITS}")
    left = Decimal(f"{epsilon - cost.epsilon}e-{EPSILON_DIGITS}")
    return tail_delta(squared, left) <= Decimal(f"{delta - cost.delta}e-{DELTA_DIGITS}")


def check_budget(owner: str, budget: Budget, charged: Cost, cost: Cost) -> None:
    """Refuse a cost that, with all that the owner has been charged, is beyond a budget. Raises `PrivacyBudget`."""
    if is_within(charged + cost, budget):
        return
    spent, then = describe_cost(charged, budget.delta), describe_cost(charged + cost, budget.delta)
    raise PrivacyBudget(
        f"{owner} allows epsilon {budget.epsilon} at delta {budget.delta} in all. So far it is {spent}, and with this it "
        f"would be {then}. Propose what costs less, or ask the owner for a wider grant.",
        claim="privacy",
        expected=f"epsilon at most {budget.epsilon} at delta {budget.delta}",
        actual=f"{then} (so far {spent})",
    )


def describe_cost(cost: Cost, delta: str) -> str:
    """A cost in words, at a delta: `epsilon 1.234`, rounded up to four digits."""
    if not cost.bounded:
        return "without bound"
    epsilon = epsilon_at(cost, Fraction(delta))
    if math.isinf(epsilon):
        return "more than that delta"
    rounded = Context(prec=4, rounding=ROUND_CEILING).create_decimal(epsilon).normalize()
    return f"epsilon {rounded:f}"


def _ratio(value: Fraction, rounding: str) -> Decimal:
    """A fraction as a decimal, rounded as told."""
    return Context(prec=50, rounding=rounding).divide(
        Decimal(value.numerator), Decimal(value.denominator)
    )
