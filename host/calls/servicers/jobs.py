# SPDX-License-Identifier: Apache-2.0
"""Jobs: fetching what was released."""

from typing import Any

import grpc.aio

from placet.host.callers.caller import current
from placet.host.callers.gate import require_covered
from placet.host.enclaves.authority import AuthorityLine
from placet.host.runs.board import Board
from placet.host.store.job_table import FINISHED, JobRecord
from placet.proto.v1 import enclaves_pb2, jobs_pb2, jobs_pb2_grpc
from placet.refusals import JobNotFinished, NotReleased, RunNotFound

Context = grpc.aio.ServicerContext[Any, Any]


class JobsService(jobs_pb2_grpc.JobsServicer):
    def __init__(self, board: Board, line: AuthorityLine) -> None:
        self._board = board
        self._line = line

    async def Result(
        self, request: jobs_pb2.ResultRequest, context: Context
    ) -> jobs_pb2.ResultResponse:
        """What was released, from the authority."""
        require_covered(current(), request.id)
        record = (await self._board.get(request.id)).record
        if not isinstance(record, JobRecord):
            raise RunNotFound("The run is no job.", claim="id", expected="job")
        if not record.ended:
            raise JobNotFinished("The job has not ended. Watch it.", claim="state")
        if record.state != FINISHED:
            raise NotReleased("The job ended without a release.", claim="state")
        ask = enclaves_pb2.ResultKeyRequest(
            proposal=record.proposal, lease=record.lease, recipient=request.recipient
        )
        return await self._line.request(enclaves_pb2.KIND_RESULT, ask, jobs_pb2.ResultResponse)
