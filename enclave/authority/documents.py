# SPDX-License-Identifier: Apache-2.0
"""The host keeps documents by digest and entries by index for the log; each is checked on
arrival."""

from collections import OrderedDict
from collections.abc import AsyncIterator

import grpc.aio

from placet.enclave.connection import Connection
from placet.governance.envelope import digest_of, parse_envelope
from placet.governance.ledger import missing_document
from placet.governance.log import Tree, leaf_hash
from placet.proto.v1 import log_pb2, log_pb2_grpc
from placet.refusals import DocumentNotFound, LogProofInvalid, Refusal

_KEPT = 8192


class DocumentCache:
    """`envelope` answers from memory and raises `DocumentNotFound`; `fetch` asks the host for what
    was missing."""

    def __init__(self, host: Connection) -> None:
        self._log = log_pb2_grpc.LogStub(host.channel)
        self._metadata = host.metadata
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def envelope(self, digest: str) -> bytes:
        """An envelope that is in memory."""
        if digest not in self._kept:
            raise missing_document(digest)
        return self._kept[digest]

    def keep(self, digest: str, envelope: bytes) -> None:
        """Hold an envelope; the oldest goes when there are too many."""
        self._kept[digest] = envelope
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    async def fetch(self, digest: str) -> None:
        """Ask the host for a document. Raises `DocumentNotFound` if it gives none, or another."""
        request = log_pb2.GetDocumentRequest(digest=digest)
        try:
            response = await self._log.GetDocument(request, metadata=self._metadata)
        except grpc.aio.AioRpcError:
            raise missing_document(digest) from None
        if not _is(response.document, digest):
            raise missing_document(digest)
        self.keep(digest, response.document)


async def read_entries(host: Connection, start: int, end: int) -> AsyncIterator[bytes]:
    """At most `end - start` entries as the host has them. Raises `LogProofInvalid` where it has an
    error instead."""
    request = log_pb2.GetEntriesRequest(start=start, end=end)
    left = end - start
    try:
        stub = log_pb2_grpc.LogStub(host.channel)
        async for batch in stub.GetEntries(request, metadata=host.metadata):
            for data in batch.entries[:left]:
                yield data
            left -= len(batch.entries)
            if left <= 0:
                return
    except grpc.aio.AioRpcError as error:
        raise LogProofInvalid(
            "The host does not give back the entries of the log.",
            claim="entries",
            expected=f"{start} to {end}",
            actual=error.code().name,
        ) from None


async def read_entry(host: Connection, tree: Tree, index: int) -> bytes:
    """One entry, checked against the tree. Raises `LogProofInvalid`."""
    async for data in read_entries(host, index, index + 1):
        if leaf_hash(data) == tree.leaf(index):
            return data
    raise LogProofInvalid("The host does not give back an entry of the log.", claim="entry")


def missing_digest(error: DocumentNotFound) -> str:
    """The digest that a `DocumentNotFound` names."""
    return error.details["actual"]


def _is(document: bytes, digest: str) -> bool:
    """Envelopes go by the digest of their payload, all else by its own."""
    try:
        return parse_envelope(document).digest == digest
    except Refusal:
        return digest_of(document) == digest
