# SPDX-License-Identifier: Apache-2.0
"""Jobs: submitting under a ticket, following, stopping, fetching what was released."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from placet.host.calls.bounds import MAX_BYTES
from placet.host.documents import read_ticket
from placet.host.enclaves.authority import AuthorityLine
from placet.host.runs.board import Board
from placet.host.runs.run import Order
from placet.host.runs.runs import Runs
from placet.host.store import job_table
from placet.host.store.job_table import JobRecord
from placet.host.store.store import Store
from placet.proto.v1 import (
    common_pb2,
    enclaves_pb2,
    governance_pb2,
    jobs_pb2,
    jobs_pb2_grpc,
)
from placet.refusals import JobEnded, JobNotFinished, NotReleased, RequestMalformed

_REQUEST_ID_BYTES = 16
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class JobsService(jobs_pb2_grpc.JobsServicer):
    def __init__(self, store: Store, board: Board, line: AuthorityLine, runs: Runs) -> None:
        self._store = store
        self._board = board
        self._line = line
        self._runs = runs

    async def Submit(self, request: jobs_pb2.SubmitRequest, context: Context) -> jobs_pb2.Job:
        """A free worker gets it at once, or else it waits in the queue."""
        if len(request.request_id) != _REQUEST_ID_BYTES:
            raise RequestMalformed("request_id must have 16 bytes.", claim="request_id")
        facts = read_ticket(request.ticket)
        if facts.action in ("federate", "serve"):
            text = (
                "The ticket is for work whose jobs are its own. Start it with Federations.Start or "
                "Inference.Serve."
            )
            raise RequestMalformed(text, claim="action", expected="job", actual=facts.action)
        order = Order(facts, request.ticket, request_id=request.request_id)
        await self._runs.start(order)
        return (await self._find(order.run)).to_proto()

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
            job = (self._board.job(record.id) or record).to_proto()
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
            with self._board.watcher(request.proposal, "job") as wake:
                # The caller knows by these that nothing it does from here on is missed.
                await context.send_initial_metadata(())
                while True:
                    for record in await self._board.changed_jobs(wake):
                        yield record.to_proto()
        messages = self._board.watch(request.id, "job")
        async with aclosing(messages):
            async for message in messages:
                yield message

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

    async def _find(self, job: str) -> JobRecord:
        known = self._board.job(job)
        if known is not None:
            return known
        return await self._store.read(lambda c: job_table.get_job(c, job))
