# SPDX-License-Identifier: Apache-2.0
"""Blobs: puts that resume, gets of ranges, and what refuses them.

A put ends in one of three ways: complete (all bytes are there, their SHA-256 is the one its client
has found, all of it flushed), broken off (whole parts stay; the next put continues at the offset
that `stat` says), or refused. What an earlier put left is gone on with if it may be the same: its
length is, and its digest where both said one. If the digest of all bytes is another one at the end,
all of them are dropped. A newer put of the same blob takes over from an older one, whose client may
have gone long ago. Memory is bounded: two parts a put, and so many at once as there are places;
others wait for one, and nothing of theirs is read meanwhile.

Nothing is remembered of a blob but what lies in its folder. A blob is complete while its manifest
says so and every part is there in its length; one that lost a part is mended by a put. A get of the
whole blob checks its SHA-256, and forgets what the disk has damaged: that has to be put again.
"""

import asyncio
import errno
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

from placet.host.blobs._put import Put
from placet.host.blobs._receive import Digest, Slot, Turns, not_idle, receive, to_end
from placet.host.blobs.blob_files import ID, BlobFiles, Manifest, arriving
from placet.host.blobs.places import PutPlaces
from placet.host.blobs.room import Room
from placet.proto.limits import MAX_CHUNK, MIB
from placet.proto.v1 import blobs_pb2
from placet.refusals import (
    BlobDigest,
    BlobIncomplete,
    BlobNotFound,
    BlobOffset,
    BlobTooLarge,
    RequestMalformed,
)

MAX_BUNDLE = 256 * MIB
Pieces = AsyncIterator[bytes | Digest]


class BlobStore:
    def __init__(
        self,
        files: BlobFiles,
        *,
        max_blob: int,
        places: PutPlaces,
        min_free: int,
        put_idle_seconds: float,
    ) -> None:
        self._files = files
        self.room = Room(files.free, min_free)
        self.put_idle_seconds = put_idle_seconds
        self._max_blob = max_blob
        self._places = places
        self._slots: dict[str, Slot] = {}
        self._keeping = asyncio.Lock()

    async def put(
        self, header: blobs_pb2.PutHeader, pieces: Pieces, whose: str = ""
    ) -> blobs_pb2.BlobInfo:
        """Receive a blob, or the rest of it, once there is a place for the principal that puts it.

        What is announced has its room until the end. A put for which no bytes come for a while is
        broken off (`DeadlinePassed`). Raises `QueueFull` where the wait for a place was in vain.
        """
        self._manifest_of(header)  # refused before it waits
        async with self._places.place(whose):
            return await self._receive(header, pieces, whose)

    async def _receive(
        self, header: blobs_pb2.PutHeader, pieces: Pieces, whose: str
    ) -> blobs_pb2.BlobInfo:
        wanted = self._manifest_of(header)
        with self.room.announce(header.length - header.offset) as written:
            async with self._slot(arriving(header.id, whose)) as (slot, turn):
                turns = Turns(slot, turn)
                put = Put(self._files, header.id, whose, wanted)
                coming = not_idle(pieces, self.put_idle_seconds)
                whole = await receive(put, header.offset, coming, turns, written)
                # Of what broke off: another blob may have the id.
                name = header.id if whole else arriving(header.id, whose)
                return await asyncio.to_thread(self._info, header.id, name)

    async def keep(self, blob: str, data: bytes) -> None:
        """Store bytes that are the host's to keep, which wait for no place; nothing happens if
        they are there."""

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        sha256 = hashlib.sha256(data).digest()
        header = blobs_pb2.PutHeader(id=blob, length=len(data), sha256=sha256)
        async with self._keeping:  # of the same bytes too: a newer put would take over
            await self._receive(header, chunks(), "")

    async def stat(self, blob: str, whose: str = "") -> blobs_pb2.BlobInfo:
        """What is there of a blob, or of what this principal has put of it. Raises
        `BlobNotFound`."""
        return await asyncio.to_thread(self._info, _checked(blob), blob, arriving(blob, whose))

    async def get(
        self, blob: str, offset: int, length: int, whose: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """Pieces of at most 1 MiB of `length` bytes from `offset`; length 0 stands for the rest.

        Raises `BlobNotFound`, `BlobOffset`, `BlobIncomplete` where a part is lost, or, after the
        last piece of the whole blob, `BlobDigest`.
        """
        manifest = await asyncio.to_thread(self._whole, _checked(blob), whose)
        end = offset + length if length else manifest.length
        if not offset <= end <= manifest.length:
            raise BlobOffset(
                f"The range ends at {end}, the blob at {manifest.length}.",
                expected=str(manifest.length),
                actual=str(end),
            )
        hasher = hashlib.sha256() if (offset, end) == (0, manifest.length) else None

        def read(part: int, start: int, stop: int) -> bytes:
            piece = self._read(blob, part, start, stop)
            if hasher is not None:
                hasher.update(piece)
            return piece

        while offset < end:
            part, start = divmod(offset, manifest.part_size)
            stop = min(start + MAX_CHUNK, manifest.size_of(part), start + end - offset)
            try:
                piece = await asyncio.to_thread(read, part, start, stop)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                await self._damaged(blob)
            yield piece
            offset += len(piece)
        if hasher is not None and hasher.hexdigest() != manifest.sha256:
            await self._damaged(blob)

    async def owner(self, blob: str, whose: str = "") -> str:
        """The public key that may delete the blob, or what this principal has put of it. Raises
        `BlobNotFound`."""
        names = _checked(blob), arriving(blob, whose)
        return (await asyncio.to_thread(self._found, blob, *names))[1].owner

    async def delete(self, blob: str, whose: str = "") -> None:
        """Remove a blob, and what this principal has put of it; nothing happens if there is
        none."""
        async with self._slot(arriving(_checked(blob), whose)) as (slot, _), slot.lock:
            await to_end(self._delete, blob, whose)

    async def all(self) -> list[str]:
        """The names of all that lies here, whole or not."""
        return await asyncio.to_thread(lambda: sorted(self._files.blobs()))

    async def remove_broken(self, blob: str, before: float) -> bool:
        """Remove what a put left that broke off, and that nobody has gone on with since `before`
        (Unix seconds); whether that was so."""
        if blob in self._slots:
            return False
        async with self._slot(blob) as (slot, _), slot.lock:
            return await to_end(self._remove, blob, before, broken=True)

    async def remove_older(self, blob: str, before: float) -> bool:
        """Remove a blob that was there before; whether that was so, or there is none."""
        if blob in self._slots:
            return False
        async with self._slot(blob) as (slot, _), slot.lock:
            return await to_end(self._remove, blob, before, broken=False)

    def copy(self, blob: str, path: Path, digest: str) -> None:
        """Write a blob's bytes to a file, and check their "sha256:<hex>". Blocks.

        Raises `BlobNotFound`, `BlobIncomplete`, `BlobTooLarge` or `BlobDigest`.
        """
        manifest = self._whole(_checked(blob))
        if manifest.length > MAX_BUNDLE:
            raise BlobTooLarge(f"A program's bundle has at most {MAX_BUNDLE} bytes.")
        hasher = hashlib.sha256()
        with path.open("wb") as file:
            for part in range(manifest.parts):
                data = self._read(blob, part, 0, manifest.size_of(part))
                hasher.update(data)
                file.write(data)
        found = "sha256:" + hasher.hexdigest()
        if found != "sha256:" + manifest.sha256:
            forget_damaged(self._files, blob)
        if found != digest:
            raise BlobDigest("The bundle is not the program.", expected=digest, actual=found)

    @asynccontextmanager
    async def _slot(self, blob: str) -> AsyncGenerator[tuple[Slot, int], None]:
        slot = self._slots.setdefault(blob, Slot())
        slot.users += 1
        slot.newest += 1
        try:
            yield slot, slot.newest
        finally:
            slot.users -= 1
            if not slot.users:
                del self._slots[blob]

    def _manifest_of(self, header: blobs_pb2.PutHeader) -> Manifest:
        _checked(header.id)
        if len(header.sha256) not in (0, 32):
            raise RequestMalformed("sha256 must have 32 bytes, or come last.", claim="sha256")
        if header.length > self._max_blob:
            raise BlobTooLarge(f"A blob has at most {self._max_blob} bytes here.", claim="length")
        if header.offset > header.length:
            raise BlobOffset("The put begins beyond the blob's end.", claim="offset")
        return Manifest(header.length, header.sha256.hex(), header.owner, complete=False)

    def _remove(self, blob: str, before: float, *, broken: bool) -> bool:
        with self._files.naming:
            try:
                if self._files.changed(blob) > before:
                    return False
            except FileNotFoundError:
                return not broken
            manifest = self._files.manifest(blob)
            if broken and ID.fullmatch(blob) and manifest is not None and manifest.complete:
                return False
            self._files.remove(blob)
        return True

    def _delete(self, blob: str, whose: str) -> None:
        with self._files.naming:
            self._files.remove(blob)
            self._files.remove(arriving(blob, whose))

    def _found(self, blob: str, *names: str) -> tuple[str, Manifest]:
        """The first of what may lie there of a blob."""
        for name in names:
            manifest = self._files.manifest(name)
            if manifest is not None:
                return name, manifest
        raise BlobNotFound("No blob has this id. Put it first.", claim="id", actual=blob)

    async def _damaged(self, blob: str) -> NoReturn:
        """What was read was not what was put."""
        async with self._slot(blob) as (slot, _), slot.lock:
            await to_end(forget_damaged, self._files, blob)
        raise BlobDigest(
            "The host's disk has damaged the blob. Put it again.", claim="id", actual=blob
        )

    def _whole(self, blob: str, whose: str = "") -> Manifest:
        name, manifest = self._found(blob, blob, arriving(blob, whose))
        if name != blob or not manifest.complete:
            raise BlobIncomplete("The blob was not received whole. Resume its put.", actual=blob)
        return manifest

    def _info(self, blob: str, *names: str) -> blobs_pb2.BlobInfo:
        name, manifest = self._found(blob, *names)
        parts = self._files.received(name, manifest)
        return blobs_pb2.BlobInfo(
            id=blob,
            length=manifest.length,
            received=min(parts * manifest.part_size, manifest.length),
            complete=name == blob and manifest.complete and parts == manifest.parts,
            sha256=bytes.fromhex(manifest.sha256),
        )

    def _read(self, blob: str, part: int, start: int, end: int) -> bytes:
        try:
            return self._files.read_part(blob, part, start, end)
        except FileNotFoundError:
            if self._files.manifest(blob) is None:
                raise BlobNotFound("The blob was deleted.", claim="id", actual=blob) from None
            raise BlobIncomplete(
                "The host's disk has lost a part of the blob. Put it again.", actual=blob
            ) from None


def forget_damaged(files: BlobFiles, blob: str) -> bool:
    """Let a complete blob be put again whose bytes are not what was put; whether that is so.

    It is read once more before, for the memory may have been at fault. Blocks.
    """
    manifest = files.manifest(blob)
    if manifest is None or not manifest.complete:
        return False
    try:
        if files.digest(blob, manifest, lambda _: None) == manifest.sha256:
            return False
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EIO):  # a want of descriptors, say
            raise
    with files.naming:
        if files.manifest(blob) != manifest:
            return False  # another has come in its place
        files.forget(blob, manifest)
    return True


def _checked(blob: str) -> str:
    if not ID.fullmatch(blob):
        raise RequestMalformed("A blob's id has 32 lower-case hexadecimal digits.", claim="id")
    return blob
