# SPDX-License-Identifier: Apache-2.0
"""Room for blobs: reserved when it is announced, given back by puts that end, and by what nobody
needs any more."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from placet.governance.keys import SigningKey
from placet.host.blobs.blob_files import arriving
from placet.host.blobs.room import Room
from placet.proto.v1 import blobs_pb2, runs_pb2
from placet.refusals import BlobTooLarge

MIB = 2**20
IDS = [digit * 32 for digit in "0123456789abcdef"]


async def announce(client: Any, world: Any, blob: str, length: int, data: bytes = b"") -> Any:
    """A put that has begun; the call."""
    call = client.blobs.Put(metadata=world.metadata)
    header = blobs_pb2.PutHeader(id=blob, length=length, sha256=bytes(32))
    await call.write(blobs_pb2.PutRequest(header=header))
    if data:
        await call.write(blobs_pb2.PutRequest(chunk=data))
    while not await is_there(client, world, blob):
        await asyncio.sleep(0.01)
    return call


async def is_there(client: Any, world: Any, blob: str) -> bool:
    try:
        await client.blobs.Stat(blobs_pb2.StatRequest(id=blob), metadata=world.metadata)
    except grpc.aio.AioRpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND
        return False
    return True


async def until_gone(client: Any, world: Any, blob: str) -> None:
    while await is_there(client, world, blob):
        await asyncio.sleep(0.05)


def test_what_is_announced_counts_until_it_is_written_or_given_up() -> None:
    free = 120
    room = Room(lambda: free, 20)
    with room.announce(60) as written:
        with pytest.raises(BlobTooLarge) as caught, room.announce(41):
            pass
        assert (caught.value.details["expected"], caught.value.details["actual"]) == ("40", "41")
        free -= 30
        written(30)
        with room.announce(40):
            pass
        written(1000)  # no more than was announced
        with pytest.raises(BlobTooLarge), room.announce(71):
            pass
    with room.announce(70):
        pass
    with pytest.raises(BlobTooLarge), room.announce(71):
        pass


def blobs_on(disk: Any, world: Any) -> None:
    """The blobs alone lie on the small disk."""
    (world.folder / "state").mkdir()
    (world.folder / "state" / "blobs").symlink_to(disk.folder)


def test_a_put_that_cannot_fit_beside_the_others_is_refused_before_its_first_byte(
    world: Any, run: Any, refused: Any, disk: Any
) -> None:
    async def body() -> None:
        blobs_on(disk, world)
        async with world.host(min_free=4 * MIB) as (_, client):
            call = await announce(client, world, IDS[0], 40 * MIB)
            data = bytes(40 * MIB)
            details = await refused(client.put(data, IDS[1]), "BLOB_TOO_LARGE")
            assert 18 * MIB < int(details["expected"]) < 20 * MIB
            assert not await is_there(client, world, IDS[1])
            assert (await client.put(data[: 10 * MIB], IDS[2])).complete
            call.cancel()
            while not (await put_or_refused(client, data, IDS[1])):
                await asyncio.sleep(0.05)

    run(body())


async def put_or_refused(client: Any, data: bytes, blob: str) -> bool:
    """Whether there was room."""
    try:
        return bool((await client.put(data, blob)).complete)
    except grpc.aio.AioRpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        return False


def test_a_disk_that_fills_meanwhile_is_named_and_the_put_resumes(
    world: Any, run: Any, refused: Any, disk: Any
) -> None:
    async def body() -> None:
        blobs_on(disk, world)
        async with world.host(min_free=0) as (_, client):
            data = os.urandom(20 * MIB)
            call = client.blobs.Put(metadata=world.metadata)
            requests = [r async for r in world.put_requests(data, IDS[0])]
            for request in requests[:10]:
                await call.write(request)
            while not (disk.folder / arriving(IDS[0], "engineer") / "part-00000000").exists():
                await asyncio.sleep(0.01)
            disk.fill()
            for request in requests[10:]:
                await call.write(request)
            await call.done_writing()
            details = await refused(call, "STORE_UNAVAILABLE")
            assert (details["claim"], details["actual"]) == ("disk", "ENOSPC")
            disk.free()
            assert (await client.put(data, IDS[0], offset=8 * MIB)).complete
        log = (world.folder / "state" / "logs" / "host.log").read_text()
        assert "event=trouble kind=full errno=ENOSPC" in log

    run(body())


def test_silent_puts_end_and_work_goes_on(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(max_puts=16, put_idle_seconds=1.0) as (_, client):
            calls = [await announce(client, world, blob, 2**20) for blob in IDS]
            waits = asyncio.ensure_future(client.put(b"more", "ab" * 16))
            nothing = client.blobs.Put(metadata=world.metadata)  # not even a header
            for call in (*calls, nothing):
                await refused(call, "DEADLINE_PASSED")
            assert (await waits).complete
            job = await client.run(world.ticket("release"))
            assert job.state == runs_pb2.RUN_STATE_FINISHED

    run(body())


def test_a_slow_put_is_not_silent(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(put_idle_seconds=1.0) as (_, client):
            call = client.blobs.Put(metadata=world.metadata)
            async for request in world.put_requests(bytes(5 * MIB), IDS[0]):
                await call.write(request)
                await asyncio.sleep(0.4)
            await call.done_writing()
            assert (await call).complete

    run(body())


def test_what_a_broken_put_left_goes_after_a_time(world: Any, run: Any) -> None:
    async def body() -> None:
        data, blobs = bytes(MIB), Path(world.folder, "state", "blobs")
        async with world.host() as (_, client):  # keeps it for a day
            await client.put(data, IDS[0])
            await client.put(data[:-1], IDS[1], length=MIB, sha256=bytes(32))
            assert await is_there(client, world, IDS[1])
        (blobs / IDS[3]).mkdir()  # parts without a manifest
        (blobs / IDS[3] / "part-00000000").write_bytes(b"left over")
        async with world.host(keep_broken_seconds=0.0, collect_seconds=0.1) as (_, client):
            call = await announce(client, world, IDS[2], MIB, data[:-1])
            await until_gone(client, world, IDS[1])
            await asyncio.sleep(0.5)
            assert {path.name for path in blobs.iterdir()} == {
                IDS[0],
                arriving(IDS[2], "engineer"),
                world.blob,
            }
            call.cancel()
            await until_gone(client, world, IDS[2])
            assert await is_there(client, world, IDS[0])

    run(body())


def test_streams_of_a_round_that_is_over_go_after_a_time_if_they_are_the_signer_s(
    world: Any, run: Any
) -> None:
    """An update may name whatever blob has its length; nobody else's goes for it."""

    async def body() -> None:
        signer = world.council.clients["ada"].public.text
        owners = [signer, SigningKey.generate().public.text, ""]
        settings = {"keep_updates_seconds": 0.0, "collect_seconds": 0.1}
        async with world.host(**settings) as (_, client):
            ticket = world.federation("release", rounds=2)
            await client.start(ticket)
            sent = dict[int, list[Any]]()
            for number in (1, 2):
                await client.until_round(world.digest(ticket.proposal), number)
                sent[number] = [
                    await world.update(ticket, number, c) for c in ("ada", "ben", "cleo")
                ]
                some = list(zip(sent[number], owners, strict=True))[: 4 - number]
                for update, owner in some:
                    await client.put(update.stream, update.blob, owner=owner)
                    await client.federations.Update(update.request, metadata=world.metadata)
            await until_gone(client, world, sent[1][0].blob)
            await asyncio.sleep(0.5)
            there = [await is_there(client, world, update.blob) for update in sent[1]]
            assert there == [False, True, True]
            assert await is_there(client, world, sent[2][0].blob)  # its round is open

    run(body())


@pytest.mark.parametrize(
    ("flag", "value", "name"),
    [
        ("--min-free", "-1", "min_free"),
        ("--put-idle-seconds", "0", "put_idle_seconds"),
        ("--keep-broken-seconds", "-0.5", "keep_broken_seconds"),
        ("--keep-updates-seconds", "-1", "keep_updates_seconds"),
        ("--collect-seconds", "0", "collect_seconds"),
    ],
)
def test_every_setting_is_a_flag_and_what_makes_no_sense_is_refused(
    tmp_path: Path, flag: str, value: str, name: str
) -> None:
    argv = [sys.executable, "-m", "placet.host", "--state", str(tmp_path / "s"), f"{flag}={value}"]
    found = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert found.returncode == 2
    assert name in found.stderr
