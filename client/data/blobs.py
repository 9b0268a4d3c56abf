# SPDX-License-Identifier: Apache-2.0
"""Sealed bytes to the host and back; a transfer that breaks off goes on where it stopped.

A put continues at the offset that the host says is durable, a get at the length of what lies in its
`.part` file. As long as bytes move, a broken connection is tried again; after `_TRIES` tries
without any it is given up.
"""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from placet.client.connection.calls import translated
from placet.client.connection.connection import Connection
from placet.client.connection.told import object_id
from placet.client.data.objects import Progress
from placet.client.errors import AnswerMalformed, FileRefused, HostUnreachable
from placet.client.files import reading
from placet.client.keys import Keys
from placet.client.log.reader import LogReader
from placet.governance.documents import Delete
from placet.governance.envelope import sign
from placet.governance.keys import PublicKey
from placet.proto.limits import MAX_CHUNK
from placet.proto.v1 import blobs_pb2
from placet.refusals import Refused

_TRIES = 5
_PAUSE = 0.5  # seconds before the first further try; each one waits twice as long


@dataclass(frozen=True, slots=True)
class Blob:
    """How much of a blob the host has, in bytes."""

    id: str
    length: int
    received: int
    complete: bool

    @classmethod
    def from_wire(cls, info: blobs_pb2.BlobInfo) -> "Blob":
        return cls(object_id(info.id), info.length, info.received, info.complete)


class AsyncBlobs:
    """Sealed bytes at the host, by the id of their object."""

    def __init__(self, connection: Connection, log: LogReader) -> None:
        self._connection = connection
        self._log = log

    async def put(
        self,
        id: str,
        source: Path | bytes,
        *,
        owner: PublicKey | None = None,
        progress: Progress | None = None,
    ) -> Blob:
        """Put a file or bytes under an object id, or the rest of it. `owner` is the key that may
        delete it.

        Raises `Refused` (BLOB_CONFLICT: the id belongs to other bytes), `FileRefused`, or
        `Unreachable`.
        """
        if isinstance(source, bytes):
            header = _header(id, len(source), hashlib.sha256(source).digest(), owner)
        else:
            length, digest = await asyncio.to_thread(_digest, source)
            header = _header(id, length, digest, owner)
        tries, received, told = 0, 0, -1
        while True:
            try:
                header.offset = await self._received(id) if told < 0 else told
                if header.offset > received:
                    tries, received = 0, header.offset
                blob = await self._put(header, source, progress)
                if blob.complete:
                    return blob
                raise AnswerMalformed(
                    "The host took the blob and says that it is not whole. Put it again."
                )
            except HostUnreachable:
                tries, told = tries + 1, -1
                if tries == _TRIES:
                    raise
            except Refused as refused:
                # The host had more, or less, than it said a moment ago (its parts are written
                # behind the answer), or spoke of other bytes of this id, which give way; or no
                # place was free for very long.
                tries += 1
                if refused.reason not in ("BLOB_OFFSET", "QUEUE_FULL") or tries == _TRIES:
                    raise
                told = _offset(refused, header.length) if refused.reason == "BLOB_OFFSET" else -1
            await asyncio.sleep(_PAUSE * 2**tries)

    async def stat(self, id: str) -> Blob:
        """How much of a blob the host has. Raises `Refused` with BLOB_NOT_FOUND."""
        stat = await self._connection.ask(self._connection.blobs.Stat, blobs_pb2.StatRequest(id=id))
        return Blob.from_wire(stat)

    async def get(
        self, id: str, sink: Path, *, length: int | None = None, progress: Progress | None = None
    ) -> Path:
        """Fetch a blob into a file, or the rest of it; the caller verifies what it got.

        `length` is what a signed descriptor says; without it the host's word is taken. The bytes
        come into `sink` with ".part" added, which becomes `sink` at the end.
        """
        if length is None:
            length = (await self.stat(id)).length
        part = sink.with_name(sink.name + ".part")
        tries = 0
        with _appending(part, length) as file:
            while (offset := file.tell()) < length:
                try:
                    await self._get(id, file, length, progress)
                except HostUnreachable:
                    tries = 0 if file.tell() > offset else tries + 1
                    if tries == _TRIES:
                        raise
                    await asyncio.sleep(_PAUSE * 2**tries)
            file.flush()
            os.fsync(file.fileno())
        part.replace(sink)
        return sink

    async def delete(self, id: str, keys: Keys) -> None:
        """Have the host forget a blob that was put with these keys as its owner."""
        self._connection.access.use(keys)
        envelope = sign(Delete(await self._log.header(), id), keys.signing)
        request = blobs_pb2.DeleteBlobRequest(id=id, envelope=envelope)
        await self._connection.ask(self._connection.blobs.Delete, request)

    async def _received(self, id: str) -> int:
        try:
            return (await self.stat(id)).received
        except Refused as refused:
            if refused.reason != "BLOB_NOT_FOUND":
                raise
            return 0

    async def _put(
        self, header: blobs_pb2.PutHeader, source: Path | bytes, progress: Progress | None
    ) -> Blob:
        with translated():
            requests = _requests(header, source, progress)
            metadata = self._connection.access.metadata()
            info = await self._connection.blobs.Put(requests, metadata=metadata)
        return Blob.from_wire(info)

    async def _get(
        self, id: str, file: io.BufferedWriter, length: int, progress: Progress | None
    ) -> None:
        request = blobs_pb2.GetBlobRequest(id=id, offset=file.tell(), length=length - file.tell())
        metadata = await self._connection.access.ready()
        with translated():
            call = self._connection.blobs.Get(request, metadata=metadata)
            async for chunk in call:
                if file.tell() + len(chunk.data) > length:
                    call.cancel()
                    raise AnswerMalformed(
                        "The host gives more bytes than the blob has. Do not use them."
                    )
                file.write(chunk.data)
                if progress is not None:
                    progress(file.tell(), length)
        if file.tell() < length:
            raise HostUnreachable(
                "The host ended the transfer early. Try again: it goes on where it stopped."
            )


def _header(id: str, length: int, sha256: bytes, owner: PublicKey | None) -> blobs_pb2.PutHeader:
    text = "" if owner is None else owner.text
    return blobs_pb2.PutHeader(id=id, length=length, sha256=sha256, owner=text)


async def _requests(
    header: blobs_pb2.PutHeader, source: Path | bytes, progress: Progress | None
) -> AsyncIterator[blobs_pb2.PutRequest]:
    yield blobs_pb2.PutRequest(header=header)
    offset = header.offset
    if isinstance(source, bytes):
        for start in range(offset, len(source), MAX_CHUNK):
            yield blobs_pb2.PutRequest(chunk=source[start : start + MAX_CHUNK])
            _report(progress, min(start + MAX_CHUNK, len(source)), header.length)
        return
    with reading(source) as file:
        file.seek(offset)
        while chunk := file.read(MAX_CHUNK):
            yield blobs_pb2.PutRequest(chunk=chunk)
            _report(progress, file.tell(), header.length)


def _offset(refused: Refused, length: int) -> int:
    """Where a put may begin, as the refusal of another offset says; at 0 it always may."""
    told = refused.details.get("expected", "")
    known = told.isdecimal() and len(told) <= len(str(length)) and int(told) <= length
    return int(told) if known else 0


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _digest(path: Path) -> tuple[int, bytes]:
    with reading(path) as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        return file.tell(), digest


def _appending(path: Path, length: int) -> io.BufferedWriter:
    """A file to go on with; started anew if it holds more than it may."""
    try:
        file = path.open("ab")
    except OSError as error:
        raise FileRefused(
            f"Cannot write {path}: {error.strerror}. Check the path.", claim=str(path)
        ) from None
    if file.tell() > length:
        file.truncate(0)
        file.seek(0)
    return file
