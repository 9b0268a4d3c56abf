# SPDX-License-Identifier: Apache-2.0
"""Blobs: sealed bytes in and out, and deletion by a document of their owner."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import grpc.aio

from placet.host.blobs._receive import Digest, not_idle
from placet.host.blobs.blob_store import BlobStore
from placet.host.callers.caller import current
from placet.host.documents import check_owner, verify_deletion
from placet.host.log.log import Log
from placet.host.store.deletion_table import begin_deletion, end_deletion
from placet.host.store.store import Store
from placet.proto.limits import MAX_CHUNK, MIB
from placet.proto.v1 import blobs_pb2, blobs_pb2_grpc
from placet.refusals import BlobNotFound, DocumentReplayed, MessageTooLarge, RequestMalformed

_MAX_DRAINED = 64 * MIB
_DRAIN_SECONDS = 2.0
Context = grpc.aio.ServicerContext[Any, Any]


class BlobsService(blobs_pb2_grpc.BlobsServicer):
    def __init__(self, store: Store, log: Log, blobs: BlobStore) -> None:
        self._store = store
        self._log = log
        self._blobs = blobs

    async def Put(
        self, request_iterator: AsyncIterator[blobs_pb2.PutRequest], context: Context
    ) -> blobs_pb2.BlobInfo:
        """A header, then chunks, then the digest unless the header has said it."""
        messages = not_idle(request_iterator, self._blobs.put_idle_seconds)
        try:
            first = await anext(messages, None)
            if first is None or not first.HasField("header"):
                raise RequestMalformed("The first message of a put is its header.", claim="header")
            check_owner(first.header.owner)
            pieces = _pieces(request_iterator, said=bool(first.header.sha256))
            info = await self._blobs.put(first.header, pieces, current().id)
        except Exception:
            await _drain(request_iterator)
            raise
        await _drain(request_iterator)  # what came for a blob that was complete already
        return info

    async def Get(
        self, request: blobs_pb2.GetBlobRequest, context: Context
    ) -> AsyncIterator[blobs_pb2.BlobChunk]:
        """A range, in pieces."""
        pieces = self._blobs.get(request.id, request.offset, request.length, current().id)
        async with aclosing(pieces):
            async for piece in pieces:
                yield blobs_pb2.BlobChunk(data=piece)

    async def Stat(self, request: blobs_pb2.StatRequest, context: Context) -> blobs_pb2.BlobInfo:
        """How much is there."""
        return await self._blobs.stat(request.id, current().id)

    async def Delete(
        self, request: blobs_pb2.DeleteBlobRequest, context: Context
    ) -> blobs_pb2.DeleteBlobResponse:
        """The document is noted before anything is removed, so it can be neither lost nor
        replayed."""
        owner = await self._blobs.owner(request.id, current().id)
        charter = self._log.state.charter
        digest = verify_deletion(request.envelope, blob=request.id, owner=owner, charter=charter)
        done = await self._store.write(lambda c: begin_deletion(c, digest, request.id))
        if done:
            raise DocumentReplayed("The document has deleted a blob of this id before.")
        try:
            await self._blobs.delete(request.id, current().id)
        except BlobNotFound:
            pass
        await self._store.write(lambda c: end_deletion(c, digest))
        return blobs_pb2.DeleteBlobResponse()


async def _pieces(
    messages: AsyncIterator[blobs_pb2.PutRequest], *, said: bool
) -> AsyncIterator[bytes | Digest]:
    async for message in messages:
        body = message.WhichOneof("body")
        if body == "chunk":
            chunk = message.chunk  # each look at it copies
            if len(chunk) > MAX_CHUNK:
                raise MessageTooLarge(f"A chunk has at most {MAX_CHUNK} bytes.", claim="chunk")
            yield chunk
        elif body == "sha256" and not said and len(message.sha256) == 32:
            yield Digest(message.sha256)
            return
        else:
            raise RequestMalformed(
                "After its header a put has chunks, and once a digest of 32 bytes.", claim="body"
            )


async def _drain(messages: AsyncIterator[blobs_pb2.PutRequest]) -> None:
    """Take in a little more before answering.

    A client of grpc.aio that is sending when the call ends shows its user an internal error instead
    of the answer.
    """
    left = _MAX_DRAINED
    with suppress(Exception):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for message in messages:
                left -= len(message.chunk)
                if left < 0:
                    return
