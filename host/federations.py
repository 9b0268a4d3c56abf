# SPDX-License-Identifier: Apache-2.0
"""The federations that run: started once each, and again when the host is."""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa

from placet.host import federation_table
from placet.host._documents import TicketFacts, read_stored
from placet.host.errors import AuthorityUnavailable, QueueFull
from placet.host.federation_run import FederationRun, RunNeeds
from placet.host.tasks import Tasks
from placet.proto.v1 import common_pb2

_BEGIN_SECONDS = 30.0


class Federations:
    """See the module. At most `max_running` run at once."""

    def __init__(self, needs: RunNeeds, max_running: int) -> None:
        self._needs = needs
        self._max_running = max_running
        self._runs: dict[str, FederationRun] = {}
        self._tasks = Tasks()

    async def start(self, facts: TicketFacts, ticket: common_pb2.Ticket) -> None:
        """Run a federation, and return once it has a round; nothing changes if it runs or is finished.

        One that failed goes on; one that was stopped stays so. Raises the authority's
        refusal, `QueueFull`, or `AuthorityUnavailable`: then it begins once there is an authority.
        """
        run = self._runs.get(facts.proposal)
        if run is None:
            if len(self._runs) >= self._max_running:
                raise QueueFull(f"{self._max_running} federations run already. Try again later.")
            run = self._spawn(facts, ticket)
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                await asyncio.shield(run.begun)
        except TimeoutError:
            text = "No authority opens the first round now. It is tried again; so ask again."
            raise AuthorityUnavailable(text) from None

    def recover(self, connection: sa.Connection) -> Callable[[], None]:
        """Read what the former host left; call what is returned in the event loop."""
        found = [
            (facts, ticket)
            for ticket in federation_table.running_federations(connection)
            if (facts := read_stored(ticket)) is not None
        ]

        def resume() -> None:
            for facts, ticket in found:
                if facts.proposal not in self._runs:
                    self._spawn(facts, common_pb2.Ticket.FromString(ticket))

        return resume

    async def close(self) -> None:
        """Stop deciding; what runs is left to the next host."""
        await self._tasks.cancel()

    def _spawn(self, facts: TicketFacts, ticket: common_pb2.Ticket) -> FederationRun:
        run = self._runs[facts.proposal] = FederationRun(facts, ticket, self._needs)
        self._tasks.spawn(self._live(run, facts.proposal))
        return run

    async def _live(self, run: FederationRun, federation: str) -> None:
        try:
            await run.run()
        finally:
            del self._runs[federation]
