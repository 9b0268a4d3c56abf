# SPDX-License-Identifier: Apache-2.0
"""One put, tried until the host has all of it.

The digest is made while the bytes are sent, and said at the end; a put that continues makes it of
what the host has, before it sends the rest. Where the host says a digest, ours is made first: a
blob that is there is not sent again.
"""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from placet.client.connection.calls import translated
from placet.client.connection.connection import Connection
from placet.client.data.objects import Progress
from placet.client.errors import AnswerMalformed, HostUnreachable
from placet.client.files import reading
from placet.proto.limits import MAX_CHUNK
from placet.proto.v1 import blobs_pb2
from placet.refusals import Refused

TRIES = 5
PAUSE = 0.5  # seconds before the first further try; each one waits twice as long


class Put:
    """A put of a file or bytes by a connection, and where it goes on.

    Raises `FileRefused`.
    """

    def __init__(
        self,
        connection: Connection,
        id: str,
        source: Path | bytes,
        owner: str,
        progress: Progress | None,
    ) -> None:
        self._connection = connection
        self._source = source
        self._progress = progress
        with _opened(source) as file:
            length = file.seek(0, os.SEEK_END)
        self._header = blobs_pb2.PutHeader(id=id, length=length, owner=owner)
        self._hasher = hashlib.sha256()
        self._told: int | None = None  # where the host has said that it goes on
        self._anew = False  # whether it had to begin anew, for what the host had was not this

    async def to_end(self) -> blobs_pb2.BlobInfo:
        """What the host has, which is all of it. As long as bytes move, it is tried again.

        Raises `Refused`, `Unreachable`, or `AnswerMalformed`.
        """
        tries, received = 0, 0
        while True:
            try:
                await self._find()
                if self._header.offset > received:
                    tries, received = 0, self._header.offset
                return await self._send()
            except HostUnreachable:
                self._told = None
                tries += 1
                if tries == TRIES:
                    raise
            except Refused as refused:
                tries += 1
                if tries == TRIES or not self._goes_on(refused):
                    raise
            await asyncio.sleep(PAUSE * 2**tries)

    async def _find(self) -> None:
        """Where to begin, and whether the digest has to be said first."""
        header = self._header
        if self._told is not None:
            header.offset = self._told
            return
        request = blobs_pb2.StatRequest(id=header.id)
        try:
            info = await self._connection.ask(self._connection.blobs.Stat, request)
        except Refused as refused:
            if refused.reason != "BLOB_NOT_FOUND":
                raise
            info = blobs_pb2.BlobInfo()
        header.offset = info.received
        if info.sha256 and not header.sha256:
            header.sha256 = await asyncio.to_thread(self._hash, header.length)

    async def _send(self) -> blobs_pb2.BlobInfo:
        if not self._header.sha256:
            await asyncio.to_thread(self._hash, self._header.offset)
        with translated():
            metadata = self._connection.access.metadata()
            info: blobs_pb2.BlobInfo = await self._connection.blobs.Put(
                self._requests(), metadata=metadata
            )
        if not info.complete:
            raise AnswerMalformed(
                "The host took the blob and says that it is not whole. Put it again."
            )
        return info

    def _hash(self, length: int) -> bytes:
        """Begin the digest anew, with the first so many bytes; their digest."""
        self._hasher = hashlib.sha256()
        with _opened(self._source) as file:
            while piece := file.read(min(MAX_CHUNK, length)):
                self._hasher.update(piece)
                length -= len(piece)
        return self._hasher.digest()

    async def _requests(self) -> AsyncIterator[blobs_pb2.PutRequest]:
        header, hasher, loop = self._header, self._hasher, asyncio.get_running_loop()
        yield blobs_pb2.PutRequest(header=header)
        with _opened(self._source) as file:
            file.seek(header.offset)
            while chunk := file.read(MAX_CHUNK):
                if header.sha256:
                    yield blobs_pb2.PutRequest(chunk=chunk)
                else:
                    hashing = loop.run_in_executor(None, hasher.update, chunk)  # while it is sent
                    yield blobs_pb2.PutRequest(chunk=chunk)
                    await hashing
                if self._progress is not None:
                    self._progress(file.tell(), header.length)
        if not header.sha256:
            yield blobs_pb2.PutRequest(sha256=hasher.digest())

    def _goes_on(self, refused: Refused) -> bool:
        """Whether another try may do better, and where it begins."""
        if refused.reason == "QUEUE_FULL":  # no place was free for very long
            self._told = None
            return True
        if refused.reason == "BLOB_OFFSET":
            # The host had more, or less, than it said a moment ago (its parts are written behind
            # the answer), or spoke of other bytes of this id, which give way.
            self._told = _offset(refused, self._header.length)
            return True
        if refused.reason == "BLOB_DIGEST" and self._header.offset and not self._anew:
            # What the host had was of other bytes, or the file has changed since.
            self._told, self._anew = 0, True
            return True
        return False


def _offset(refused: Refused, length: int) -> int:
    """Where a put may begin, as the refusal of another offset says; at 0 it always may."""
    told = refused.details.get("expected", "")
    known = told.isdecimal() and len(told) <= len(str(length)) and int(told) <= length
    return int(told) if known else 0


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else reading(source)
