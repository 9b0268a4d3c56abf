# SPDX-License-Identifier: Apache-2.0
"""Privacy as documents say it: a budget, a declared cost, and what was charged.

All are (epsilon, delta)-differential privacy (Dwork and Roth 2014, definition 2.4), or Gaussian
differential privacy (Dong, Roth and Su 2019), which composes without loss. Amounts are whole
numbers of small units, so that they add exactly and every judge gets the same sum.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from placet.governance.checks import check_decimal, check_range
from placet.governance.codec import as_list, malformed

# One unit of epsilon and of a squared Gaussian parameter, and one of delta, are 10 to the minus
# these.
EPSILON_DIGITS = 9
DELTA_DIGITS = 15
# The codec's bound on integers.
MAX_AMOUNT = 2**53

_MAX_EPSILON = 1_000_000 * 10**EPSILON_DIGITS


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound on an owner's whole ledger: epsilon at this delta, each a decimal in its one
    form ("0.5", "1e-6")."""

    epsilon: str
    delta: str

    def __post_init__(self) -> None:
        _units("privacy.epsilon", self.epsilon, EPSILON_DIGITS, 1, _MAX_EPSILON)
        _units("privacy.delta", self.delta, DELTA_DIGITS, 1, 10**DELTA_DIGITS - 1)

    @property
    def units(self) -> tuple[int, int]:
        """Epsilon and delta in their units."""
        return _in_units(self.epsilon, EPSILON_DIGITS), _in_units(self.delta, DELTA_DIGITS)


@dataclass(frozen=True, slots=True)
class Declared:
    """The cost of one use to each owner of the inputs, as the program's author claims it; delta may
    be "0"."""

    epsilon: str
    delta: str

    def __post_init__(self) -> None:
        _units("privacy.epsilon", self.epsilon, EPSILON_DIGITS, 1, _MAX_EPSILON)
        _units("privacy.delta", self.delta, DELTA_DIGITS, 0, 10**DELTA_DIGITS - 1)

    @property
    def cost(self) -> "Cost":
        """The charge for each use."""
        epsilon = _in_units(self.epsilon, EPSILON_DIGITS)
        return Cost(epsilon=epsilon, delta=_in_units(self.delta, DELTA_DIGITS))


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of releases to an owner, in whole units; `+` composes. In JSON `[gaussian, epsilon,
    delta]` or "unbounded".

    gaussian: the sum of the squared parameters of Gaussian differential privacy, in 1e-9.
    epsilon, delta: the sums of what was declared, in 1e-9 and 1e-15.
    """

    gaussian: int = 0
    epsilon: int = 0
    delta: int = 0
    bounded: bool = True

    def __post_init__(self) -> None:
        for name in ("gaussian", "epsilon", "delta"):
            check_range("cost." + name, getattr(self, name), 0, MAX_AMOUNT if self.bounded else 0)

    def __add__(self, other: "Cost") -> "Cost":
        """Both. A sum that no integer of the log can hold has no bound, so the order of a sum never
        matters."""
        sums = (
            self.gaussian + other.gaussian,
            self.epsilon + other.epsilon,
            self.delta + other.delta,
        )
        if not (self.bounded and other.bounded) or max(sums) > MAX_AMOUNT:
            return UNBOUNDED
        return Cost(*sums)

    def to_dict(self) -> list[int] | str:
        return [self.gaussian, self.epsilon, self.delta] if self.bounded else "unbounded"

    @classmethod
    def from_dict(cls, value: Any) -> "Cost":
        """Raises `DocumentMalformed`."""
        if value == "unbounded":
            return UNBOUNDED
        amounts = as_list(value, "cost")
        if len(amounts) != 3 or any(type(amount) is not int for amount in amounts):
            raise malformed("cost", 'three integers, or "unbounded"', "something else")
        return cls(*value)


UNBOUNDED = Cost(bounded=False)


def decimal_text(units: int, digits: int) -> str:
    """The one form of a number of units of 10 to the minus `digits`: below 0.001 with an
    exponent."""
    value = Decimal(f"{units}e-{digits}").normalize()
    if not value:
        return "0"
    return f"{value:f}" if value >= Decimal("0.001") else f"{value:e}"


def _in_units(text: str, digits: int) -> int:
    return int(Fraction(text) * 10**digits)


def _units(claim: str, text: str, digits: int, low: int, high: int) -> None:
    """Refuse what is not a decimal in its one form, of at most this many places, from `low` to
    `high` units."""
    value = check_decimal(claim, text, decimal_text(low, digits), decimal_text(high, digits))
    units = value * 10**digits
    if units.denominator != 1:
        raise malformed(claim, f"of at most {digits} places", text)
    if decimal_text(int(units), digits) != text:
        raise malformed(claim, f"written as {decimal_text(int(units), digits)}", text)
