# SPDX-License-Identifier: Apache-2.0
"""Sealed bytes to the host and back; a transfer that breaks off goes on where it stopped.

A put continues at the offset that the host says is durable, a get at the length of what lies in its
`.part` file. As long as bytes move, a broken connection is tried again; after `TRIES` tries
without any it is given up.
"""

import asyncio
import io
import os
from dataclasses import dataclass
from pathlib import Path

from placet.client.connection.calls import translated
from placet.client.connection.connection import Connection
from placet.client.connection.told import object_id
from placet.client.data.objects import Progress
from placet.client.data.puts import PAUSE, TRIES, Put
from placet.client.errors import AnswerMalformed, FileRefused, HostUnreachable
from placet.client.keys import Keys
from placet.client.log.reader import LogReader
from placet.governance.documents import Delete
from placet.governance.envelope import sign
from placet.governance.keys import PublicKey
from placet.proto.v1 import blobs_pb2


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
        key = "" if owner is None else owner.text
        put = Put(self._connection, id, source, key, progress)
        return Blob.from_wire(await put.to_end())

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
                    if tries == TRIES:
                        raise
                    await asyncio.sleep(PAUSE * 2**tries)
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
