# SPDX-License-Identifier: Apache-2.0
"""Federations: starting and following them, updates in, models out."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from placet.host.blobs.blob_store import BlobStore
from placet.host.documents import read_ticket, read_update
from placet.host.enclaves.authority import AuthorityLine
from placet.host.errors import (
    AuthorityUnavailable,
    BlobIncomplete,
    BlobNotFound,
    RequestMalformed,
    UpdateNotFetched,
)
from placet.host.runs.federation_board import FederationBoard
from placet.host.runs.federations import Federations
from placet.proto.v1 import enclaves_pb2, federations_pb2_grpc
from placet.proto.v1 import federations_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]


class FederationsService(federations_pb2_grpc.FederationsServicer):
    def __init__(
        self,
        federations: Federations,
        board: FederationBoard,
        line: AuthorityLine,
        blobs: BlobStore,
    ) -> None:
        self._federations = federations
        self._board = board
        self._line = line
        self._blobs = blobs
        self._draining = False

    def drain(self) -> None:
        self._draining = True

    async def Start(self, request: pb.StartRequest, context: Context) -> pb.Federation:
        """The same federation again is as it stands."""
        if self._draining:
            raise AuthorityUnavailable("The host is shutting down. Try again later.")
        facts = read_ticket(request.ticket)
        if facts.federation is None:
            text = (
                "The ticket is not for a federation. Use Jobs.Submit for a job, "
                "Inference.Serve for a service."
            )
            raise RequestMalformed(text, claim="action", expected="federate", actual=facts.action)
        await self._federations.start(facts, request.ticket)
        return (await self._board.get(facts.proposal)).message

    async def Get(self, request: pb.GetFederationRequest, context: Context) -> pb.Federation:
        return (await self._board.get(request.id)).message

    async def Watch(
        self, request: pb.GetFederationRequest, context: Context
    ) -> AsyncIterator[pb.Federation]:
        """Now, then after each change, until it has ended."""
        messages = self._board.watch(request.id)
        async with aclosing(messages):
            async for message in messages:
                yield message

    async def Update(self, request: pb.UpdateRequest, context: Context) -> pb.UpdateReceipt:
        """To the authority, once the stream is here: an update that counts can be fetched."""
        facts = read_update(request.update)
        record = (await self._board.get(facts.federation)).record
        await self._check_stream(facts.blob, record.facts.sealed_bytes)
        return await self._line.request(enclaves_pb2.KIND_UPDATE, request, pb.UpdateReceipt)

    async def Model(self, request: pb.ModelRequest, context: Context) -> pb.ModelResponse:
        return await self._line.request(enclaves_pb2.KIND_MODEL, request, pb.ModelResponse)

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
