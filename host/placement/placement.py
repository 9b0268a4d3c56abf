# SPDX-License-Identifier: Apache-2.0
"""Jobs that wait, and the workers they get: the one object that carries plans out.

`settle` makes a plan (`plan.py`) of what there is and carries it out. It is called whenever
something has changed: a job or a ticket has come, a worker has joined, begun or gone, a program may
be tried again. Nothing polls. Each attempt is a task of its own (`attempt.py`).

A program whose workers do not get as far as joining is tried again ever more slowly. Its jobs wait
all the while: that a worker could not be started, for want of memory, descriptors or a place, or
was killed, is not their fault. They end only if the worker itself says, time and again, that this
program cannot start here. After a restart the attempts of the former host are closed first,
then their jobs wait again.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import sqlalchemy as sa

from placet.governance.documents import Action
from placet.governance.state import LeaseState
from placet.host.documents import TicketFacts, read_stored
from placet.host.enclaves.attach import Session
from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.journal import Journal
from placet.host.log.log import Log
from placet.host.placement.attempt import Attempts, End
from placet.host.placement.backoff import Backoff
from placet.host.placement.plan import Give, Start, View, plan
from placet.host.placement.queue import Queue, Queued
from placet.host.placement.tickets import Tickets
from placet.host.placement.worker import Phase, Worker
from placet.host.placement.workers import Workers
from placet.host.runs.board import Board
from placet.host.store import job_table
from placet.host.store.job_table import JobRecord, NewJob
from placet.host.store.store import Store
from placet.host.tasks import Tasks
from placet.proto.limits import KIB
from placet.proto.refusals import error_of
from placet.proto.v1 import common_pb2, enclaves_pb2

_MAX_KEPT_TICKET = 256 * KIB  # larger tickets are read from the store when their turn comes
_MAX_FAILURES = 3
# A worker that says so cannot start wherever it is tried: for its bytes, or because nobody is to
# run it. For every other reason it may start later.
_OWN_FAULTS = frozenset(
    {
        common_pb2.REASON_APPRAISAL_REFUSED,
        common_pb2.REASON_BLOB_DIGEST,
        common_pb2.REASON_BLOB_INCOMPLETE,
        common_pb2.REASON_BLOB_NOT_FOUND,
        common_pb2.REASON_BLOB_TOO_LARGE,
        common_pb2.REASON_DOCUMENT_MALFORMED,
        common_pb2.REASON_DOCUMENT_TOO_LARGE,
        common_pb2.REASON_PROGRAM_MALFORMED,
        common_pb2.REASON_STOPPED,
    }
)
_log = logging.getLogger("placet.host.placement")


class Placement:
    def __init__(
        self,
        store: Store,
        log: Log,
        journal: Journal,
        board: Board,
        line: AuthorityLine,
        workers: Workers,
        tickets: Tickets,
        max_workers: int,
    ) -> None:
        self._store = store
        self._log = log
        self._journal = journal
        self._board = board
        self._line = line
        self._workers = workers
        self._tickets = tickets
        self._max_workers = max_workers
        self._attempts = Attempts(store, log, board, line)
        self._queue = Queue()
        # Jobs that have an attempt, and for what reason they are not to wait again after it.
        self._under_way: dict[str, common_pb2.Refusal | None] = {}
        self._backoff = Backoff(self.settle)
        self._running, self._living = Tasks(), Tasks()
        self._closed = False

    async def start(
        self, new: NewJob, facts: TicketFacts, ticket: common_pb2.Ticket
    ) -> JobRecord | None:
        """Lease a job at once, if a worker is free for it; None if not.

        LEASE judges all that ADMIT does. The job's row is written with the lease's entry, so
        neither is ever durable without the other, and a refusal about the job (`Refused`)
        leaves no trace of it. A lease that failed for other reasons leaves a job that waits.
        """
        queued = _queued(new, facts, ticket)
        if queued.ticket is None or not self._tickets.knows(new.proposal):
            return None
        worker = self._free_for(queued)
        if worker is None:
            return None
        worker.take(new.id)
        self._tickets.note(facts, queued.ticket)
        try:
            with self._journal.starting(new):
                end = await self._attempts.lease(queued, worker)
                record = self._board.job(new.id)
                if record is None:
                    if end is not None and not end.again:
                        assert end.refusal is not None
                        raise error_of(end.refusal)
                    record = await self._store.write(
                        lambda connection: job_table.insert_job(connection, new)[0],
                        then=self._board.publish,
                    )
        finally:
            self.settle()
        self._under_way[new.id] = None
        self._running.spawn(self._finish(queued, worker, end))
        return record

    async def submit(self, new: NewJob, facts: TicketFacts, ticket: common_pb2.Ticket) -> JobRecord:
        """Make a job durable and let it wait; the job that exists if the request was made before.

        The job may be leased while its row is being written: the authority's commit stands behind
        it in the store's queue, so no lease is ever durable without the job. The caller sees to it
        that no two calls with one request id run at once.
        """
        queued = _queued(new, facts, ticket)

        def then(inserted: tuple[JobRecord, bool]) -> None:
            record, made = inserted
            if made:
                self._board.publish(record)
                if not facts.serves:  # a service has as many workers as were asked for
                    self._tickets.note(facts, queued.ticket)
            if not made or record.ended:
                self._queue.take(new.id)

        written = self._store.begin(lambda c: job_table.insert_job(c, new), then=then)
        self._queue.add(queued)
        self.settle()
        try:
            return (await asyncio.shield(written))[0]
        except Exception:
            self._queue.take(new.id)
            raise

    def end(self, job: str, refusal: common_pb2.Refusal) -> None:
        """End a job for this reason: where it waits, with its worker, or before it waits again."""
        if self._queue.take(job) is not None:
            self._running.spawn(self._attempts.refuse(job, refusal))
        elif job in self._under_way:
            self._under_way[job] = refusal
            worker = self._workers.busy_with(job)
            if worker is not None:
                worker.refusal = worker.refusal or refusal
                worker.dismiss()
        self.settle()

    def expect(self, facts: TicketFacts, ticket: common_pb2.Ticket) -> None:
        """Keep workers warm for a ticket."""
        self._tickets.note(facts, _kept(ticket))
        self.settle()

    def forget(self, proposal: str) -> None:
        """Keep no worker warm for a ticket any more."""
        self._tickets.forget(proposal)
        self.settle()

    def recover(self, connection: sa.Connection) -> Callable[[], None]:
        """Read what the former host left; call what is returned in the event loop.

        A service has left nothing: its jobs were ended before.
        """
        records = job_table.active_jobs(connection)
        rounds = job_table.active_rounds(connection)
        tickets = job_table.recent_tickets(connection, self._tickets.most)
        parsed = [facts for ticket in tickets if (facts := read_stored(ticket)) is not None]
        open_leases = {lease.job for lease in self._log.state.open_leases.values()}

        def resume() -> None:
            for facts in reversed(parsed):
                self._tickets.note(facts, None)
            under_way = dict[str, Queued | None].fromkeys(open_leases)
            for record in records:
                self._board.publish(record)
                queued = _stored(record, rounds)
                if record.state == job_table.QUEUED:
                    self._queue.add(queued)
                else:
                    under_way[record.id] = queued
            for job, left in under_way.items():
                self._running.spawn(self._resume(job, left))

        return resume

    def follow(self, leased: tuple[LeaseState, ...], changed: list[JobRecord]) -> None:
        """A step of the authority is durable: a job that has ended neither waits nor runs."""
        for lease in leased:
            self._tickets.leased(lease.proposal, lease.attempt)
        for record in changed:
            if record.ended:
                self._queue.take(record.id)
                worker = self._workers.busy_with(record.id)
                if worker is not None:
                    worker.leave()

    def joined(self, session: Session, joined: enclaves_pb2.Joined) -> None:
        """The authority let a worker join."""
        worker = self._workers.of(session)
        if worker is None or worker.phase is not Phase.STARTING:
            return
        if joined.launched_for != worker.program:
            _log.error("bound-elsewhere enclave=%s", session.enclave)
            worker.dismiss()
            return
        worker.joined(joined.worker, joined.lapses)
        self._backoff.joined(worker.program)
        self._board.unhold(worker.program)
        _log.info("ready enclave=%s program=%s", session.enclave, worker.program)
        expected = self._tickets.expected(worker.program)
        if expected is not None and not session.link.closed:
            session.link.send(enclaves_pb2.KIND_EXPECT, expected)
        self.settle()

    def settle(self) -> None:
        """Make a plan and carry it out. Without an authority no worker could join."""
        if self._closed or not self._line.attached:
            return
        view = self._view()
        if wanted := {*view.queue.programs(), *view.spares}:
            for program in self._backoff.keep(wanted):
                self._board.unhold(program)
        for step in plan(view):
            if isinstance(step, Give):
                self._queue.take(step.queued.job)
                self._under_way[step.queued.job] = None
                step.worker.take(step.queued.job)
                self._running.spawn(self._attempt(step.queued, step.worker))
            elif isinstance(step, Start):
                # A program is a bundle's digest or that of terms: of a job, or of a service.
                first = next(self._queue.of(step.program), None)
                serves = first is not None and first.action == "serve"
                worker = self._workers.add(step.program, serves=serves)
                self._living.spawn(self._live(worker))
            else:
                step.worker.dismiss()

    async def close(self) -> None:
        """Leave the attempts that run to the next host; end every worker, and return when they
        have ended."""
        self._closed = True
        await self._running.cancel()
        self._workers.dismiss_all()
        self._backoff.keep(set())
        await self._living.wait()

    def _view(self) -> View:
        return View(
            self._queue,
            self._workers.all,
            self._tickets.spares(time.time()),
            self._backoff.blocked,
            self._max_workers,
        )

    def _free_for(self, queued: Queued) -> Worker | None:
        """The worker that a further job would be given at once."""
        if not self._line.attached or self._queue.waiting(queued.program):
            return None
        ready = (w for w in self._workers.all if w.phase is Phase.READY)
        return next((worker for worker in ready if worker.program == queued.program), None)

    async def _attempt(self, queued: Queued, worker: Worker) -> None:
        await self._finish(queued, worker, await self._attempts.lease(queued, worker))

    async def _finish(self, queued: Queued, worker: Worker, end: End | None) -> None:
        again = await self._attempts.finish(queued, worker, end)
        refusal = self._under_way.pop(queued.job)
        if again and refusal is not None:
            await self._attempts.refuse(queued.job, refusal)
        elif again:  # before the others, for it has waited its turn
            self._queue.add(again, first=True)
        self.settle()

    async def _resume(self, job: str, queued: Queued | None) -> None:
        """End the attempt of a former host; the job waits again if it has not ended."""
        await self._attempts.close(job, "lost")
        if queued is not None and await self._attempts.requeue(job):
            self._queue.add(queued)
        self.settle()

    async def _live(self, worker: Worker) -> None:
        refusal = await self._workers.live(worker)
        if refusal is not None:
            self._failed(worker.program, refusal)
        self.settle()

    def _failed(self, program: str, refusal: common_pb2.Refusal) -> None:
        """A worker never joined. Its jobs end if that is its program's own fault time and again."""
        own = refusal.reason in _OWN_FAULTS
        count = self._backoff.failed(program, own=own)
        reason = common_pb2.Reason.Name(refusal.reason)
        _log.warning("start-failed program=%s reason=%s own=%d", program, reason, count)
        text = (
            f"No worker of the program could be started, and it is tried again. {refusal.message}"
        )
        self._board.hold(program, common_pb2.Refusal(reason=refusal.reason, message=text))
        if not own or count < _MAX_FAILURES:
            return
        text = f"No worker can be started for the program. {refusal.message}"
        refusal = common_pb2.Refusal(reason=refusal.reason, message=text, details=refusal.details)
        for queued in list(self._queue.of(program)):
            self._queue.take(queued.job)
            self._running.spawn(self._attempts.refuse(queued.job, refusal))


def _queued(new: NewJob, facts: TicketFacts, ticket: common_pb2.Ticket) -> Queued:
    return Queued(new.id, new.proposal, new.program, _kept(ticket), facts.action)


def _stored(record: JobRecord, rounds: set[str]) -> Queued:
    action: Action = "federate" if record.id in rounds else "job"
    return Queued(record.id, record.proposal, record.program, None, action)


def _kept(ticket: common_pb2.Ticket) -> common_pb2.Ticket | None:
    return ticket if ticket.ByteSize() <= _MAX_KEPT_TICKET else None
