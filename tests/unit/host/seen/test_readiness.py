# SPDX-License-Identifier: Apache-2.0
"""Health by service, and what makes a host not ready: an authority that is away or hangs, a store
that is locked or damaged, a disk at its alarm, a clock that jumped."""

import asyncio
import re
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from placet.host.blobs.room import Room
from placet.host.seen.health import CONDITIONS, SERVICES
from placet.host.seen.readiness import Readiness
from placet.host.store.store import Store
from placet.proto.v1 import log_pb2
from placet.refusals import StoreUnavailable

SERVING = health_pb2.HealthCheckResponse.SERVING


async def healthy(client: Any) -> set[str]:
    """The services that serve."""
    names = ["", "placet.ready", *(f"placet.{each}" for each in CONDITIONS), *services()]
    found: set[str] = set()
    for name in names:
        answer = await client.health.Check(health_pb2.HealthCheckRequest(service=name))
        if answer.status == SERVING:
            found.add(name)
    return found


def services() -> list[str]:
    return [f"placet.v1.{name}" for name in SERVICES]


def test_a_host_is_ready_once_its_authority_answers(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            await client.until_health("placet.ready", serving=True)
            assert await healthy(client) >= {"", "placet.authority", *services()}
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.health.Check(health_pb2.HealthCheckRequest(service="placet.x"))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    run(body())


def test_an_authority_that_hangs_makes_it_not_ready(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(hang_seconds=1.0) as (host, client):
            await client.until_health("placet.ready", serving=True)
            answer = asyncio.Event()
            pulse = host._seen._authority
            asked, pulse._answered = pulse._answered, answer.wait
            await client.until_health("placet.authority", serving=False)
            found = await healthy(client)
            assert not found & {"placet.ready", "placet.v1.Keys", "placet.v1.Runs"}
            assert "" in found
            pulse._answered = asked
            answer.set()
            await client.until_health("placet.ready", serving=True)

    run(body())
    log = (world.folder / "state" / "logs" / "host.log").read_text()
    assert "event=not-ready what=authority why=hangs" in log
    assert "event=ready-again what=authority" in log


def test_every_service_of_the_contract_says_whether_it_serves() -> None:
    folder = Path(__file__).resolve().parents[4] / "proto" / "v1"
    texts = [path.read_text() for path in folder.glob("*.proto")]
    declared = {
        name for text in texts for name in re.findall(r"^service (\w+)", text, re.MULTILINE)
    }
    assert declared - {"Enclaves"} == SERVICES.keys()  # which callers do not reach


@contextmanager
def locked(database: Path) -> Generator[None, None, None]:
    """Somebody else writes to a database for as long as it takes."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_a_locked_store_makes_it_not_ready_though_nobody_writes(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(hang_seconds=3.0) as (_, client):
            await client.until_health("placet.ready", serving=True)
            with locked(world.folder / "state" / "placet.db"):
                await client.until_health("placet.store", serving=False)
                found = await healthy(client)
                assert not found & {"placet.ready", "placet.v1.Log", "placet.v1.Runs"}
                assert {"", "placet.disk"} <= found
            await client.until_health("placet.ready", serving=True)

    run(body())


def test_damage_that_a_read_meets_is_kept_in_mind(tmp_path: Path) -> None:
    def damaged(_: Any) -> None:
        error = sqlite3.DatabaseError("malformed")
        error.sqlite_errorcode, error.sqlite_errorname = 11, "SQLITE_CORRUPT"
        raise error

    async def body() -> None:
        store = Store.open(f"sqlite:///{tmp_path / 'placet.db'}")
        assert store.trouble is None
        with pytest.raises(StoreUnavailable):
            await store.read(damaged)
        assert store.trouble is not None and store.trouble.kind == "damaged"
        await store.write(lambda _: None)
        assert store.trouble is not None
        store.close()

    asyncio.run(body())


def test_a_disk_at_its_alarm_makes_it_not_ready(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (host, client):
            await client.until_health("placet.ready", serving=True)
            host._blobs.room._kept = 2**60  # the disk is as it is: its bound moves
            await client.until_health("placet.disk", serving=False)
            found = await healthy(client)
            assert not found & {"placet.ready", "placet.v1.Blobs"}
            assert {"placet.v1.Runs", "placet.v1.Log", "placet.authority"} <= found
            await client.log.GetCheckpoint(log_pb2.GetCheckpointRequest(), metadata=world.metadata)

    run(body())


def test_the_alarm_is_where_blobs_begin_to_take_what_is_kept() -> None:
    assert not Room(lambda: 100, 100).alarmed
    assert Room(lambda: 99, 100).alarmed


class Shown:
    """Health that remembers what it was told."""

    def __init__(self) -> None:
        self.ailing: list[frozenset[str]] = []

    async def show(self, ailing: frozenset[str]) -> None:
        self.ailing.append(ailing)


def test_a_clock_that_jumped_makes_it_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    matter = ""
    shown: Any = Shown()
    conditions = {name: lambda: "" for name in CONDITIONS} | {"clock": lambda: matter}

    async def body() -> None:
        nonlocal matter
        readiness = Readiness(shown, conditions)
        await readiness.start()
        matter = "jumped"
        readiness.look()
        readiness.look()
        assert readiness.matters == {"clock": "jumped"}
        await asyncio.sleep(0)

    asyncio.run(body())
    assert shown.ailing == [frozenset(), frozenset({"clock"})]
    assert [r.getMessage() for r in caplog.records] == ["not-ready what=clock why=jumped"]
