# SPDX-License-Identifier: Apache-2.0
"""The documents that entries name: kept by the host, asked for by digest, checked on arrival, held in bounded number."""

from collections import OrderedDict

import grpc.aio

from placet.enclave.connection import METADATA
from placet.governance.errors import DocumentNotFound
from placet.governance.ledger import missing_document
from placet.proto.v1 import log_pb2, log_pb2_grpc

_KEPT = 8192


class DocumentCache:
    """`envelope` answers from memory and raises `DocumentNotFound`; `fetch` asks the host for what was missing."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._log = log_pb2_grpc.LogStub(channel)
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def envelope(self, digest: str) -> bytes:
        """An envelope that is in memory. Its reader checks the digest."""
        if digest not in self._kept:
            raise missing_document(digest)
        return self._kept[digest]

    def keep(self, digest: str, envelope: bytes) -> None:
        """Hold an envelope; the oldest goes when there are too many."""
        self._kept[digest] = envelope
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    async def fetch(self, digest: str) -> None:
        """Ask the host for a document. Raises `DocumentNotFound` if it has none."""
        request = log_pb2.GetDocumentRequest(digest=digest)
        try:
            response = await self._log.GetDocument(request, metadata=METADATA)
        except grpc.aio.AioRpcError:
            raise missing_document(digest) from None
        self.keep(digest, response.document)


def missing_digest(error: DocumentNotFound) -> str:
    """The digest that a `DocumentNotFound` names."""
    return error.details["actual"]
