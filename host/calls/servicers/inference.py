# SPDX-License-Identifier: Apache-2.0
"""Inference: the workers of services, questions in, answers out. Nothing here can read either."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc.aio

from placet.host.callers.caller import Role, current
from placet.host.callers.gate import require_principal
from placet.host.documents import read_stored
from placet.host.runs.board import Board
from placet.host.runs.descriptions import Descriptions
from placet.host.runs.questions import Call, Stream
from placet.host.runs.routes import Route
from placet.proto.refusals import error_of
from placet.proto.v1 import common_pb2, inference_pb2_grpc
from placet.proto.v1 import inference_pb2 as pb
from placet.refusals import ServiceEnded, WorkerUnavailable

_MAX_WAIT_MS = 2**32 - 1
Context = grpc.aio.ServicerContext[Any, Any]


class InferenceService(inference_pb2_grpc.InferenceServicer):
    def __init__(self, board: Board, descriptions: Descriptions) -> None:
        self._board = board
        self._routes = board.routes
        self._descriptions = descriptions

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.Description:
        """The least busy worker of those that are ready, or the one that is named."""
        record = await self._board.run(request.service, "serve")
        await self._check_asker(request.service)
        if not record.wanted:
            raise ServiceEnded("The service is drained. Start it again with workers.")
        if record.ended:
            raise error_of(common_pb2.Refusal.FromString(record.refusal))
        return await self._descriptions.describe(self._choose(request))

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        """One question; who leaves cancels it."""
        left = cast("float | None", context.time_remaining())
        wait_ms = 0 if left is None else min(max(int(left * 1000), 1), _MAX_WAIT_MS)
        route = self._routes.find(request.lease)
        await self._check_asker(route.lease.proposal)
        return pb.PredictResponse(data=await Call().ask(route, request.data, wait_ms))

    async def PredictStream(
        self, request_iterator: AsyncIterator[pb.Asks], context: Context
    ) -> AsyncIterator[pb.Answers]:
        """Many questions; who leaves cancels those that are under way."""
        first = await anext(aiter(request_iterator), None)
        if first is None:
            return
        route = self._routes.find(first.lease)
        await self._check_asker(route.lease.proposal)
        stream = Stream(route, first.lease)
        reader = asyncio.ensure_future(stream.read(first, request_iterator))
        try:
            async for answers in stream.answers():
                yield answers
        finally:
            reader.cancel()
            stream.close()

    async def _check_asker(self, service: str) -> None:
        """Refuse a stranger, unless the service is for bearers of tokens: its worker knows those.
        Raises `LoginRequired`."""
        if current().role is Role.STRANGER:
            facts = read_stored((await self._board.run(service, "serve")).ticket)
            if facts is None or not facts.bearers:
                require_principal(current())

    def _choose(self, request: pb.DescribeRequest) -> Route:
        ready = self._routes.ready(request.service)
        if request.lease:
            ready = {lease: route for lease, route in ready.items() if lease == request.lease}
        if not ready:
            if request.lease:
                self._routes.find(request.lease)  # raises why it ended
            raise WorkerUnavailable("No worker is ready. Watch the service, then ask again.")
        return min(ready.values(), key=lambda route: route.under_way)
