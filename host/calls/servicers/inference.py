# SPDX-License-Identifier: Apache-2.0
"""Inference: services and their workers, questions in, answers out. Nothing here can read
either."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import grpc.aio

from placet.host.calls.bounds import MAX_BYTES
from placet.host.documents import read_ticket
from placet.host.runs.board import Board
from placet.host.runs.descriptions import Descriptions
from placet.host.runs.questions import Call, Stream
from placet.host.runs.routes import Route
from placet.host.runs.run import Order
from placet.host.runs.runs import Runs
from placet.host.runs.service_record import show_service
from placet.host.store.run_table import list_runs
from placet.host.store.store import Store
from placet.proto.refusals import error_of
from placet.proto.v1 import common_pb2, inference_pb2_grpc
from placet.proto.v1 import inference_pb2 as pb
from placet.refusals import RequestMalformed, ServiceEnded, WorkerUnavailable

_MAX_WAIT_MS = 2**32 - 1
Context = grpc.aio.ServicerContext[Any, Any]


class InferenceService(inference_pb2_grpc.InferenceServicer):
    def __init__(self, runs: Runs, board: Board, store: Store, descriptions: Descriptions) -> None:
        self._runs = runs
        self._board = board
        self._routes = board.routes
        self._store = store
        self._descriptions = descriptions

    async def Serve(self, request: pb.ServeRequest, context: Context) -> pb.Service:
        """Start a service; asked again, it gets as many workers as this request says."""
        facts = read_ticket(request.ticket)
        if not facts.serves:
            text = (
                "The ticket is not for a service. Use Jobs.Submit for a job, Federations.Start "
                "for a federation."
            )
            raise RequestMalformed(text, claim="action", expected="serve", actual=facts.action)
        await self._runs.start(Order(facts, request.ticket, request.workers))
        return await self._shown(facts.proposal)

    async def GetService(self, request: pb.GetServiceRequest, context: Context) -> pb.Service:
        return await self._shown(request.id)

    async def ListServices(
        self, request: pb.ListServicesRequest, context: Context
    ) -> pb.ListServicesResponse:
        """All; fewer where the answer would be too large."""
        response, left = pb.ListServicesResponse(), MAX_BYTES["placet.v1.ListServicesResponse"]
        for run in await self._store.read(lambda c: list_runs(c, "serve")):
            service = show_service(run, self._routes)
            left -= service.ByteSize() + 8
            if left < 0:
                break
            response.services.append(service)
        return response

    async def WatchService(
        self, request: pb.GetServiceRequest, context: Context
    ) -> AsyncIterator[pb.Service]:
        """Now, then after each change, until it has ended."""
        messages = self._board.watch(request.id, "serve")
        async with aclosing(messages):
            async for message in messages:
                yield message

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.Description:
        """The least busy worker of those that are ready, or the one that is named."""
        record = await self._board.run(request.service, "serve")
        if record.ended:
            raise error_of(common_pb2.Refusal.FromString(record.refusal))
        if not record.wanted:
            raise ServiceEnded("The service is drained. Serve it again with workers.")
        return await self._descriptions.describe(self._choose(request))

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        """One question; who leaves cancels it."""
        left = cast("float | None", context.time_remaining())
        wait_ms = 0 if left is None else min(max(int(left * 1000), 1), _MAX_WAIT_MS)
        route = self._routes.find(request.lease)
        return pb.PredictResponse(data=await Call().ask(route, request.data, wait_ms))

    async def PredictStream(
        self, request_iterator: AsyncIterator[pb.Asks], context: Context
    ) -> AsyncIterator[pb.Answers]:
        """Many questions; who leaves cancels those that are under way."""
        first = await anext(aiter(request_iterator), None)
        if first is None:
            return
        stream = Stream(self._routes.find(first.lease), first.lease)
        reader = asyncio.ensure_future(stream.read(first, request_iterator))
        try:
            async for answers in stream.answers():
                yield answers
        finally:
            reader.cancel()
            stream.close()

    async def _shown(self, service: str) -> pb.Service:
        message: pb.Service = (await self._board.get(service, "serve")).message
        return message

    def _choose(self, request: pb.DescribeRequest) -> Route:
        ready = self._routes.ready(request.service)
        if request.lease:
            ready = {lease: route for lease, route in ready.items() if lease == request.lease}
        if not ready:
            if request.lease:
                self._routes.find(request.lease)  # raises why it ended
            raise WorkerUnavailable("No worker is ready. Watch the service, then ask again.")
        return min(ready.values(), key=lambda route: route.under_way)
