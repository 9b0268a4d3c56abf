# SPDX-License-Identifier: Apache-2.0
"""One service that is served: as many workers as are asked for, each a job of its own.

1. Too few: another job is scheduled. Too many: those that wait for a worker are withdrawn; then the
   least busy are let go, once they have answered what is under way.
2. A job that ended because its worker was lost is replaced: at once, unless more were lost than
   there are to be since one lived long; then ever more slowly. Any other end, such as what the
   authority refuses a lease for or a model that is none, means that no further worker is started;
   with the last one the service has ended, for that reason.

All that is known is read from the store before each step, so what a restart of the authority, or of
the host, ended is found ended.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from placet.governance.jobs import job_name
from placet.host.placement.backoff import Backoff
from placet.host.runs.run import Needs, Order, Run
from placet.host.store import job_table, run_table
from placet.host.store.job_table import JobRecord, NewJob
from placet.host.store.run_table import RunRecord
from placet.host.tasks import Tasks
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2 as pb
from placet.proto.v1 import enclaves_pb2
from placet.refusals import QueueFull, RequestMalformed, ServiceEnded

if TYPE_CHECKING:
    from placet.host.runs.runs import Runs

_SETTLED_MS = 30_000  # a worker that lived this long has not failed
_DRAIN_SECONDS = 60.0  # for what is under way
# Another worker, or a later one, may do.
_LOST = frozenset(
    {
        pb.REASON_WORKER_UNAVAILABLE,
        pb.REASON_AUTHORITY_UNAVAILABLE,
        pb.REASON_CLOCK_JUMPED,
        pb.REASON_DEADLINE_PASSED,
        pb.REASON_QUEUE_FULL,
        pb.REASON_STORE_UNAVAILABLE,
        pb.REASON_INTERNAL,
        pb.REASON_ATTEMPTS_USED_UP,
        pb.REASON_ATTEMPT_OPEN,
        pb.REASON_JOIN_UNKNOWN,
        pb.REASON_JOIN_LAPSED,
        pb.REASON_LEASE_UNKNOWN,
        pb.REASON_LEASE_EXPIRED,
        pb.REASON_LEASE_CLOSED,
        pb.REASON_LEASE_PRESENTED_TWICE,
        pb.REASON_PROGRAM_EXITED,
        pb.REASON_PROGRAM_DEADLINE,
    }
)
_log = logging.getLogger("placet.host.services")


class ServiceRun(Run):
    def __init__(self, order: Order, needs: Needs) -> None:
        super().__init__(order, needs)
        self._known = set[str]()  # jobs that had not ended when it was looked last
        self._leaving = set[str]()  # of them, those that are let go
        self._final: pb.Refusal | None = None  # why no further worker is started
        self._lost = 0  # workers in a row that did not live long
        self._tasks = Tasks()

    async def begin(self, order: Order, runs: "Runs") -> None:
        """Let the service have so many workers, from now on and after every restart.

        Unless fewer are asked for than before, the ticket is admitted anew first, for anybody may
        send one.
        """
        wanted, needs = order.wanted, self._needs
        self._check_wanted(wanted)
        new = not runs.live(self)
        most = needs.config.max_services
        if wanted and new and runs.count(ServiceRun) >= most:
            raise QueueFull(f"{most} services are served already. Drain one.")
        # What there is goes on, or less of it, by the ticket that was admitted.
        admitted = bool(wanted) and (new or wanted >= await self._asked_for())
        if admitted:
            await needs.line.request(enclaves_pb2.KIND_ADMIT, order.ticket, enclaves_pb2.Admitted)
            self._ticket, self._final = order.ticket, None  # it may have been refused before
        if wanted and new:
            await needs.blobs.keep(self._facts.bundle, self._facts.terms)
        elif not wanted:
            await self._asked_for()  # raises where there is nothing to drain
        kept = order.ticket.SerializeToString() if admitted else b""
        await self._write(lambda c: run_table.want(c, self._id, "serve", kept, wanted))
        runs.spawn(self)

    def _check_wanted(self, wanted: int) -> None:
        most = self._needs.config.max_workers
        if wanted > most:
            raise RequestMalformed(
                "The host does not run so many workers at once. Ask for fewer.",
                claim="workers",
                expected=f"at most {most}",
                actual=str(wanted),
            )

    async def _asked_for(self) -> int:
        return (await self._needs.board.run(self._id, "serve")).wanted

    async def run(self) -> None:
        """Serve until it has ended: for a reason, or because no workers are asked for."""
        with self._needs.board.follow(self._id) as wake:
            backoff = Backoff(wake.set)
            try:
                await self._steps(lambda: self._step(wake, backoff))
            finally:
                backoff.keep(set())
                await self._tasks.cancel()

    async def _step(self, wake: asyncio.Event, backoff: Backoff) -> bool:
        """Do, or wait for, what comes next; True at the end."""
        wake.clear()
        record = await self._needs.board.run(self._id, "serve")
        jobs = record.active
        for job in self._known - {job.id for job in jobs}:
            await self._ended(job, record.wanted, backoff)
        self._known = {job.id for job in jobs}
        staying = [job for job in jobs if job.id not in self._leaving]
        missing = record.wanted - len(staying)
        if missing < 0:
            self._let_go(staying, -missing)
        elif record.ended and not jobs:
            return not wake.is_set()  # it may have been asked for again meanwhile
        elif not record.wanted and not jobs:
            await self._write(lambda c: run_table.end_drained(c, self._id))
        elif self._final is not None and not jobs:
            await self._end(self._final)
        elif missing and self._final is None and self._id not in backoff.blocked:
            await self._start(record)
        else:
            await wake.wait()
        return False

    async def _start(self, record: RunRecord) -> None:
        name = job_name(self._id, str(record.made + 1))
        new = NewJob(name, self._id, self._facts.program, ticket=b"")
        await self._needs.placement.submit(new, self._facts, self._ticket)
        self._known.add(new.id)

    async def _ended(self, job: str, workers: int, backoff: Backoff) -> None:
        """A worker has gone: decide whether another one may come."""
        record = await self._needs.store.read(lambda c: job_table.get_job(c, job))
        refusal = pb.Refusal.FromString(record.refusal)
        _log.info("worker-ended job=%s reason=%s", job, pb.Reason.Name(refusal.reason))
        if job in self._leaving:
            self._leaving.discard(job)
            return
        if refusal.reason not in _LOST:
            self._final = refusal
        elif record.changed_ms - record.submitted_ms > _SETTLED_MS:
            self._lost = 0
            backoff.joined(self._id)
        else:
            self._lost += 1
            if self._lost > workers:
                backoff.failed(self._id)
        await self._write(lambda c: run_table.note_refusal(c, self._id, refusal))

    def _let_go(self, staying: list[JobRecord], count: int) -> None:
        """First those that wait, then those that are not ready, then the least busy."""
        busy = {r.lease.job: r.under_way for r in self._needs.board.routes.ready(self._id).values()}
        refusal = refusal_of(ServiceEnded("The worker is not asked for any more."))
        staying.sort(key=lambda job: (job.state != job_table.QUEUED, busy.get(job.id, -1)))
        for job in staying[:count]:
            self._leaving.add(job.id)
            self._tasks.spawn(self._retire(job.id, refusal))

    async def _retire(self, job: str, refusal: pb.Refusal) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._needs.board.routes.drain(job)
        if job in self._leaving:
            self._needs.placement.end(job, refusal)

    async def _end(self, refusal: pb.Refusal) -> None:
        _log.info("ended service=%s reason=%s", self._id, pb.Reason.Name(refusal.reason))
        await self._write(lambda c: run_table.end_run(c, self._id, refusal))
