# SPDX-License-Identifier: Apache-2.0
"""Privacy accounting: what a release costs, what it comes to, and whether it is within an owner's
budget.

Neighbours differ in one contribution, replaced by zero; who took part is public, so nothing is
gained by sampling. A sequence of releases, each chosen in sight of those before, costs the sum of
their costs.

    cost = gaussian_cost(clip, sigma)                # one release with noise
    epsilon_at(cost + cost, Fraction(1, 10**6))      # two of them
    check_budget(owner, budget, charged, cost)       # raises PrivacyBudget

Decisions take decimal arithmetic of a fixed precision, whose results are the same on every machine;
every rounding is towards more cost.
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
from placet.governance.gaussian import epsilon_of, tail_delta
from placet.refusals import PrivacyBudget

_EPSILON = 10**EPSILON_DIGITS
_DELTA = 10**DELTA_DIGITS
# The discrete Gaussian is a rounding of a continuous one whose variance is smaller by this (see
# `gaussian_cost`).
_ROUNDING_VARIANCE = 100
_MIN_SIGMA = 1000


def gaussian_cost(clip: int, sigma: int) -> Cost:
    """One release of a sum of integers of L2 norm at most `clip`, with noise of N_Z(0, sigma^2) on
    each of its coordinates.

    Both are in units of the integers. Raises `DocumentMalformed` for a sigma below 1000 or a cost
    beyond 2^53 units.

    N_Z(m, sigma^2) for an integer m is, up to a factor of 1 + 1e-800 in each probability, what one
    gets by drawing x from N(m, sigma^2 - 100) and rounding it to N_Z(x, 100) (Peikert 2010, theorem
    3.1: 10 is far above the smoothing parameter of the integers). The rounding does not know m, so
    the release is as private as the continuous one, and it is charged clip^2 / (sigma^2 - 100),
    rounded up.
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

    The declared part adds to the Gaussian part by basic composition, delta and epsilon each.
    """
    epsilon = _epsilon(cost, Fraction(delta))
    nearest = float(epsilon)
    return nearest if Decimal(nearest) >= epsilon else math.nextafter(nearest, math.inf)


def _epsilon(cost: Cost, delta: Fraction) -> Decimal:
    left = delta - Fraction(cost.delta, _DELTA)
    if not cost.bounded or left < 0 or (cost.gaussian and left == 0):
        return Decimal("Infinity")
    declared = Decimal(f"{cost.epsilon}e-{EPSILON_DIGITS}")
    squared = Decimal(f"{cost.gaussian}e-{EPSILON_DIGITS}")
    floor = Context(prec=50, rounding=ROUND_FLOOR)
    gaussian = epsilon_of(squared, floor.divide(Decimal(left.numerator), Decimal(left.denominator)))
    return Context(prec=50, rounding=ROUND_CEILING).add(declared, gaussian)


def is_within(cost: Cost, budget: Budget) -> bool:
    """Whether a cost is within a budget: one evaluation of the exact delta, at the epsilon that is
    left."""
    epsilon, delta = budget.units
    if not cost.bounded or cost.epsilon > epsilon or cost.delta > delta:
        return False
    if not cost.gaussian:
        return True
    squared = Decimal(f"{cost.gaussian}e-{EPSILON_DIGITS}")
    left = Decimal(f"{epsilon - cost.epsilon}e-{EPSILON_DIGITS}")
    return tail_delta(squared, left) <= Decimal(f"{delta - cost.delta}e-{DELTA_DIGITS}")


def check_budget(owner: str, budget: Budget, charged: Cost, cost: Cost) -> None:
    """Refuse a cost that, with all that the owner has been charged, is beyond a budget. Raises
    `PrivacyBudget`."""
    if is_within(charged + cost, budget):
        return
    spent, then = describe_cost(charged, budget.delta), describe_cost(charged + cost, budget.delta)
    raise PrivacyBudget(
        f"{owner} allows epsilon {budget.epsilon} at delta {budget.delta} in all. So far it is "
        f"{spent}, and with this it would be {then}. Propose what costs less, or ask the owner for "
        "a wider grant.",
        claim="privacy",
        expected=f"epsilon at most {budget.epsilon} at delta {budget.delta}",
        actual=f"{then} (so far {spent})",
    )


def describe_cost(cost: Cost, delta: str) -> str:
    """A cost in words, at a delta as text: `epsilon 1.234`, rounded up to four digits."""
    if not cost.bounded:
        return "without bound"
    epsilon = _epsilon(cost, Fraction(delta))
    if epsilon.is_infinite():
        return f"without bound at delta {delta}"
    rounded = Context(prec=4, rounding=ROUND_CEILING).plus(epsilon).normalize()
    return f"epsilon {rounded:f}"
