# SPDX-License-Identifier: Apache-2.0
"""Jobs: submitting under a ticket, following, stopping, fetching what was released."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc.aio

from placet.governance.jobs import requested_job
from placet.host.blobs.blob_store import BlobStore
from placet.host.calls.bounds import MAX_BYTES
from placet.host.documents import TicketFacts, read_ticket
from placet.host.enclaves.authority import AuthorityLine
from placet.host.errors import (
    AuthorityUnavailable,
    BlobIncomplete,
    BlobNotFound,
    JobEnded,
    JobNotFinished,
    NotReleased,
    QueueFull,
    RequestMalformed,
)
from placet.host.placement.placement import Placement
from placet.host.runs.board import Board
from placet.host.store import job_table
from placet.host.store.job_table import JobRecord, NewJob
from placet.host.store.store import Store
from placet.proto.v1 import (
    common_pb2,
    enclaves_pb2,
    governance_pb2,
    jobs_pb2,
    jobs_pb2_grpc,
)

_REQUEST_ID_BYTES = 16
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class JobsService(jobs_pb2_grpc.JobsServicer):
    def __init__(
        self,
        store: Store,
        board: Board,
        line: AuthorityLine,
        blobs: BlobStore,
        placement: Placement,
        max_queue: int,
    ) -> None:
        self._store = store
        self._board = board
        self._line = line
        self._blobs = blobs
        self._placement = placement
        self._max_queue = max_queue
        self._judging = 0
        self._draining = False
        self._requests: dict[bytes, asyncio.Event] = {}  # under way; set when done
        self._under_way: set[asyncio.Future[JobRecord]] = set()

    def drain(self) -> None:
        self._draining = True

    async def Submit(self, request: jobs_pb2.SubmitRequest, context: Context) -> jobs_pb2.Job:
        """Steps: form, the same request again, room; then a free worker at once, or else the queue.

        What was begun is finished, though the caller may leave: it finds it by the same request.
        """
        if self._draining:
            raise AuthorityUnavailable("The host is shutting down. Try again later.")
        if len(request.request_id) != _REQUEST_ID_BYTES:
            raise RequestMalformed("request_id must have 16 bytes.", claim="request_id")
        facts = read_ticket(request.ticket)
        if facts.action in ("federate", "serve"):
            text = (
                "The ticket is for work whose jobs are its own. Start it with "
                "Federations.Start or Inference.Serve."
            )
            raise RequestMalformed(text, claim="action", expected="job", actual=facts.action)
        work = asyncio.ensure_future(self._submit(request, facts))
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        return (await asyncio.shield(work)).to_proto()

    async def _submit(self, request: jobs_pb2.SubmitRequest, facts: TicketFacts) -> JobRecord:
        async with self._alone(request.request_id + facts.proposal.encode()):
            known = self._store.peek(
                lambda c: job_table.find_request(c, request.request_id, facts.proposal)
            )
            if known is not None:
                return self._board.get(known.id) or known
            self._judging += 1
            try:
                if self._board.waiting + self._judging > self._max_queue:
                    raise QueueFull(f"{self._max_queue} jobs wait already. Try again later.")
                return await self._make(request, facts)
            finally:
                self._judging -= 1

    async def Get(self, request: jobs_pb2.GetJobRequest, context: Context) -> jobs_pb2.Job:
        """The job as it is now."""
        return (await self._find(request.id)).to_proto()

    async def List(
        self, request: jobs_pb2.ListJobsRequest, context: Context
    ) -> jobs_pb2.ListJobsResponse:
        """Newest first; fewer than asked for where the answer would be too large."""
        limit = request.limit or _DEFAULT_LIMIT
        if limit > _MAX_LIMIT:
            raise RequestMalformed(f"limit is at most {_MAX_LIMIT}.", claim="limit")
        records = await self._store.read(lambda c: job_table.list_jobs(c, limit, request.before))
        response, left = jobs_pb2.ListJobsResponse(), MAX_BYTES["placet.v1.ListJobsResponse"]
        for record in records:
            job = (self._board.get(record.id) or record).to_proto()
            left -= job.ByteSize() + 8
            if left < 0:
                break
            response.jobs.append(job)
        return response

    async def Watch(
        self, request: jobs_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.Job]:
        """A job now, then each change, until it has ended; or the jobs of a proposal from now
        on."""
        if bool(request.id) == bool(request.proposal):
            raise RequestMalformed("Watch a job or a proposal, one of the two.", claim="id")
        if request.proposal:
            with self._board.follow(request.proposal) as watcher:
                # The caller knows by these that nothing it does from here on is missed.
                await context.send_initial_metadata(())
                while True:
                    for record in await watcher.next():
                        yield record.to_proto()
        records = self._board.watch(request.id, lambda: self._stored(request.id))
        async with aclosing(records):
            async for record in records:
                yield record.to_proto()

    async def Cancel(
        self, request: jobs_pb2.CancelRequest, context: Context
    ) -> common_pb2.Committed:
        """Hands the stop to the authority; the job ends as its entry is committed."""
        if (await self._find(request.id)).ended:
            raise JobEnded("The job has ended already.")
        document = governance_pb2.DocumentRequest(envelope=request.stop)
        return await self._line.request(enclaves_pb2.KIND_RECORD, document, common_pb2.Committed)

    async def Result(
        self, request: jobs_pb2.ResultRequest, context: Context
    ) -> jobs_pb2.ResultResponse:
        """What was released, from the authority."""
        record = await self._find(request.id)
        if not record.ended:
            raise JobNotFinished("The job has not ended. Watch it.", claim="state")
        if record.state != job_table.RELEASED:
            raise NotReleased("The job ended without a release.", claim="state")
        ask = enclaves_pb2.ResultKeyRequest(
            proposal=record.proposal, lease=record.lease, recipient=request.recipient
        )
        return await self._line.request(enclaves_pb2.KIND_RESULT, ask, jobs_pb2.ResultResponse)

    @asynccontextmanager
    async def _alone(self, key: bytes) -> AsyncGenerator[None, None]:
        """One call at a time for one request: a repeated one finds what the first has made."""
        while key in self._requests:
            await self._requests[key].wait()
        done = self._requests[key] = asyncio.Event()
        try:
            yield
        finally:
            del self._requests[key]
            done.set()

    async def _make(self, request: jobs_pb2.SubmitRequest, facts: TicketFacts) -> JobRecord:
        new = NewJob(
            id=requested_job(facts.proposal, request.request_id),
            request_id=request.request_id,
            proposal=facts.proposal,
            program=facts.program,
            ticket=request.ticket.SerializeToString(),
        )
        started = await self._placement.start(new, facts, request.ticket)
        if started is not None:
            return started
        await self._check_bundle(facts.bundle)
        await self._line.request(enclaves_pb2.KIND_ADMIT, request.ticket, enclaves_pb2.Admitted)
        return await self._placement.submit(new, facts, request.ticket)

    async def _check_bundle(self, bundle: str) -> None:
        remedy = f"Put the program's bundle as blob {bundle}, then submit again."
        try:
            info = await self._blobs.stat(bundle)
        except BlobNotFound:
            text = "The bundle of the proposal's program is not here."
            raise BlobNotFound(text, claim="program", actual=bundle, remedy=remedy) from None
        if not info.complete:
            text = "The bundle of the proposal's program was not received whole."
            raise BlobIncomplete(text, claim="program", actual=bundle, remedy=remedy)

    async def _find(self, job: str) -> JobRecord:
        return self._board.get(job) or await self._stored(job)

    async def _stored(self, job: str) -> JobRecord:
        return await self._store.read(lambda connection: job_table.get_job(connection, job))
