# SPDX-License-Identifier: Apache-2.0
"""Attempts and rounds that are over are ended by an entry, in the step of whatever ended them.

A lease lapses, a boot ends all leases before it, a window closes, an approval expires, a seat goes,
a grant is withdrawn, the constitution changes: nobody sends a document that says which attempts and
which rounds this ends. After every request the authority judges all of them, and appends the
`close` or `close-round` that settles what was reserved and retires the key. An attempt that ends by
time alone stays until the next request of anybody. In between nothing can be had of it: whoever
asks is judged at that time.
"""

from contextlib import suppress

from placet.enclave.authority.core import Core
from placet.governance.judgements.federation import judge_vain
from placet.governance.judgements.leasing import judge_lapsed
from placet.refusals import ClockJumped, DocumentNotFound


class Endings:
    """Ends what is over. Nothing is judged twice over the same log in the same second."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._judged = (0, 0)

    async def append(self) -> None:
        """The entries of all that is over: leases first, since a round may wait for one."""
        with suppress(ClockJumped):  # nothing expires by a clock that nobody believes
            await self._append()

    async def _append(self) -> None:
        core = self._core
        if self._judged == self._now():
            return
        for entry in judge_lapsed(core.ledger, core.now()):
            core.append(entry)
        for federation in list(core.ledger.state.federations):
            await self._end_round(federation)
        self._judged = self._now()

    async def _end_round(self, federation: str) -> None:
        core = self._core
        try:
            entry = await core.judged(lambda: judge_vain(core.ledger, federation, core.now()))
        except DocumentNotFound:
            return  # the host withholds what it takes; the next request tries again
        if entry is not None:
            core.append(entry)

    def _now(self) -> tuple[int, int]:
        return self._core.ledger.tree.size, self._core.now().at_most
