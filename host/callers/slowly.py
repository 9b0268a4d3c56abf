# SPDX-License-Identifier: Apache-2.0
"""What strangers get without end comes slowly: refusals, and answers in a stream of questions.

Each address has a rate for them. Whoever asks again as soon as an answer is there, however often
it is a refusal, would have all of the host's one event loop otherwise; so answers above the rate
come late, and a refusal that waits has no place among the calls.
"""

import asyncio

from placet.host.callers.rate import Rate

_LATEST = 5.0  # seconds that an answer is late at most
_WAITING = 2048  # answers that wait at once; further ones are not late


class Slowly:
    """`a_second` are the answers of an address that come at once."""

    def __init__(self, a_second: float) -> None:
        self._rate = Rate(a_second)
        self._waiting = 0

    async def answer(self, address: str) -> None:
        """Return when the next answer to this address may leave."""
        late = self._rate.owe(address, _LATEST)
        if not late or self._waiting >= _WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(late)
        finally:
            self._waiting -= 1
