# SPDX-License-Identifier: Apache-2.0
"""How much of the host one caller may have, and all callers of a sort.

A call takes a place of its sort while it is open, and no more places are one caller's than a
quarter of them. Principals have places of their own, which no stranger takes. Strangers are told
apart by their address, and make so many calls of a sort a second: whoever looks at the log from an
address keeps nobody there from logging in.
"""

import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from placet.host.callers.caller import Caller, Role
from placet.host.callers.methods import EVIDENCE, Sort, sort_of
from placet.host.callers.rate import Rate
from placet.refusals import QueueFull

_SHARE = 4  # a caller has at most one in so many places of its sort
_STOPS = 64  # places for the stops of principals, and as many for those of strangers
_EVIDENCE_COST = 8.0  # ordinary calls
_STEP_MS = 50  # of what a refusal says: refusals that say the same are made once


@dataclass(slots=True)
class _Room:
    """The places for one sort of calls, and who has how many."""

    places: int
    taken: int = 0
    by_caller: dict[str, int] = field(default_factory=lambda: dict[str, int]())

    @contextmanager
    def place(self, caller: str) -> Generator[None]:
        """Raises `QueueFull`."""
        own, most = self.by_caller.get(caller, 0), max(self.places // _SHARE, 1)
        if own >= most:
            raise QueueFull(
                "You have too many calls open. Wait until some have ended.",
                claim="calls",
                expected=f"at most {most}",
            )
        if self.taken >= self.places:
            raise QueueFull("Too many calls are open. Try again later.", claim="calls")
        self.taken += 1
        self.by_caller[caller] = own + 1
        try:
            yield
        finally:
            self.taken -= 1
            left = self.by_caller[caller] - 1
            if left:
                self.by_caller[caller] = left
            else:
                del self.by_caller[caller]


class Places:
    """`max_calls` are the places for the work of principals; as many are for that of strangers, for
    looking at the log, and for logging in. `stranger_rate` is how many calls of a sort an address
    may make a second without a login, stops apart."""

    def __init__(self, max_calls: int, stranger_rate: float) -> None:
        self._rooms = {
            (role, sort): _Room(_STOPS if sort is Sort.STOP else max_calls)
            for role in (Role.PRINCIPAL, Role.STRANGER)
            for sort in Sort
        }
        self._rates = {sort: Rate(stranger_rate) for sort in Sort if sort is not Sort.STOP}

    @contextmanager
    def place(self, caller: Caller, method: str) -> Generator[None]:
        """A place for one call while it is open. Raises `QueueFull`."""
        sort = sort_of(method)
        if caller.role is Role.STRANGER and sort in self._rates:
            cost = _EVIDENCE_COST if method == EVIDENCE else 1.0
            if wait := self._rates[sort].spend(caller.id, cost):
                raise QueueFull(
                    "Too many calls come from this address. Log in, or try again later.",
                    claim="calls",
                    retry_ms=str(_STEP_MS * math.ceil(1000 * wait / _STEP_MS)),
                )
        with self._rooms[caller.role, sort].place(caller.id):
            yield
