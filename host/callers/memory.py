# SPDX-License-Identifier: Apache-2.0
"""What the whole process may take of the memory: calls are refused before the kernel ends it.

Strangers' calls are refused first, when `_STRANGERS` of the bound are taken, and principals' at the
bound. Stops pass always, and so does what a stop takes before: a login, and of principals the log.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from placet.host.callers.caller import Caller, Role
from placet.host.callers.methods import Sort, sort_of
from placet.refusals import QueueFull

_STRANGERS = 0.8
_EVERY = 0.1  # seconds between two looks
_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """The bytes of this process that are in memory."""
    return int(_STATM.read_text().split()[1]) * _PAGE


class Memory:
    """`most` are bytes; `taken` gives how many there are, asked for ten times a second at most."""

    def __init__(self, most: int, taken: Callable[[], int] = resident) -> None:
        self._most = most
        self._taken = taken
        self._last, self._looked = 0, float("-inf")

    def check(self, caller: Caller, method: str) -> None:
        """Raises `QueueFull` where a call of "Service.Method" is too many."""
        sort, stranger = sort_of(method), caller.role is Role.STRANGER
        if sort in (Sort.STOP, Sort.LOGIN) or (sort is Sort.LOOK and not stranger):
            return
        if self._now() > self._most * (_STRANGERS if stranger else 1.0):
            raise QueueFull("The host is short of memory. Try again later.", claim="memory")

    def _now(self) -> int:
        now = time.monotonic()
        if now - self._looked >= _EVERY:
            self._last, self._looked = self._taken(), now
        return self._last
