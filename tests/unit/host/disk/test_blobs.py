# SPDX-License-Identifier: Apache-2.0
"""Blobs: whole, in ranges, broken off and resumed, and what is refused."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from placet.governance.documents import Delete
from placet.governance.envelope import sign
from placet.governance.keys import SigningKey
from placet.host.blobs import blob_files
from placet.host.blobs.blob_files import PART, BlobFiles, arriving
from placet.proto.v1 import blobs_pb2

BLOB = "ab" * 16
MIB = 2**20


async def read(client: Any, world: Any, offset: int = 0, length: int = 0) -> bytes:
    request = blobs_pb2.GetBlobRequest(id=BLOB, offset=offset, length=length)
    return b"".join([c.data async for c in client.blobs.Get(request, metadata=world.metadata)])


async def stat(client: Any, world: Any) -> blobs_pb2.BlobInfo:
    info: blobs_pb2.BlobInfo = await client.blobs.Stat(
        blobs_pb2.StatRequest(id=BLOB), metadata=world.metadata
    )
    return info


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 2 * PART + 3 * MIB + 17])
def test_what_was_put_is_read_back(world: Any, run: Any, size: int) -> None:
    async def body() -> None:
        data = os.urandom(size)
        async with world.host() as (_, client):
            info = await client.put(data, BLOB)
            assert (info.received, info.complete) == (size, True)
            assert await read(client, world) == data
            assert await client.put(data, BLOB) == info  # again is nothing
            if size > PART:
                assert await read(client, world, PART - 5, 6) == data[PART - 5 : PART + 1]
                assert await read(client, world, size - 3) == data[-3:]

    run(body())


def test_the_names_of_all_parts_are_flushed_before_a_blob_is_complete(
    world: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[int, bool]] = []  # parts there are, and whether the blob is complete

    def sync(folder: Path) -> None:
        if folder.name == arriving(BLOB, "engineer"):
            manifest = BlobFiles(folder.parent).manifest(folder.name)
            flushed.append((len(list(folder.glob("part-*"))), bool(manifest and manifest.complete)))

    monkeypatch.setattr(blob_files, "sync_folder", sync)

    async def body() -> None:
        async with world.host() as (_, client):
            assert (await client.put(os.urandom(3 * PART), BLOB)).complete

    run(body())
    assert flushed == [(0, False), (3, False), (3, True)]


@pytest.mark.parametrize("sent", [1, 7, 8, 9, 16, 17, 19])
def test_a_put_that_broke_off_resumes(world: Any, run: Any, sent: int) -> None:
    """The client goes after `sent` MiB; whole parts of 8 MiB are kept."""
    data = os.urandom(19 * MIB)
    header = blobs_pb2.PutHeader(id=BLOB, length=len(data), sha256=hashlib.sha256(data).digest())

    async def body() -> None:
        async with world.host() as (_, client):
            call = client.blobs.Put(metadata=world.metadata)
            await call.write(blobs_pb2.PutRequest(header=header))
            await stat_when_known(client, world)
            for start in range(0, sent * MIB, MIB):
                chunk = data[start : start + MIB]
                await call.write(blobs_pb2.PutRequest(chunk=chunk))
            call.cancel()
            info = await stat(client, world)
            assert info.received % PART == 0 or info.received == len(data)
        async with world.host() as (_, client):  # another host on the same folder
            info = await stat(client, world)
            info = await client.put(data, BLOB, offset=info.received)
            assert info.complete
            assert await read(client, world) == data

    run(body())


async def stat_when_known(client: Any, world: Any) -> blobs_pb2.BlobInfo:
    """The header may still be on its way."""
    while True:
        try:
            return await stat(client, world)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.01)


def test_a_put_that_ends_early_says_how_much_is_there(world: Any, run: Any, refused: Any) -> None:
    data = os.urandom(PART + MIB)
    digest = hashlib.sha256(data).digest()

    async def body() -> None:
        async with world.host() as (_, client):
            kept = {"length": len(data), "sha256": digest}
            info = await client.put(data[:-1], BLOB, **kept)
            assert (info.received, info.complete) == (PART, False)
            call = read(client, world)
            await refused(call, "BLOB_INCOMPLETE")
            details = await refused(client.put(data, BLOB, offset=MIB), "BLOB_OFFSET")
            assert details["expected"] == str(PART)
            assert (await client.put(data, BLOB)).complete  # from the beginning is allowed too

    run(body())


def test_what_a_put_refuses(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        data = os.urandom(MIB)
        other = {"sha256": bytes(32)}
        async with world.host(max_blob=4 * MIB) as (_, client):
            await refused(client.put(data, "AB" * 16), "REQUEST_MALFORMED")
            await refused(client.put(data, BLOB, sha256=b"short"), "REQUEST_MALFORMED")
            await refused(client.put(data, BLOB, owner="nobody"), "DOCUMENT_MALFORMED")
            await refused(client.put(data, BLOB, length=5 * MIB), "BLOB_TOO_LARGE")
            await refused(client.put(data, BLOB, length=MIB - 1), "BLOB_TOO_LARGE")
            await refused(client.put(data, "cd" * 16, **other), "BLOB_DIGEST")
            await client.put(data, "cd" * 16)  # the refused one left nothing
            await client.put(data, "ef" * 16)
            await refused(client.put(data, "ef" * 16, **other), "BLOB_CONFLICT")
            await refused(client.put(data[1:], "ef" * 16), "BLOB_CONFLICT")
            await refused(read_range(client, world, "ef" * 16, MIB + 1, 0), "BLOB_OFFSET")
            await refused(read_range(client, world, "ef" * 16, 0, MIB + 1), "BLOB_OFFSET")
            await refused(read_range(client, world, "00" * 16, 0, 0), "BLOB_NOT_FOUND")

    run(body())


async def read_range(client: Any, world: Any, blob: str, offset: int, length: int) -> None:
    request = blobs_pb2.GetBlobRequest(id=blob, offset=offset, length=length)
    async for _ in client.blobs.Get(request, metadata=world.metadata):
        pass


def test_a_newer_put_takes_over(world: Any, run: Any, refused: Any) -> None:
    data = os.urandom(2 * PART)
    digest = hashlib.sha256(data).digest()

    async def body() -> None:
        async with world.host() as (_, client):
            old = client.blobs.Put(metadata=world.metadata)
            header = blobs_pb2.PutHeader(id=BLOB, length=len(data), sha256=digest)
            await old.write(blobs_pb2.PutRequest(header=header))
            await stat_when_known(client, world)
            assert (await client.put(data, BLOB)).complete
            for _ in range(0, PART, MIB):
                await old.write(blobs_pb2.PutRequest(chunk=bytes(MIB)))
            await old.done_writing()
            await refused(old, "BLOB_CONFLICT")
            assert await read(client, world) == data

    run(body())


def test_only_its_owner_deletes_a_blob_and_a_document_only_once(
    world: Any, run: Any, refused: Any
) -> None:
    async def body() -> None:
        owner, data = SigningKey.generate(), os.urandom(PART + 5)

        async def delete(envelope: bytes, blob: str = BLOB) -> None:
            request = blobs_pb2.DeleteBlobRequest(id=blob, envelope=envelope)
            await client.blobs.Delete(request, metadata=world.metadata)

        async with world.host() as (_, client):
            document = Delete(header=world.header(), blob=BLOB)
            await refused(delete(sign(document, owner)), "BLOB_NOT_FOUND")
            await client.put(data, BLOB, owner=owner.public.text)
            await refused(client.put(data, BLOB), "BLOB_CONFLICT")
            await refused(delete(sign(document, world.key)), "SIGNATURE_INVALID")
            await refused(delete(sign(document, owner), world.blob), "NOT_PERMITTED")
            elsewhere = Delete(header=world.header(), blob="0" * 32)
            await refused(delete(sign(elsewhere, owner)), "NOT_PERMITTED")
            await delete(sign(document, owner))
            await refused(read(client, world), "BLOB_NOT_FOUND")
            await client.put(data, BLOB, owner=owner.public.text)
            await refused(delete(sign(document, owner)), "DOCUMENT_REPLAYED")
            assert await read(client, world) == data

    run(body())
