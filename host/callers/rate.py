# SPDX-License-Identifier: Apache-2.0
"""So many of a thing a second of each address, and as many at once as two seconds bring."""

import time
from collections import OrderedDict
from collections.abc import Callable

_MAX_ADDRESSES = 4096


class Rate:
    """`now` gives the time in seconds."""

    def __init__(self, a_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._most = 2 * a_second
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, and when

    def spend(self, address: str, cost: float = 1.0) -> float:
        """Spend what there is, or nothing; the seconds until there is enough, none if there was."""
        cost = min(cost, self._most)
        left = self._now_left(address)
        spent = left >= cost
        self._keep(address, left - cost if spent else left)
        return 0.0 if spent else (cost - left) / self._a_second

    def owe(self, address: str, most: float) -> float:
        """Spend one in any case; the seconds after which there was enough, `most` at most."""
        left = max(self._now_left(address) - 1.0, -most * self._a_second)
        self._keep(address, left)
        return max(0.0, -left / self._a_second)

    def _now_left(self, address: str) -> float:
        left, then = self._left.pop(address, (self._most, 0.0))
        return min(left + (self._now() - then) * self._a_second, self._most)

    def _keep(self, address: str, left: float) -> None:
        self._left[address] = left, self._now()
        if len(self._left) > _MAX_ADDRESSES:
            self._left.popitem(last=False)
