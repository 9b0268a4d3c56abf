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
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from placet.governance.jobs import job_name
from placet.host.blobs.blob_store import BlobStore
from placet.host.documents import TicketFacts
from placet.host.enclaves.authority import AuthorityLine
from placet.host.errors import ServiceEnded
from placet.host.logs import place_of
from placet.host.placement.backoff import Backoff
from placet.host.placement.placement import Placement
from placet.host.runs.service_board import ServiceBoard
from placet.host.store import job_table, service_table
from placet.host.store.job_table import JobRecord, NewJob
from placet.host.store.service_table import ServiceRecord
from placet.host.store.store import Store
from placet.host.tasks import Tasks
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2 as pb

_AGAIN_SECONDS = 1.0
_SETTLED_MS = 30_000  # a worker that lived this long has not failed
_DRAIN_SECONDS = 60.0  # for what is under way
# Another worker, or a later one, may do.
_LOST = frozenset(
    {
        pb.REASON_WORKER_UNAVAILABLE,
        pb.REASON_AUTHORITY_UNAVAILABLE,
        pb.REASON_DEADLINE_PASSED,
        pb.REASON_QUEUE_FULL,
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


@dataclass(frozen=True, slots=True)
class ServingNeeds:
    """What a service takes of the rest of the host."""

    store: Store
    board: ServiceBoard
    blobs: BlobStore
    line: AuthorityLine
    placement: Placement


class ServiceRun:
    def __init__(self, facts: TicketFacts, ticket: pb.Ticket, needs: ServingNeeds) -> None:
        self._facts = facts
        self._ticket = ticket
        self._needs = needs
        self._id = facts.proposal
        self._known = set[str]()  # jobs that had not ended when it was looked last
        self._leaving = set[str]()  # of them, those that are let go
        self._final: pb.Refusal | None = None  # why no further worker is started
        self._lost = 0  # workers in a row that did not live long
        self._tasks = Tasks()

    def again(self, ticket: pb.Ticket) -> None:
        """Try what may have been refused before, with what the ticket is now."""
        self._ticket, self._final = ticket, None

    async def run(self) -> None:
        """Serve until it has ended, or is to have no workers and has none."""
        with self._needs.board.follow(self._id) as wake:
            backoff = Backoff(wake.set)
            try:
                while not await self._try_step(wake, backoff):
                    pass
            finally:
                backoff.keep(set())
                await self._tasks.cancel()

    async def _try_step(self, wake: asyncio.Event, backoff: Backoff) -> bool:
        """As `_step`; what fails for a reason of the host's own, such as a full disk, is tried
        again."""
        try:
            return await self._step(wake, backoff)
        except Exception as error:  # noqa: BLE001
            _log.error("fault kind=%s at=%s", type(error).__name__, place_of(error))
            await asyncio.sleep(_AGAIN_SECONDS)
            return False

    async def _step(self, wake: asyncio.Event, backoff: Backoff) -> bool:
        """Do, or wait for, what comes next; True at the end."""
        wake.clear()
        record = (await self._needs.board.get(self._id)).record
        for job in self._known - {job.id for job in record.jobs}:
            await self._ended(job, record.workers, backoff)
        self._known = {job.id for job in record.jobs}
        staying = [job for job in record.jobs if job.id not in self._leaving]
        missing = record.workers - len(staying)
        if missing < 0:
            self._let_go(staying, -missing)
        elif not (record.taking or record.jobs):
            return not wake.is_set()  # it may have been asked for again meanwhile
        elif self._final is not None and not record.jobs:
            await self._end(self._final)
        elif missing and self._final is None and self._id not in backoff.blocked:
            await self._start(record)
        else:
            await wake.wait()
        return False

    async def _start(self, record: ServiceRecord) -> None:
        new = NewJob(
            id=job_name(self._id, str(record.started + 1)),
            request_id=os.urandom(16),
            proposal=self._id,
            program=self._facts.program,
            ticket=b"",
        )
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
        await self._write(lambda c: service_table.note_refusal(c, self._id, refusal))

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
        await self._write(lambda c: service_table.end_service(c, self._id, refusal))

    async def _write(self, change: Callable[[sa.Connection], None]) -> None:
        await self._needs.store.write(change, then=lambda _: self._needs.board.changed(self._id))
