# SPDX-License-Identifier: Apache-2.0
"""Log: checkpoint, entries, documents, proofs and tiles, for anyone who wants to check."""

import re
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from placet.auditing.tiles.paths import CHECKPOINT_PATH, TilePath
from placet.host.callers.caller import current
from placet.host.callers.gate import require_covered, require_principal
from placet.host.documents import is_public, proposal_of
from placet.host.log.log import Log
from placet.host.log.log_table import read_document, read_entries
from placet.host.log.pages import LogPages
from placet.host.store.store import Store
from placet.proto.limits import MIB
from placet.proto.v1 import log_pb2, log_pb2_grpc
from placet.refusals import DocumentNotFound, LogRange, RequestMalformed

_BATCH_BYTES = 1 * MIB
_BATCH_ENTRIES = 1024
_MAX_PATH = 128
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
Context = grpc.aio.ServicerContext[Any, Any]


class LogService(log_pb2_grpc.LogServicer):
    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log
        self._pages = LogPages(store, log)

    async def GetCheckpoint(
        self, request: log_pb2.GetCheckpointRequest, context: Context
    ) -> log_pb2.CheckpointResponse:
        return log_pb2.CheckpointResponse(note=self._log.checkpoint)

    async def GetEntries(
        self, request: log_pb2.GetEntriesRequest, context: Context
    ) -> AsyncIterator[log_pb2.EntriesResponse]:
        """In bounded batches; to whoever reads on, the newest checkpoint first."""
        start, size = request.start, self._log.tree.size
        end = request.end or size
        if not request.end:
            yield log_pb2.EntriesResponse(checkpoint=self._log.checkpoint)
        elif not start <= end <= size:
            raise LogRange(f"The log has {size} entries.", expected=f"at most {size}")
        response, held = log_pb2.EntriesResponse(), 0
        while start < end:
            stop = min(start + _BATCH_ENTRIES, end)
            for entry in await self._entries(start, stop):
                if held and held + len(entry) > _BATCH_BYTES:
                    yield response
                    response, held = log_pb2.EntriesResponse(), 0
                response.entries.append(entry)
                held += len(entry)
            start = stop
        if held:
            yield response

    async def GetDocument(
        self, request: log_pb2.GetDocumentRequest, context: Context
    ) -> log_pb2.DocumentResponse:
        """Strangers get charter, constitutions and proposals of services for bearers of tokens;
        under a pass, also its proposals and their ballots."""
        if not _DIGEST.fullmatch(request.digest):
            raise RequestMalformed('A digest reads "sha256:" and 64 digits.', claim="digest")
        document = await self._store.read(lambda c: read_document(c, request.digest))
        if document is None:
            raise DocumentNotFound("No document has this digest.", claim="digest")
        if not is_public(self._log.state, request.digest, document):
            require_principal(current())
            if current().pass_ is not None:
                require_covered(current(), proposal_of(document))
        return log_pb2.DocumentResponse(document=document)

    async def GetInclusionProof(
        self, request: log_pb2.InclusionProofRequest, context: Context
    ) -> log_pb2.ProofResponse:
        """Of an entry in a size of the log."""
        return log_pb2.ProofResponse(hashes=self._log.inclusion_proof(request.index, request.size))

    async def GetConsistencyProof(
        self, request: log_pb2.ConsistencyProofRequest, context: Context
    ) -> log_pb2.ProofResponse:
        """Of a size of the log with a later one."""
        return log_pb2.ProofResponse(
            hashes=self._log.consistency_proof(request.old_size, request.new_size)
        )

    async def GetTile(
        self, request: log_pb2.GetTileRequest, context: Context
    ) -> log_pb2.TileResponse:
        """Rendered when asked for."""
        if request.path == CHECKPOINT_PATH:
            return log_pb2.TileResponse(data=self._log.checkpoint)
        path = TilePath.from_text(request.path[:_MAX_PATH])
        try:
            return log_pb2.TileResponse(data=await self._pages.tile(path))
        except ValueError:
            raise LogRange("The log has not grown to this tile.", claim="path") from None

    async def _entries(self, start: int, end: int) -> list[bytes]:
        return await self._store.read(lambda c: read_entries(c, start, end))
