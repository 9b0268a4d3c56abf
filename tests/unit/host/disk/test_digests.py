# SPDX-License-Identifier: Apache-2.0
"""The digest of a put may come last: nothing is complete before it is the digest of all that came,
and two halves of different files never become one."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from placet.governance.keys import SigningKey
from placet.host.blobs._receive import Digest
from placet.host.blobs.blob_files import PART, BlobFiles, Manifest, arriving
from placet.host.blobs.blob_store import BlobStore
from placet.host.blobs.places import PutPlaces
from placet.proto.v1 import blobs_pb2
from placet.refusals import BlobConflict, BlobDigest, BlobNotFound

ID = "ab" * 16
MIB = 2**20
Pieces = AsyncIterator[bytes | Digest]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Story:
    """Puts by one principal at a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, BlobFiles(folder)
        places = PutPlaces(16, 16, 10.0)
        self.store = BlobStore(
            self.files, max_blob=2**30, places=places, min_free=0, put_idle_seconds=5.0
        )

    async def put(
        self, data: bytes, sent: bytes, last: bytes | None, id: str = ID, **header: Any
    ) -> blobs_pb2.BlobInfo:
        """Put some bytes of `data`, and a digest after them."""

        async def pieces() -> Pieces:
            for start in range(0, len(sent), MIB):
                yield sent[start : start + MIB]
            if last is not None:
                yield Digest(last)

        made = blobs_pb2.PutHeader(id=id, length=len(data), **header)
        return await self.store.put(made, pieces(), "ada")

    async def broken_off(self, data: bytes, **header: Any) -> None:
        """A put of which a part and a little more arrived."""
        info = await self.put(data, data[: PART + MIB], None, **header)
        assert (info.received, info.complete) == (PART, False)

    async def read(self, id: str = ID) -> bytes:
        return b"".join([piece async for piece in self.store.get(id, 0, 0)])


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


@pytest.fixture
def data() -> bytes:
    return os.urandom(2 * PART + 9)


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1])
def test_a_put_is_complete_once_its_digest_came(story: Story, run: Any, size: int) -> None:
    async def body() -> None:
        data = os.urandom(size)
        info = await story.put(data, data, None)
        assert (info.received, info.complete, info.sha256) == (size, False, b"")
        with pytest.raises(BlobDigest):
            await story.put(data, b"", sha256(b"another"), offset=size)
        with pytest.raises(BlobNotFound):  # all of it was dropped
            await story.store.stat(ID, "ada")
        await story.put(data, data, None)
        info = await story.put(data, b"", sha256(data), offset=size)
        assert (info.received, info.complete, info.sha256) == (size, True, sha256(data))
        assert await story.read() == data

    run(body())


def test_two_halves_of_different_files_are_dropped(story: Story, run: Any, data: bytes) -> None:
    async def body() -> None:
        other = os.urandom(len(data))
        headers: list[dict[str, Any]] = [{}, {"sha256": sha256(other)}]
        for header in headers:
            await story.broken_off(data)
            last = None if header else sha256(other)
            with pytest.raises(BlobDigest):
                await story.put(other, other[PART:], last, offset=PART, **header)
            assert await story.store.all() == []
        assert (await story.put(other, other, sha256(other))).complete
        assert await story.read() == other

    run(body())


def test_a_put_goes_on_whether_its_digest_was_said_first_or_not(
    story: Story, run: Any, data: bytes
) -> None:
    async def body() -> None:
        first: dict[str, Any] = {"sha256": sha256(data)}
        for before, after in (({}, {}), ({}, first), (first, {}), (first, first)):
            await story.broken_off(data, **before)
            last = None if after else sha256(data)
            info = await story.put(data, data[PART:], last, offset=PART, **after)
            assert info.complete
            assert await story.read() == data
            await story.store.delete(ID)

    run(body())


def test_what_was_whole_once_is_looked_at_again(story: Story, run: Any, data: bytes) -> None:
    """A host that ended before it gave a whole blob its id, and a disk that lost a part since."""

    async def body() -> None:
        other = os.urandom(len(data))
        await story.put(data, data, None)
        whole = Manifest(len(data), sha256(data).hex(), "", complete=True)
        name = arriving(ID, "ada")
        story.files.write_manifest(name, whole)
        (story.folder / name / "part-00000001").unlink()
        await story.put(other, other[PART:], None, offset=PART)
        with pytest.raises(BlobDigest):
            await story.put(data, b"", None, offset=len(data), sha256=sha256(data))

    run(body())


def test_another_blob_of_the_id_is_not_what_came(story: Story, run: Any, data: bytes) -> None:
    async def body() -> None:
        other = os.urandom(len(data))
        await story.put(data, data, sha256(data))
        await story.broken_off(other)  # says what came of it, and not that it is complete
        with pytest.raises(BlobConflict):
            await story.put(other, other, sha256(other))
        with pytest.raises(BlobConflict):
            await story.put(data, data, sha256(data), owner=SigningKey.generate().public.text)
        assert (await story.put(data, data, sha256(data))).complete
        assert await story.store.all() == [ID]
        assert await story.read() == data

    run(body())


def test_a_bundle_takes_its_name_back_and_a_put_mends(story: Story, run: Any, data: bytes) -> None:
    async def body() -> None:
        id = sha256(data).hex()[:32]
        other = os.urandom(100)
        await story.put(other, other, sha256(other), id)
        for _ in range(2):
            assert (await story.put(data, data, sha256(data), id)).complete
            assert await story.read(id) == data
            (story.folder / id / "part-00000001").unlink()
            assert not (await story.store.stat(id)).complete

    run(body())


def test_what_comes_of_a_digest_is_checked(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        data = os.urandom(10)
        chunk, last = blobs_pb2.PutRequest(chunk=data), blobs_pb2.PutRequest(sha256=sha256(data))
        empty = blobs_pb2.PutHeader(id=ID, length=10)
        full = blobs_pb2.PutHeader(id=ID, length=10, sha256=sha256(data))

        async def put(header: blobs_pb2.PutHeader, *rest: blobs_pb2.PutRequest) -> Any:
            messages = (blobs_pb2.PutRequest(header=header), *rest)
            return await client.blobs.Put(iter(messages), metadata=world.metadata)

        async with world.host() as (_, client):
            short = blobs_pb2.PutRequest(sha256=b"short")
            await refused(put(empty, chunk, short), "REQUEST_MALFORMED")
            await refused(put(full, chunk, last), "REQUEST_MALFORMED")
            assert not (await put(empty, last, chunk)).complete
            info = await put(empty, chunk, last)
            assert (info.complete, info.sha256) == (True, sha256(data))
            stat = blobs_pb2.StatRequest(id=ID)
            assert await client.blobs.Stat(stat, metadata=world.metadata) == info

    run(body())
