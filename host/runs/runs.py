# SPDX-License-Identifier: Apache-2.0
"""What runs for callers: each run once, until it has ended, and again when the host is started
again."""

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from placet.governance.documents import Action
from placet.host.documents import read_stored
from placet.host.log.log import Log
from placet.host.runs.board import Show
from placet.host.runs.federation_record import FederationRecord
from placet.host.runs.federation_run import FederationRun
from placet.host.runs.job_run import JobRun
from placet.host.runs.run import Needs, Order, Run
from placet.host.runs.service_record import show_service
from placet.host.runs.service_run import ServiceRun
from placet.host.store import run_table
from placet.host.tasks import Tasks
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2
from placet.refusals import AuthorityUnavailable, WorkerUnavailable

RUNS: dict[Action, type[Run]] = {"federate": FederationRun, "serve": ServiceRun, "job": JobRun}


def shows(log: Log) -> Mapping[Action, Show]:
    """What makes the messages by which callers see runs."""
    return {
        "federate": lambda run, _: FederationRecord.of(run, log).to_proto(),
        "serve": show_service,
    }


def end_lost(connection: sa.Connection) -> None:
    """Before jobs are recovered: those of services end, for their workers went with the former
    host."""
    text = "The host was started again, and the worker has gone."
    run_table.end_lost(connection, refusal_of(WorkerUnavailable(text)))


class Runs:
    """The runs by their ids."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._runs: dict[str, Run] = {}
        self._tasks = Tasks()
        self._draining = False

    async def start(self, order: Order) -> None:
        """Do what a caller asks for, and return once it has begun.

        Raises `QueueFull`, `AuthorityUnavailable`, the authority's refusal, or what else the kind
        of run refuses.
        """
        if self._draining:
            raise AuthorityUnavailable("The host is shutting down. Try again later.")
        run = self._runs.get(order.run) or RUNS[order.facts.action](order, self._needs)
        await run.begin(order, self)

    def live(self, run: Run) -> bool:
        """Whether this one is under way."""
        return self._runs.get(run.id) is run

    def count(self, kind: type[Run]) -> int:
        """How many of a kind are under way."""
        return sum(isinstance(run, kind) for run in self._runs.values())

    def spawn(self, run: Run) -> None:
        """Let it run; nothing changes if one of its id does."""
        if run.id not in self._runs:
            self._runs[run.id] = run
            self._tasks.spawn(self._live(run))

    def recover(self, connection: sa.Connection) -> Callable[[], None]:
        """Read what the former host left; call what is returned in the event loop."""
        tickets = run_table.left_runs(connection)
        found = [(facts, t) for t in tickets if (facts := read_stored(t)) is not None]

        def resume() -> None:
            for facts, ticket in found:
                order = Order(facts, common_pb2.Ticket.FromString(ticket))
                self.spawn(RUNS[facts.action](order, self._needs))

        return resume

    def drain(self) -> None:
        """Start nothing more."""
        self._draining = True

    async def close(self) -> None:
        """End them all, wherever they are; what they have made durable is left to the next host."""
        await self._tasks.cancel()

    async def _live(self, run: Run) -> None:
        try:
            await run.run()
        finally:
            del self._runs[run.id]
            run.refuse(AuthorityUnavailable("The start was interrupted. Ask again."))
