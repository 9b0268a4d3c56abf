# SPDX-License-Identifier: Apache-2.0
"""Blobs that the disk has lost or changed: what is said of them, how they are mended, and the
scrub that finds them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from placet.governance.keys import SigningKey
from placet.host.blobs.blob_files import PART
from placet.host.blobs.scrub import Pace
from placet.proto.v1 import blobs_pb2, common_pb2, runs_pb2

BLOB = "ab" * 16
MIB = 2**20


async def read(client: Any, world: Any, offset: int = 0, length: int = 0) -> bytes:
    request = blobs_pb2.GetBlobRequest(id=BLOB, offset=offset, length=length)
    return b"".join([c.data async for c in client.blobs.Get(request, metadata=world.metadata)])


async def stat(client: Any, world: Any) -> tuple[int, bool]:
    ask = blobs_pb2.StatRequest(id=BLOB)
    info: blobs_pb2.BlobInfo = await client.blobs.Stat(ask, metadata=world.metadata)
    return info.received, info.complete


def part(world: Any, number: int, blob: str = BLOB) -> Path:
    path: Path = world.folder / "state" / "blobs" / blob / f"part-{number:08d}"
    return path


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize("whole", [True, False], ids=["gone", "cut"])
def test_a_lost_part_is_not_complete_and_a_put_mends_it(
    world: Any, run: Any, refused: Any, lost: int, whole: bool
) -> None:
    async def body() -> None:
        owner, data = SigningKey.generate().public.text, os.urandom(2 * PART + 5)
        async with world.host() as (_, client):
            await client.put(data, BLOB, owner=owner)
            assert await stat(client, world) == (len(data), True)
            path = part(world, lost)
            if whole:
                path.unlink()
            else:
                os.truncate(path, path.stat().st_size - 1)
            assert await stat(client, world) == (lost * PART, False)
            await refused(read(client, world), "BLOB_INCOMPLETE")
            await refused(client.put(data, BLOB), "BLOB_CONFLICT")  # its owner is still known
            info = await client.put(data, BLOB, offset=lost * PART, owner=owner)
            assert info.complete
            assert await read(client, world) == data

    run(body())


def test_what_a_get_finds_damaged_is_forgotten(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        data = os.urandom(PART + 5)
        async with world.host() as (_, client):
            await client.put(data, BLOB)
            flip(part(world, 0))
            assert len(await read(client, world, 0, 5)) == 5  # a range is not checked
            await refused(read(client, world), "BLOB_DIGEST")
            assert await stat(client, world) == (0, False)
            await refused(read(client, world, 0, 5), "BLOB_INCOMPLETE")
            assert (await client.put(data, BLOB)).complete
            assert await read(client, world) == data

    run(body())


def test_a_damaged_bundle_fails_its_job_until_it_is_put_again(
    world: Any, run: Any, refused: Any
) -> None:
    async def body() -> None:
        async with world.host(spares=0) as (_, client):
            flip(part(world, 0, world.blob))
            job = await client.run(world.ticket("release"))
            # It was found damaged by the first worker, and was not there for the others.
            assert job.refusal.reason == common_pb2.REASON_BLOB_INCOMPLETE
            details = await refused(client.submit(world.ticket("release")), "BLOB_INCOMPLETE")
            assert "Put the program's bundle" in details["remedy"]
            await client.put(world.bundle, world.blob)
            job = await client.run(world.ticket("release"))
            assert job.state == runs_pb2.RUN_STATE_FINISHED

    run(body())


def test_a_manifest_that_is_none_is_no_blob(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        data = os.urandom(5)
        async with world.host() as (_, client):
            await client.put(data, BLOB)
            part(world, 0).with_name("manifest.json").write_bytes(b"{")
            await refused(stat(client, world), "BLOB_NOT_FOUND")
            assert (await client.put(data, BLOB)).complete
            assert await read(client, world) == data

    run(body())


def check(world: Any, *options: str) -> tuple[int, list[str]]:
    argv = [sys.executable, "-m", "placet.host", "check", "--state", str(world.folder / "state")]
    found = subprocess.run([*argv, *options], check=False, capture_output=True, text=True)
    assert not found.stderr
    return found.returncode, found.stdout.splitlines()


def test_a_scrub_lists_what_is_damaged_while_the_host_runs(world: Any, run: Any) -> None:
    async def body() -> None:
        ids, data = [digit * 32 for digit in "0123"], os.urandom(PART + 5)
        async with world.host() as (_, client):
            for blob in ids:
                await client.put(data, blob)
            await client.put(data[:-1], BLOB, length=len(data), sha256=bytes(32))  # unfinished
            assert check(world)[0] == 0
            part(world, 1, ids[0]).unlink()
            flip(part(world, 1, ids[1]))
            part(world, 0, ids[2]).with_name("manifest.json").write_bytes(b"")
            code, said = check(world, "--json")
            assert code == 1
            lines = [json.loads(line) for line in said]
            found = {line["blob"]: line["condition"] for line in lines[:-1]}
            assert found == {ids[0]: "lost", ids[1]: "damaged", ids[2]: "unreadable"}
            assert lines[-1] == {
                "checked": 6,  # the program's bundle is one
                "bad": 3,
                "whole": 2,
                "unfinished": 1,
                "lost": 1,
                "damaged": 1,
                "unreadable": 1,
            }
            assert (await client.put(data, ids[1])).complete  # so says a host that has not read it
            code, said = check(world, "--forget")
            assert code == 1
            assert f"{ids[1]} damaged ({len(data)} bytes, forgotten)" in said
            for blob in ids[:3]:
                assert (await client.put(data, blob)).complete
            code, said = check(world)
            assert (code, said) == (0, ["6 blobs were checked; 0 have to be put again."])

    run(body())


def test_a_folder_without_blobs(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "placet.host", "check", "--state", str(tmp_path)]
    found = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (2, "")
    assert "no folder of blobs" in found.stderr


def test_the_rate_of_a_scrub_is_bounded() -> None:
    slept = list[float]()
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(100.0, lambda: now[0], sleep)
    for _ in range(3):
        pace(50)
    assert now == [1.0]
    now[0] = 60.0  # a disk that was slow may not be made up for
    pace(50)
    pace(50)
    assert now == [60.5]
