# SPDX-License-Identifier: Apache-2.0
"""Places for what may be open at once: whoever comes when all are taken waits for a turn.

Owners have their turns one after the other, each for whoever of theirs has waited longest, so one
who comes with very many holds nobody else up by more than one of them.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from placet.refusals import QueueFull


class PutPlaces:
    """At most `most` at once, and `waiting` besides that wait, for `patience` seconds."""

    def __init__(self, most: int, waiting: int, patience: float) -> None:
        self._free = most
        self._most_waiting = waiting
        self._patience = patience
        self._waiting = 0
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def place(self, owner: str) -> AsyncGenerator[None, None]:
        """A place, once it is the owner's turn. Raises `QueueFull` where too many wait already, or
        none was free for too long."""
        await self._take(owner)
        try:
            yield
        finally:
            self._leave()

    async def _take(self, owner: str) -> None:
        if self._free:  # nobody waits then
            self._free -= 1
            return
        if self._waiting >= self._most_waiting:
            raise QueueFull("Too many puts wait for a place. Try again later.")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(owner, deque()).append(turn)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except TimeoutError:
            self._give_up(owner, turn)
            raise QueueFull(
                f"No place for a put was free for {self._patience:g} s. Try again later."
            ) from None
        except asyncio.CancelledError:
            self._give_up(owner, turn)
            raise
        finally:
            self._waiting -= 1

    def _give_up(self, owner: str, turn: asyncio.Future[None]) -> None:
        """Whoever waited goes; a place that was given in the same moment is passed on."""
        if turn.done() and not turn.cancelled():
            self._leave()
            return
        line = self._lines.get(owner, deque())
        if turn in line:
            line.remove(turn)
            if not line:
                del self._lines[owner]

    def _leave(self) -> None:
        """A place is free: it is the turn of whoever comes next."""
        while self._lines:
            owner, line = self._lines.popitem(last=False)
            turn = line.popleft()
            if line:
                self._lines[owner] = line  # at the end
            if not turn.done():  # who is about to give up has been cancelled
                turn.set_result(None)
                return
        self._free += 1
