# SPDX-License-Identifier: Apache-2.0
"""Federations: starting and following them, updates in, models out."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from placet.host.blobs.blob_store import BlobStore
from placet.host.documents import read_ticket, read_update
from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.log import Log
from placet.host.runs.board import Board
from placet.host.runs.federation_record import FederationRecord
from placet.host.runs.run import Order
from placet.host.runs.runs import Runs
from placet.proto.v1 import enclaves_pb2, federations_pb2_grpc
from placet.proto.v1 import federations_pb2 as pb
from placet.refusals import BlobIncomplete, BlobNotFound, RequestMalformed, UpdateNotFetched

Context = grpc.aio.ServicerContext[Any, Any]


class FederationsService(federations_pb2_grpc.FederationsServicer):
    def __init__(
        self,
        runs: Runs,
        log: Log,
        board: Board,
        line: AuthorityLine,
        blobs: BlobStore,
    ) -> None:
        self._runs = runs
        self._log = log
        self._board = board
        self._line = line
        self._blobs = blobs

    async def Start(self, request: pb.StartRequest, context: Context) -> pb.Federation:
        """The same federation again is as it stands."""
        facts = read_ticket(request.ticket)
        if facts.federation is None:
            text = (
                "The ticket is not for a federation. Use Jobs.Submit for a job, "
                "Inference.Serve for a service."
            )
            raise RequestMalformed(text, claim="action", expected="federate", actual=facts.action)
        await self._runs.start(Order(facts, request.ticket))
        return await self._shown(facts.proposal)

    async def Get(self, request: pb.GetFederationRequest, context: Context) -> pb.Federation:
        return await self._shown(request.id)

    async def Watch(
        self, request: pb.GetFederationRequest, context: Context
    ) -> AsyncIterator[pb.Federation]:
        """Now, then after each change, until it has ended."""
        messages = self._board.watch(request.id, "federate")
        async with aclosing(messages):
            async for message in messages:
                yield message

    async def Update(self, request: pb.UpdateRequest, context: Context) -> pb.UpdateReceipt:
        """To the authority, once the stream is here: an update that counts can be fetched."""
        facts = read_update(request.update)
        run = await self._board.run(facts.federation, "federate")
        record = FederationRecord.of(run, self._log)
        await self._check_stream(facts.blob, record.facts.sealed_bytes)
        return await self._line.request(enclaves_pb2.KIND_UPDATE, request, pb.UpdateReceipt)

    async def Model(self, request: pb.ModelRequest, context: Context) -> pb.ModelResponse:
        return await self._line.request(enclaves_pb2.KIND_MODEL, request, pb.ModelResponse)

    async def _shown(self, federation: str) -> pb.Federation:
        message: pb.Federation = (await self._board.get(federation, "federate")).message
        return message

    async def _check_stream(self, blob: str, expected: int) -> None:
        remedy = f"Put the sealed vector as blob {blob}, then send the update again."
        try:
            info = await self._blobs.stat(blob)
        except BlobNotFound:
            text = "The update's stream is not here."
            raise BlobNotFound(text, claim="object", actual=blob, remedy=remedy) from None
        if info.length != expected:
            raise UpdateNotFetched(
                "The update's stream does not have the length of a sealed vector of the layout.",
                claim="object",
                expected=f"{expected} bytes",
                actual=f"{info.length} bytes",
                remedy="Seal the whole vector in the layout's segments, under a new random id.",
            )
        if not info.complete:
            text = "The update's stream was not received whole."
            raise BlobIncomplete(text, claim="object", actual=blob, remedy=remedy)
