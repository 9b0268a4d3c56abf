# SPDX-License-Identifier: Apache-2.0
"""The services that are served: again as soon as the host is started again."""

from collections.abc import Callable

import sqlalchemy as sa

from placet.host.documents import TicketFacts
from placet.host.errors import QueueFull, RequestMalformed, WorkerUnavailable
from placet.host.runs.runs import Runs
from placet.host.runs.service_run import ServiceRun, ServingNeeds
from placet.host.store import service_table
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2, enclaves_pb2


class Serving:
    """See the module. At most `max_services` are served at once, each by at most `max_workers`
    workers."""

    def __init__(self, needs: ServingNeeds, max_services: int, max_workers: int) -> None:
        self._needs = needs
        self._max_services = max_services
        self._max_workers = max_workers
        self._runs = Runs(lambda facts, ticket: ServiceRun(facts, ticket, needs))

    async def serve(self, facts: TicketFacts, ticket: common_pb2.Ticket, workers: int) -> None:
        """Let a service have so many workers, from now on and after every restart.

        Unless fewer are asked for than before, the ticket is admitted anew first, for anybody may
        send one. Raises the authority's refusal, or `AuthorityUnavailable`; or `RequestMalformed`,
        `QueueFull`, `BlobConflict`, `ServiceNotFound`.
        """
        if workers > self._max_workers:
            raise RequestMalformed(
                "The host does not run so many workers at once. Ask for fewer.",
                claim="workers",
                expected=f"at most {self._max_workers}",
                actual=str(workers),
            )
        new = self._runs.get(facts.proposal) is None
        if workers and new and len(self._runs) >= self._max_services:
            raise QueueFull(f"{self._max_services} services are served already. Drain one.")
        # What there is goes on, or less of it, by the ticket that was admitted.
        admitted = bool(workers) and (new or workers >= await self._asked_for(facts.proposal))
        if admitted:
            await self._needs.line.request(enclaves_pb2.KIND_ADMIT, ticket, enclaves_pb2.Admitted)
        if workers and new:
            await self._needs.blobs.keep(facts.bundle, facts.terms)
        elif not workers:
            await self._asked_for(facts.proposal)  # raises where there is nothing to drain
        run = self._runs.get(facts.proposal)
        if run is not None and admitted:
            run.again(ticket)
        kept = ticket.SerializeToString() if admitted else b""
        await self._needs.store.write(
            lambda c: service_table.serve(c, facts, kept, workers),
            then=lambda _: self._needs.board.changed(facts.proposal),
        )
        if workers and self._runs.get(facts.proposal) is None:
            self._runs.spawn(facts, ticket)

    async def _asked_for(self, service: str) -> int:
        return (await self._needs.board.get(service)).record.workers

    def recover(self, connection: sa.Connection) -> Callable[[], None]:
        """Read what the former host left; call what is returned in the event loop."""
        return self._runs.recover(service_table.served_tickets(connection))

    async def close(self) -> None:
        """Stop deciding; workers end with the pool."""
        await self._runs.close()


def end_lost(connection: sa.Connection) -> None:
    """Before jobs are recovered: those of services end, for their workers went with the former
    host."""
    text = "The host was started again, and the worker has gone."
    service_table.end_lost(connection, refusal_of(WorkerUnavailable(text)))
