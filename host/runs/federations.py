# SPDX-License-Identifier: Apache-2.0
"""The federations that run: started once each, and again when the host is."""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa

from placet.host.documents import TicketFacts
from placet.host.errors import AuthorityUnavailable, QueueFull
from placet.host.runs.federation_run import FederationRun, RunNeeds
from placet.host.runs.runs import Runs
from placet.host.store import federation_table
from placet.proto.v1 import common_pb2

_BEGIN_SECONDS = 30.0


class Federations:
    def __init__(self, needs: RunNeeds, max_running: int) -> None:
        self._max_running = max_running
        self._runs = Runs(lambda facts, ticket: FederationRun(facts, ticket, needs))

    async def start(self, facts: TicketFacts, ticket: common_pb2.Ticket) -> None:
        """Run a federation, and return once it has a round; nothing changes if it runs or is
        finished.

        One that failed goes on; one that was stopped stays so. Raises the authority's
        refusal, `QueueFull`, or `AuthorityUnavailable`: then it begins once there is an authority.
        """
        run = self._runs.get(facts.proposal)
        if run is None:
            if len(self._runs) >= self._max_running:
                raise QueueFull(f"{self._max_running} federations run already. Try again later.")
            run = self._runs.spawn(facts, ticket)
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                await asyncio.shield(run.begun)
        except TimeoutError:
            text = "No authority opens the first round now. It is tried again; so ask again."
            raise AuthorityUnavailable(text) from None

    def recover(self, connection: sa.Connection) -> Callable[[], None]:
        """Read what the former host left; call what is returned in the event loop."""
        return self._runs.recover(federation_table.running_federations(connection))

    async def close(self) -> None:
        """Stop deciding; what runs is left to the next host."""
        await self._runs.close()
