# SPDX-License-Identifier: Apache-2.0
"""Asks somebody again and again, and knows for how long nobody has answered: what hangs says
nothing of itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_BEAT = 2.0  # seconds between an answer and the next question


class Pulse:
    """`answered` asks once; False if no answer came."""

    def __init__(self, answered: Callable[[], Awaitable[bool]]) -> None:
        self._answered = answered
        self._since: float | None = None  # when the first question that has no answer was asked

    @property
    def silent(self) -> float:
        """Seconds since the first question that has no answer."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            if self._since is None:
                self._since = time.monotonic()
            if await self._answered():
                self._since = None
            await asyncio.sleep(_BEAT)
