# SPDX-License-Identifier: Apache-2.0
"""The exact trade-off of the Gaussian mechanism: delta for an epsilon, and epsilon for a delta.

A mechanism of squared parameter m^2 = (sensitivity / sigma)^2 is (epsilon, delta)-private exactly
from

    delta(epsilon) = Q(epsilon/m - m/2) - e^epsilon Q(epsilon/m + m/2)

on (Balle and Wang 2018, theorem 8), Q being the upper tail of the standard normal; releases compose
by adding their m^2. With t = epsilon/m - m/2 and the Mills ratio R = Q/phi the same is phi(t) (R(t)
- R(t + m)), in which nothing overflows.

All is computed in decimals of 60 digits, by operations that are rounded correctly (exp, sqrt, + - *
/), so every machine gets the same digits. Fewer than 20 of the 60 are lost: 9 to the series at 6,
and to the difference as many as m/40 has zeros after the point, at most 7 for the smallest m. So
the relative error is below 1e-40, and `_SLACK` makes the result an upper bound.
"""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999, traps=[])
_SLACK = Decimal("1e-30")  # relative, and absolute at 1e-40
_LEAST = Decimal("1e-40")
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
_HALF = Decimal("0.5")

# Below it the series, from it on the continued fraction.
_TURN = 6
# At 6 its relative error after n steps is about exp(-2 * 6 * sqrt(2 n)): below 1e-60 from 70 on.
_STEPS = 120
# Where the tail is below 1e-340, or as near to 1.
_FAR = 40


def tail_delta(squared: Decimal, epsilon: Decimal) -> Decimal:
    """An upper bound, by less than 1e-30 relative or 1e-40, of delta at this epsilon >= 0, for m^2
    = `squared` > 0."""
    m = _EXACT.sqrt(squared)
    t = _sub(_div(epsilon, m), _mul(_HALF, m))
    if t > _FAR:
        return _LEAST
    if t < -_FAR:
        return Decimal(1)
    density = _div(Decimal(1), _mul(_root_of_two_pi(), _exp(_mul(_mul(t, t), _HALF))))
    delta = _mul(density, _sub(_mills(t), _mills(_add(t, m))))
    return min(Decimal(1), _add(_mul(delta, _add(Decimal(1), _SLACK)), _LEAST))


def epsilon_of(squared: Decimal, delta: Decimal) -> Decimal:
    """The smallest epsilon at this delta > 0, for m^2 = `squared` >= 0, from above by at most 1e-12
    relative or 1e-15.

    By bisection; what is returned satisfies `tail_delta(squared, epsilon) <= delta`.
    """
    low = high = Decimal(0)
    if not squared or tail_delta(squared, low) <= delta:
        return low
    high = Decimal("0.001")
    while tail_delta(squared, high) > delta:
        low, high = high, _mul(high, Decimal(2))
    while _sub(high, low) > max(_mul(high, Decimal("1e-12")), Decimal("1e-15")):
        middle = Context(prec=40, rounding=ROUND_CEILING).multiply(_add(low, high), _HALF)
        if tail_delta(squared, middle) > delta:
            low = middle
        else:
            high = middle
    return high


def _mills(x: Decimal) -> Decimal:
    """Q(x) / phi(x)."""
    if x < 0:
        whole = _mul(_root_of_two_pi(), _exp(_mul(_mul(x, x), _HALF)))
        # Not `-x`: that would round to the precision of whatever context the caller has.
        return _sub(whole, _mills(x.copy_negate()))
    return _mills_by_series(x) if x < _TURN else _mills_by_fraction(x)


def _mills_by_series(x: Decimal) -> Decimal:
    """sqrt(pi/2) e^(x^2/2) - (x + x^3/3 + x^5/(3 5) + ...) (Abramowitz and Stegun 26.2.11)."""
    square = _mul(x, x)
    half = _mul(_mul(_HALF, _root_of_two_pi()), _exp(_mul(square, _HALF)))
    total, term, odd = Decimal(0), x, 1
    while _add(total, term) != total:
        total, odd = _add(total, term), odd + 2
        term = _div(_mul(term, square), Decimal(odd))
    return _sub(half, total)


def _mills_by_fraction(x: Decimal) -> Decimal:
    """1/(x + 1/(x + 2/(x + 3/(x + ...)))) (Laplace; Abramowitz and Stegun 26.2.14)."""
    rest = x
    for step in range(_STEPS, 0, -1):
        rest = _add(x, _div(Decimal(step), rest))
    return _div(Decimal(1), rest)


def _root_of_two_pi() -> Decimal:
    return _EXACT.sqrt(_mul(Decimal(2), _PI))


_add, _sub, _mul, _div, _exp = (
    _EXACT.add,
    _EXACT.subtract,
    _EXACT.multiply,
    _EXACT.divide,
    _EXACT.exp,
)
