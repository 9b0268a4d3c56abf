# SPDX-License-Identifier: Apache-2.0
"""Federations: updates in, models out."""

from typing import Any

import grpc.aio

from placet.host.blobs.blob_store import BlobStore
from placet.host.callers.caller import current
from placet.host.documents import read_update
from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.log import Log
from placet.host.runs.board import Board
from placet.host.runs.federation_record import FederationRecord
from placet.proto.v1 import enclaves_pb2, federations_pb2_grpc
from placet.proto.v1 import federations_pb2 as pb
from placet.refusals import BlobIncomplete, BlobNotFound, UpdateNotFetched

Context = grpc.aio.ServicerContext[Any, Any]


class FederationsService(federations_pb2_grpc.FederationsServicer):
    def __init__(
        self,
        log: Log,
        board: Board,
        line: AuthorityLine,
        blobs: BlobStore,
    ) -> None:
        self._log = log
        self._board = board
        self._line = line
        self._blobs = blobs

    async def Update(self, request: pb.UpdateRequest, context: Context) -> pb.UpdateReceipt:
        """To the authority, once the stream is here: an update that counts can be fetched."""
        facts = read_update(request.update)
        run = await self._board.run(facts.federation, "federate")
        record = FederationRecord.of(run, self._log)
        await self._check_stream(facts.blob, record.facts.sealed_bytes)
        return await self._line.request(enclaves_pb2.KIND_UPDATE, request, pb.UpdateReceipt)

    async def Model(self, request: pb.ModelRequest, context: Context) -> pb.ModelResponse:
        return await self._line.request(enclaves_pb2.KIND_MODEL, request, pb.ModelResponse)

    async def _check_stream(self, blob: str, expected: int) -> None:
        remedy = f"Put the sealed vector as blob {blob}, then send the update again."
        try:
            info = await self._blobs.stat(blob, current().id)
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
