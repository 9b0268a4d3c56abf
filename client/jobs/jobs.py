# SPDX-License-Identifier: Apache-2.0
"""Jobs: submit under a ticket, follow, cancel, and open what was released."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator

from placet.client.connection.calls import followed
from placet.client.connection.channel import METADATA
from placet.client.council.council import ticket_to_wire
from placet.client.data.grants import GrantOperations
from placet.client.errors import AnswerMalformed, HostUnreachable, UsageRefused
from placet.client.keys import Keys
from placet.client.records import Job, Recorded
from placet.governance.documents import Proposal
from placet.governance.envelope import Signed, parse_envelope
from placet.governance.evaluate import Ticket
from placet.governance.jobs import JOB_DIGITS, requested_job
from placet.proto.v1 import jobs_pb2

REQUEST_ID_BYTES = 16
_TRIES = 4
_PAUSE = 0.5


class JobOperations(GrantOperations):
    """Submit, list, watch, cancel."""

    async def submit(self, ticket: Ticket, request_id: bytes | None = None) -> Job:
        """Submit a job under a ticket; the host has queued it durably when this returns.

        The same `request_id` (16 bytes) for the same proposal gives the same job again, so a call
        that broke off is repeated here, and may be repeated by the caller.
        """
        request = jobs_pb2.SubmitRequest(
            ticket=ticket_to_wire(ticket), request_id=request_id or os.urandom(REQUEST_ID_BYTES)
        )
        proposal = parse_envelope(ticket.proposal).digest
        expected = requested_job(proposal, request.request_id)
        for tries in range(1, _TRIES + 1):
            try:
                job = Job.from_wire(await self._session.ask(self._session.jobs.Submit, request))
            except HostUnreachable:
                if tries == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE * 2**tries)
                continue
            if job.id != expected:
                raise AnswerMalformed(
                    "The host answered with another job than was asked for. Report it.",
                    claim="job",
                    expected=expected,
                    actual=job.id,
                )
            return job
        raise AssertionError("the loop returns or raises")

    async def job(self, id: str) -> Job:
        """A job as it stands. Raises `Refused` with JOB_NOT_FOUND."""
        request = jobs_pb2.GetJobRequest(id=id)
        return Job.from_wire(await self._session.ask(self._session.jobs.Get, request))

    async def jobs(self, limit: int = 100, before: str = "") -> tuple[Job, ...]:
        """The newest jobs, newest first; `before` is the last id of the page before."""
        request = jobs_pb2.ListJobsRequest(limit=limit, before=before)
        answer = await self._session.ask(self._session.jobs.List, request)
        return tuple(Job.from_wire(job) for job in answer.jobs)

    async def watch(self, id: str, *, patience: float = 60.0) -> AsyncIterator[Job]:
        """The job's present state, then each change until it has ended.

        A connection that breaks off, as when the host restarts, is opened again for up to
        `patience` seconds; the state may then come a second time.
        """
        request = jobs_pb2.WatchRequest(id=id)
        watch = functools.partial(self._session.jobs.Watch, request, metadata=METADATA)
        async for told in followed(watch, patience):
            job = Job.from_wire(told)
            yield job
            if job.ended:
                return

    async def wait(self, id: str, *, patience: float = 60.0) -> Job:
        """The job once it has ended, however it did."""
        last: Job | None = None
        async for job in self.watch(id, patience=patience):
            last = job
        assert last is not None, "watch ends with a job that has ended"
        return last

    async def proposal_of(self, id: str) -> Signed[Proposal]:
        """The proposal of a job, in the log, by the job's name. Raises `UsageRefused` where the log
        has none."""
        digits, _, own = id.partition("-")
        if len(digits) != JOB_DIGITS or not own:
            raise UsageRefused(
                f"{id[:80]!r} is no name of a job. Give the name that `placet jobs` shows.",
                claim="job",
            )
        return await self.find_proposal(digits)

    async def cancel(self, keys: Keys, id: str, *, reason: str = "") -> Recorded:
        """Cancel a job's proposal; the job ends wherever it is. Takes its proposer or a seat.

        The proposal is the one of the log that the job's name begins with, whatever the host says
        of the job.
        """
        proposal = (await self.proposal_of(id)).digest
        envelope = await self._sign_stop(keys, "cancel", proposal, reason)
        session = self._session
        before = session.memory.newest()
        committed = await session.ask(
            session.jobs.Cancel, jobs_pb2.CancelRequest(id=id, stop=envelope)
        )
        return await self._recorded(committed, envelope, before, committed.index)
