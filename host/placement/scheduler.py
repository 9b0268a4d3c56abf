# SPDX-License-Identifier: Apache-2.0
"""Jobs that wait, and which worker gets which: driven by events, in the order of submission.

A job for which a spare is free is leased at once (`start`); any other waits (`submit`). `kick`
gives free workers to jobs that wait; it is called when either appeared. Each attempt is a task of
its own (`attempt.py`). After a restart the attempts of the former host are closed first, then their
jobs wait again.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from placet.governance.documents import Action
from placet.host.documents import TicketFacts, read_stored
from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.log import Log
from placet.host.placement.attempt import Attempts, End, Queued
from placet.host.placement.demand import Demand
from placet.host.placement.pool import Pool, Want
from placet.host.placement.worker import Worker
from placet.host.runs.board import Board
from placet.host.store import job_table
from placet.host.store.job_table import JobRecord, NewJob
from placet.host.store.store import Store
from placet.host.tasks import Tasks
from placet.proto.limits import KIB
from placet.proto.refusals import PeerRefused
from placet.proto.v1 import common_pb2

_MAX_KEPT_TICKET = 256 * KIB  # larger tickets are read from the store when their turn comes
_STOPPED_WAITING = frozenset(job_table.ENDED)


class Scheduler:
    """See the module. `bind` gives it the pool, which in turn asks it what is wanted."""

    def __init__(
        self, store: Store, log: Log, board: Board, line: AuthorityLine, demand: Demand
    ) -> None:
        self._store = store
        self._log = log
        self._board = board
        self._line = line
        self._demand = demand
        self._queue: dict[str, Queued] = {}
        # Jobs being started, which have no row yet: the store's writer makes it with the lease's
        # entry.
        self.starting: dict[str, NewJob] = {}
        self._tasks = Tasks()
        self._pool: Pool
        self._attempts: Attempts

    def bind(self, pool: Pool) -> None:
        """Use this pool."""
        self._pool = pool
        self._attempts = Attempts(self._store, self._log, self._board, self._line, pool)

    async def start(
        self, new: NewJob, facts: TicketFacts, ticket: common_pb2.Ticket
    ) -> JobRecord | None:
        """Lease a job at once, if a worker is free and no other job waits for it; None if not.

        LEASE judges all that ADMIT does. The row is written in the transaction of the lease's
        entry, so neither is ever durable without the other, and a refusal about the job
        (`PeerRefused`) leaves no trace of it. A lease that failed for other reasons leaves a job
        that waits.
        """
        kept = _kept(ticket)
        waiting = any(queued.program == new.program for queued in self._queue.values())
        if (
            kept is None
            or waiting
            or not self._line.attached
            or not self._demand.knows(new.proposal)
        ):
            return None
        worker = self._pool.take(new.program, new.id)
        if worker is None:
            return None
        self._demand.note(facts, 0, kept)
        queued = Queued(new.id, new.proposal, new.program, kept, facts.action)
        self.starting[new.id] = new
        try:
            end = await self._attempts.lease(queued, worker)
            record = self._board.get(new.id)
            if record is None:
                if end is not None and end.refusal is not None:
                    raise PeerRefused(end.refusal)
                record = await self._store.write(
                    lambda connection: job_table.insert_job(connection, new)[0],
                    then=self._board.publish,
                )
        finally:
            del self.starting[new.id]
            self.kick()
        self._tasks.spawn(self._finish(queued, worker, end))
        return record

    async def submit(self, new: NewJob, facts: TicketFacts, ticket: common_pb2.Ticket) -> JobRecord:
        """Make a job durable and let it wait; the job that exists if the request was made before.

        The job may be leased while its row is being written: the authority's commit stands behind
        it in the store's queue, so no lease is ever durable without the job. The caller sees to it
        that no two calls with one request id run at once.
        """

        kept = _kept(ticket)

        def then(inserted: tuple[JobRecord, bool]) -> None:
            record, made = inserted
            if made:
                self._board.publish(record)
                if not facts.serves:  # a service has as many workers as were asked for
                    self._demand.note(facts, self._uses(new.proposal), kept)
            if not made or record.ended:
                self._queue.pop(new.id, None)

        written = self._store.begin(lambda c: job_table.insert_job(c, new), then=then)
        self._enqueue(Queued(new.id, new.proposal, new.program, kept, facts.action))
        self.kick()
        try:
            return (await asyncio.shield(written))[0]
        except Exception:
            self._queue.pop(new.id, None)
            raise

    def recover(self, connection: sa.Connection) -> Callable[[], None]:
        """Read what the former host left; call what is returned in the event loop.

        Of a service there is nothing any more: its jobs were ended before.
        """
        records = job_table.active_jobs(connection)
        rounds = job_table.active_rounds(connection)
        tickets = job_table.recent_tickets(connection, self._demand.max_tickets)
        parsed = [facts for ticket in tickets if (facts := read_stored(ticket)) is not None]
        leases = [(lease.digest, lease.job) for lease in self._log.state.open_leases.values()]

        def resume() -> None:
            for facts in reversed(parsed):
                self._demand.note(facts, self._uses(facts.proposal), None)
            for record in records:
                self._board.publish(record)
                if record.state == job_table.QUEUED:
                    self._enqueue(_waiting(record, rounds))
            active = {r.id for r in records if r.state != job_table.QUEUED}
            for lease, job in leases:
                self._tasks.spawn(self._resume(lease, job if job in active else "", rounds))
            for job in active - {job for _, job in leases}:
                self._tasks.spawn(self._resume("", job, rounds))

        return resume

    def expect(self, facts: TicketFacts, ticket: common_pb2.Ticket) -> None:
        """Keep workers warm for a ticket."""
        self._demand.note(facts, self._uses(facts.proposal), _kept(ticket))
        if self._line.attached:
            self._pool.balance()

    def forget(self, proposal: str) -> None:
        """Keep no worker warm for a ticket any more."""
        self._demand.forget(proposal)
        if self._line.attached:
            self._pool.balance()

    def wants(self) -> list[Want]:
        """What the pool should provide: programs that jobs wait for first, then spares."""
        if not self._line.attached:
            return []
        spares = self._demand.spares(time.time())
        queued: dict[str, int] = {}
        for waiting in self._queue.values():
            queued[waiting.program] = queued.get(waiting.program, 0) + 1
        return [Want(p, n, spares.get(p, 0)) for p, n in queued.items()] + [
            Want(p, 0, n) for p, n in spares.items() if p not in queued
        ]

    def kick(self) -> None:
        """Give free workers to jobs that wait, and see that there are enough workers."""
        if self._line.attached:
            for queued in list(self._queue.values()):
                worker = self._pool.take(queued.program, queued.job)
                if worker is not None:
                    del self._queue[queued.job]
                    self._tasks.spawn(self._attempt(queued, worker))
        if self._queue:
            self._pool.balance()

    def changed(self, record: JobRecord) -> None:
        """A commit changed a job: one that ended waits no more."""
        if record.state in _STOPPED_WAITING:
            self._queue.pop(record.id, None)

    def unavailable(self, program: str, refusal: common_pb2.Refusal) -> None:
        """No worker can be started for a program: its jobs end."""
        for queued in [q for q in self._queue.values() if q.program == program]:
            del self._queue[queued.job]
            self._tasks.spawn(self._attempts.refuse(queued.job, refusal))

    async def withdraw(self, job: str, refusal: common_pb2.Refusal) -> None:
        """End a job that waits for a worker; any other goes on."""
        if self._queue.pop(job, None) is not None:
            await self._attempts.refuse(job, refusal)
            self._pool.balance()

    async def close(self) -> None:
        """Stop deciding; attempts that run are left to the next host."""
        await self._tasks.cancel()

    async def _attempt(self, queued: Queued, worker: Worker) -> None:
        await self._finish(queued, worker, await self._attempts.lease(queued, worker))

    async def _finish(self, queued: Queued, worker: Worker, end: End | None) -> None:
        if await self._attempts.finish(queued, worker, end):
            self._again(queued)
        self.kick()

    async def _resume(self, lease: str, job: str, rounds: set[str]) -> None:
        if lease:
            await self._attempts.close_lease(lease, "lost")
        if job and await self._attempts.requeue(job):
            record = self._board.get(job)
            if record is not None:
                self._enqueue(_waiting(record, rounds))
        self.kick()

    def _uses(self, proposal: str) -> int:
        """The uses that a ticket has consumed; they are counted once, and then by each lease."""
        return 0 if self._demand.knows(proposal) else self._log.leased(proposal)

    def _again(self, queued: Queued) -> None:
        self._queue = {
            queued.job: replace(queued, tries=queued.tries + 1),
            **self._queue,
        }  # it waited its turn already

    def _enqueue(self, queued: Queued) -> None:
        self._queue[queued.job] = queued


def _waiting(record: JobRecord, rounds: set[str]) -> Queued:
    action: Action = "federate" if record.id in rounds else "job"
    return Queued(record.id, record.proposal, record.program, None, action)


def _kept(ticket: common_pb2.Ticket) -> common_pb2.Ticket | None:
    return ticket if ticket.ByteSize() <= _MAX_KEPT_TICKET else None
