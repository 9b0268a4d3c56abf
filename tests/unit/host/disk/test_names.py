# SPDX-License-Identifier: Apache-2.0
"""Nobody keeps another from a name: blobs arrive apart for each principal, and bytes whose digest
begins with the id take the place of any others."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from placet.host.blobs.blob_files import PART, BlobFiles, arriving
from placet.host.blobs.blob_store import BlobStore
from placet.host.blobs.places import PutPlaces
from placet.proto.v1 import blobs_pb2
from placet.refusals import BlobConflict, BlobDigest, BlobIncomplete, BlobNotFound

ID = "ab" * 16


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(
        BlobFiles(tmp_path),
        max_blob=2**30,
        places=PutPlaces(16, 16, 10.0),
        min_free=0,
        put_idle_seconds=5.0,
    )


def header(id: str, data: bytes, owner: str = "", **changed: Any) -> blobs_pb2.PutHeader:
    sha256 = hashlib.sha256(data).digest()
    fields: dict[str, Any] = {"length": len(data), "sha256": sha256, **changed}
    return blobs_pb2.PutHeader(id=id, owner=owner, **fields)


async def given(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 2**20):
        yield data[start : start + 2**20]


async def read(blobs: BlobStore, id: str) -> bytes:
    return b"".join([piece async for piece in blobs.get(id, 0, 0)])


def test_half_an_upload_is_of_whom_began_it(blobs: BlobStore, run: Any) -> None:
    async def body() -> None:
        ours, theirs = os.urandom(PART + 9), os.urandom(PART + 9)
        await blobs.put(header(ID, ours), given(ours[:-1]), "ada")
        assert (await blobs.stat(ID, "ada")).received == PART
        with pytest.raises(BlobNotFound):
            await blobs.stat(ID, "ben")
        await blobs.put(header(ID, theirs), given(theirs[:-1]), "ben")
        with pytest.raises(BlobDigest):  # what is refused touches nobody else's
            await blobs.put(header(ID, theirs, sha256=bytes(32)), given(theirs), "ben")
        assert (await blobs.stat(ID, "ada")).received == PART
        rest = blobs.put(header(ID, ours, offset=PART), given(ours[PART:]), "ada")
        assert (await rest).complete
        assert await read(blobs, ID) == ours
        with pytest.raises(BlobConflict):
            await blobs.put(header(ID, theirs), given(theirs), "ben")
        assert await read(blobs, ID) == ours

    run(body())


def test_a_bundle_takes_its_name_back(blobs: BlobStore, run: Any) -> None:
    async def body() -> None:
        bundle, squatter = os.urandom(1000), os.urandom(1000)
        id = hashlib.sha256(bundle).hexdigest()[:32]
        assert (await blobs.put(header(id, squatter), given(squatter), "mallory")).complete
        assert (await blobs.put(header(id, bundle), given(bundle), "ada")).complete
        assert await read(blobs, id) == bundle
        with pytest.raises(BlobConflict):
            await blobs.put(header(id, squatter), given(squatter), "mallory")
        # Another owner's put of the same bytes finds them there.
        assert (await blobs.put(header(id, bundle, "x" * 8), given(b""), "ben")).complete
        # A digest that only begins alike is found out once all is there.
        false = hashlib.sha256(bundle).digest()[:16] + bytes(16)
        with pytest.raises(BlobDigest):
            await blobs.put(header(id, squatter, sha256=false), given(squatter), "mallory")
        assert await read(blobs, id) == bundle

    run(body())


def test_an_upload_that_came_too_late_goes_after_a_time(blobs: BlobStore, run: Any) -> None:
    async def body() -> None:
        one, other = os.urandom(100), os.urandom(101)
        late = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield one[:50]
            await late.wait()
            yield one[50:]

        first = asyncio.ensure_future(blobs.put(header(ID, one), slowly(), "ada"))
        while arriving(ID, "ada") not in await blobs.all():
            await asyncio.sleep(0.01)
        await blobs.put(header(ID, other), given(other), "ben")
        late.set()
        with pytest.raises(BlobConflict):
            await first
        assert arriving(ID, "ada") in await blobs.all()
        for name in await blobs.all():
            await blobs.remove_broken(name, time.time() + 1)
        assert await blobs.all() == [ID]
        assert await read(blobs, ID) == other

    run(body())


def test_what_is_not_whole_is_read_by_nobody(blobs: BlobStore, run: Any) -> None:
    async def body() -> None:
        data = os.urandom(PART + 9)
        await blobs.put(header(ID, data), given(data[:-1]), "ada")
        with pytest.raises(BlobNotFound):
            await read(blobs, ID)
        with pytest.raises(BlobIncomplete):
            _ = [piece async for piece in blobs.get(ID, 0, 0, "ada")]

    run(body())


def test_the_first_that_is_whole_has_the_id(blobs: BlobStore, run: Any) -> None:
    async def body() -> None:
        one, other = os.urandom(PART + 1), os.urandom(PART + 2)
        await blobs.put(header(ID, one), given(one[:-1]), "ada")
        assert (await blobs.put(header(ID, other), given(other), "ben")).complete
        with pytest.raises(BlobConflict):
            await blobs.put(header(ID, one, offset=PART), given(one[PART:]), "ada")
        assert await read(blobs, ID) == other

    run(body())
