# SPDX-License-Identifier: Apache-2.0
"""One attempt of one job on one worker, and what its end means for the job.

1. LEASE to the authority. Refused: about the worker, another one tries; about the job, the job
   ends.
2. ASSIGN to the worker, then its exit is awaited; what it says on the way changes the job
   elsewhere.
3. A release in the log ends the job whatever happens to the worker. Otherwise, by the end:
   it said why (ENDED): the job ends with that. Ended by a signal, by the host or for want of its
   stream (75): a further attempt. Deadline (86) or any other code: the job has failed. A round of a
   federation has a further attempt in all these cases, unless it was stopped: what the clients did
   is not lost lightly. A worker of a service has none: another is started under another job.
4. An attempt that left a lease open is closed with the authority. For a further attempt this comes
   before the job waits again; the authority counts the attempts and refuses beyond the ticket's.
"""

import asyncio
import logging
from dataclasses import dataclass

from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.log import Log
from placet.host.placement.plan import Queued
from placet.host.placement.worker import Worker
from placet.host.runs.board import Board
from placet.host.store import job_table
from placet.host.store.job_table import JobRecord
from placet.host.store.store import Store
from placet.proto.frames import LinkClosed
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2 as pb
from placet.proto.v1 import enclaves_pb2
from placet.refusals import RunNotFound, WorkerUnavailable

EXIT_DEADLINE = 86
EXIT_STREAM_LOST = 75
_MAX_TRIES = 5  # leases that may fail for reasons that are not the job's
RETRY_SECONDS = 0.2
_log = logging.getLogger("placet.host.jobs")

# The request may have had its effect, or may work with another authority.
LINE_REASONS = (pb.REASON_AUTHORITY_UNAVAILABLE, pb.REASON_DEADLINE_PASSED, pb.REASON_QUEUE_FULL)
# Another worker may do; ATTEMPT_OPEN goes away by closing the lease.
_OTHER_WORKER = (
    *LINE_REASONS,
    pb.REASON_JOIN_UNKNOWN,
    pb.REASON_JOIN_LAPSED,
    pb.REASON_LAUNCHED_FOR_MISMATCH,
    pb.REASON_LEASE_PRESENTED_TWICE,
    pb.REASON_ATTEMPT_OPEN,
)


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended: with a refusal for the job, or None for a further attempt."""

    refusal: pb.Refusal | None
    why: str


class Attempts:
    """Runs attempts. Everything it needs is shared with the rest of the host."""

    def __init__(self, store: Store, log: Log, board: Board, line: AuthorityLine) -> None:
        self._store = store
        self._log = log
        self._board = board
        self._line = line

    async def finish(self, queued: Queued, worker: Worker, end: End | None) -> bool:
        """Steps 2 to 4 for what `lease` returned; True if the job waits again."""
        if end is None:
            await worker.exited.wait()
            end = _end_of(worker)
            reason = pb.Reason.Name(worker.refusal.reason) if worker.refusal else ""
            text = "attempt-ended job=%s code=%s why=%s reason=%s"
            _log.info(text, queued.job, worker.code, end.why, reason)
            stopped = end.refusal is not None and end.refusal.reason in job_table.STOPPING
            if queued.action == "federate" and not stopped:
                end = End(None, end.why)
            elif queued.action == "serve" and end.refusal is None:
                end = End(refusal_of(WorkerUnavailable("The worker was lost.")), end.why)
        record = self._board.job(queued.job) or await self._written(queued.job)
        # Who is told that the job has ended finds its attempt closed.
        await self.close(queued.job, end.why)
        if record is None or record.ended:  # it was released, or stopped on the way
            return False
        if end.refusal is not None:
            await self.refuse(queued.job, end.refusal)
            return False
        return await self.requeue(queued.job)

    async def lease(self, queued: Queued, worker: Worker) -> End | None:
        """Step 1 and the beginning of step 2; None once the worker has the lease."""
        ticket = queued.ticket or pb.Ticket.FromString(
            await self._store.read(lambda c: job_table.ticket_of(c, queued.job))
        )
        request = enclaves_pb2.LeaseRequest(ticket=ticket, worker=worker.identity, job=queued.job)
        try:
            package = await self._line.request(
                enclaves_pb2.KIND_LEASE, request, enclaves_pb2.LeasePackage
            )
        except Exception as error:  # noqa: BLE001
            return _lease_refused(queued, worker, error)
        try:
            assert worker.session is not None  # it has joined
            worker.session.link.send(enclaves_pb2.KIND_ASSIGN, package)
        except LinkClosed:
            pass  # its exit is on the way
        return None

    async def refuse(self, job: str, refusal: pb.Refusal) -> None:
        """End a job with a refusal, unless it has ended."""
        _log.info("refused job=%s reason=%s", job, pb.Reason.Name(refusal.reason))
        await self._store.write(
            lambda connection: job_table.refuse_job(connection, job, refusal),
            then=self._board.publish,
        )

    async def requeue(self, job: str) -> bool:
        """Let a job wait again; False if it has ended."""
        record = await self._store.write(
            lambda connection: job_table.requeue_job(connection, job), then=self._board.publish
        )
        return not record.ended

    async def close(self, job: str, why: str) -> None:
        """Close the attempt that a job has open."""
        for lease in list(self._log.state.open_leases.values()):
            if lease.job == job:
                await self._close(enclaves_pb2.CloseAttempt(lease=lease.digest, why=why))

    async def _close(self, request: enclaves_pb2.CloseAttempt) -> None:
        """Ask the authority, however long it takes to be there."""
        while True:
            try:
                await self._line.request(enclaves_pb2.KIND_CLOSE, request, pb.Committed)
                return
            except Exception as error:  # noqa: BLE001
                refusal = refusal_of(error)
                if refusal.reason not in LINE_REASONS:
                    # Closed or released before: either way it holds nothing any more.
                    reason = pb.Reason.Name(refusal.reason)
                    _log.info("close-refused lease=%s reason=%s", request.lease, reason)
                    return
            await asyncio.sleep(RETRY_SECONDS)
            await self._line.ready()

    async def _written(self, job: str) -> JobRecord | None:
        """The job behind everything that the store was given: a lease may be refused before its job
        is durable."""
        try:
            return await self._store.write(lambda connection: job_table.get_job(connection, job))
        except RunNotFound:
            return None


def _lease_refused(queued: Queued, worker: Worker, error: Exception) -> End:
    refusal = refusal_of(error)
    if refusal.reason in _OTHER_WORKER:
        worker.dismiss()
        tried_enough = queued.tries + 1 >= _MAX_TRIES
        return End(refusal if tried_enough else None, "lost")
    worker.release()
    return End(refusal, "lost")


def _end_of(worker: Worker) -> End:
    """Step 3, for an attempt without release."""
    code = worker.code
    if worker.refusal is not None:
        return End(worker.refusal, "exited")
    if code is None or code < 0 or code == EXIT_STREAM_LOST or worker.dismissed:
        return End(None, "lost")
    if code == EXIT_DEADLINE:
        text = "The program reached its deadline."
        return End(pb.Refusal(reason=pb.REASON_PROGRAM_DEADLINE, message=text), "deadline")
    text = "The program's process ended before anything was released."
    return End(pb.Refusal(reason=pb.REASON_PROGRAM_EXITED, message=text), "exited")
