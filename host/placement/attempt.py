# SPDX-License-Identifier: Apache-2.0
"""One attempt of one job on one worker, and what its end means for the job.

1. LEASE to the authority. Nobody there: another worker tries, however often. Refused: about the
   worker, another one tries; about the job, the job ends.
2. ASSIGN to the worker, then its exit is awaited; what it says on the way changes the job
   elsewhere.
3. A release in the log ends the job whatever happens to the worker. Otherwise, by the end: it said
   why (ENDED), or its exit code tells. The job ends with what its program did: it raised, it
   exited, its time was over (86), or it crashed in native code, which is a signal that a process
   brings upon itself. It has a further attempt after an accident: its lease ran out (87), its
   stream was lost (75), any other signal, an end by the host. A round of a federation has a further
   attempt in all these cases, unless it was stopped: the work of the clients is not lost lightly. A
   worker of a service has none: another is started under another job.
4. An attempt that left a lease open is closed with the authority. For a further attempt this comes
   before the job waits again; the authority counts the attempts and refuses beyond the ticket's.
   The job then ends for the reason of its last attempt, where that had one.

The codes are told apart as far as an honest program lets them be: one may leave with any code, and
gains an attempt by it, of those that the ticket allows. A program that aborts for want of memory
looks like one that crashes, and whom the kernel kills for want of memory like one that somebody
killed. Under Gramine a crash is an exit like any other.
"""

import asyncio
import logging
import signal
from dataclasses import dataclass, replace

from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.log import Log
from placet.host.placement.queue import Queued
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
EXIT_LEASE_OVER = 87
EXIT_STREAM_LOST = 75
_MAX_TRIES = 5  # leases that may be refused for what a worker, or an attempt, is
RETRY_SECONDS = 0.2
_log = logging.getLogger("placet.host.jobs")

# The request may have had its effect, or may work with another authority.
LINE_REASONS = (
    pb.REASON_AUTHORITY_UNAVAILABLE,
    pb.REASON_CLOCK_JUMPED,
    pb.REASON_DEADLINE_PASSED,
    pb.REASON_QUEUE_FULL,
    pb.REASON_STORE_UNAVAILABLE,
)
# The authority was away, or was another one when the worker joined: the job waits for as long as
# that takes.
_AWAY = (*LINE_REASONS, pb.REASON_JOIN_UNKNOWN, pb.REASON_JOIN_LAPSED)
# Another worker may do; ATTEMPT_OPEN goes away by closing the lease.
_OTHER_WORKER = (
    pb.REASON_INTERNAL,
    pb.REASON_LAUNCHED_FOR_MISMATCH,
    pb.REASON_LEASE_PRESENTED_TWICE,
    pb.REASON_ATTEMPT_OPEN,
)
# A worker says so of what befell it; its program has no part in it.
_BEFELL = (
    *LINE_REASONS,
    pb.REASON_INTERNAL,
    pb.REASON_JOIN_UNKNOWN,
    pb.REASON_LEASE_UNKNOWN,
    pb.REASON_LEASE_EXPIRED,
    pb.REASON_LEASE_CLOSED,
    pb.REASON_BLOB_INCOMPLETE,  # no room for an output, all the time that it had
)
# The signals that native code brings upon its own process; whoever ends one from outside uses
# others.
_CRASHES = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended: the job ends with the refusal, unless it is to have a further
    attempt."""

    refusal: pb.Refusal | None
    why: str
    again: bool = False


class Attempts:
    """Runs attempts. Everything it needs is shared with the rest of the host."""

    def __init__(self, store: Store, log: Log, board: Board, line: AuthorityLine) -> None:
        self._store = store
        self._log = log
        self._board = board
        self._line = line

    async def finish(self, queued: Queued, worker: Worker, end: End | None) -> Queued | None:
        """Steps 2 to 4 for what `lease` returned; the job as it waits again, if it does."""
        again = queued
        reached: End | None = None
        if end is None:
            await worker.exited.wait()
            end = _for_action(queued, reached := _end_of(worker))
            again = replace(queued, last=end.refusal)
        elif end.again:
            counts = end.refusal is not None and end.refusal.reason in _OTHER_WORKER
            again = replace(queued, tries=queued.tries + counts)
            await asyncio.sleep(RETRY_SECONDS)
        record = self._board.job(queued.job) or await self._written(queued.job)
        if reached is not None:
            _log_end(queued, worker, reached, record)
        # Who is told that the job has ended finds its attempt closed.
        await self.close(queued.job, end.why)
        if record is None or record.ended:  # it was released, or stopped on the way
            return None
        if not end.again:
            assert end.refusal is not None
            await self.refuse(queued.job, end.refusal)
            return None
        return again if await self.requeue(queued.job) else None

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
    if refusal.reason in (*_AWAY, *_OTHER_WORKER):
        worker.dismiss()
        if refusal.reason in _AWAY:
            return End(refusal, "lost", again=True)
        return End(refusal, "lost", again=queued.tries + 1 < _MAX_TRIES)
    worker.release()
    if refusal.reason == pb.REASON_ATTEMPTS_USED_UP and queued.last is not None:
        refusal = queued.last
    return End(refusal, "lost")


def _for_action(queued: Queued, end: End) -> End:
    """The same end for a round, or for a worker of a service; see step 3."""
    if queued.action == "federate":
        stopped = end.refusal is not None and end.refusal.reason in job_table.STOPPING
        return end if stopped else End(None, end.why, again=True)
    if queued.action == "serve" and end.again:
        lost = refusal_of(WorkerUnavailable("The worker was lost."))
        return End(end.refusal or lost, end.why)
    return end


def _end_of(worker: Worker) -> End:
    """Step 3, for an attempt without release."""
    code, said = worker.code, worker.refusal
    if said is not None:
        return End(said, "exited", again=_befell(said))
    if code == EXIT_LEASE_OVER:
        text = "The lease ran out before it was renewed: the authority gave no answer in time."
        return End(pb.Refusal(reason=pb.REASON_LEASE_EXPIRED, message=text), "lost", again=True)
    if code is None or code == EXIT_STREAM_LOST or worker.dismissed:
        return End(None, "lost", again=True)
    if code < 0 and -code not in _CRASHES:
        return End(None, "lost", again=True)
    if code == EXIT_DEADLINE:
        text = "The program reached its deadline."
        return End(pb.Refusal(reason=pb.REASON_PROGRAM_DEADLINE, message=text), "deadline")
    text = "The program's process ended before anything was released."
    if code < 0:
        text = "The program crashed in native code before anything was released."
    return End(pb.Refusal(reason=pb.REASON_PROGRAM_EXITED, message=text), "exited")


def _log_end(queued: Queued, worker: Worker, end: End, record: JobRecord | None) -> None:
    """A line on an attempt; whatever became of the worker, a release is a release."""
    why, reason = end.why, pb.Reason.Name(end.refusal.reason) if end.refusal else ""
    if record is not None and record.state == job_table.FINISHED:
        why, reason = "released", ""
    text = "attempt-ended job=%s code=%s why=%s reason=%s"
    _log.info(text, queued.job, worker.code, why, reason)


def _befell(refusal: pb.Refusal) -> bool:
    """Whether the program had no part in it. The time that the proposal gives is the program's."""
    if refusal.details.get("claim") == "deadline_seconds":
        return False
    return refusal.reason in _BEFELL
