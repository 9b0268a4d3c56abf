# SPDX-License-Identifier: Apache-2.0
"""Calls that stay open: a stranger's ends in its time, and whoever goes gives the place back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc_health.v1 import health_pb2

from placet.host.callers.caller import ENCLAVE, Caller, Role, calling, current
from placet.host.calls import interceptor
from placet.host.tasks import Tasks
from placet.proto.v1 import runs_pb2
from tests.support.hosting.client import Client
from tests.support.login import Visitor


@asynccontextmanager
async def a_stranger(host: Any) -> AsyncGenerator[Client]:
    """Whoever has not logged in, over a connection of their own."""
    async with Visitor(host.address, host.certificate_pem).channel as channel:
        yield Client(channel)


def test_a_strangers_call_ends_in_its_time_and_is_no_fault(
    world: Any,
    run: Any,
    refused: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(interceptor, "_STRANGER_SECONDS", 2.0)

    async def body() -> None:
        async with world.host() as (host, client), a_stranger(host) as stranger:
            request = health_pb2.HealthCheckRequest()
            principals = client.health.Watch(request)
            await principals.read()
            await refused(stranger.health.Watch(request), "DEADLINE_PASSED")
            assert not principals.done()
            principals.cancel()

    run(body())
    assert not [r for r in caplog.records if "fault" in r.getMessage()]


@pytest.mark.parametrize("read", [False, True])
def test_whoever_goes_gives_the_place_back(world: Any, run: Any, *, read: bool) -> None:
    async def watch(client: Client) -> Any:
        call = client.runs.Watch(runs_pb2.WatchRequest(proposal=proposal), metadata=world.metadata)
        if read:
            await call.initial_metadata()
        return call

    proposal = "sha256:" + "0" * 64

    async def body() -> None:
        async with world.host(max_calls=16) as (_, client):
            for _ in range(20):
                calls = [await watch(client) for _ in range(4)]  # all that one caller may have
                await asyncio.sleep(0 if read else 0.01)
                for call in calls:
                    call.cancel()
                await asyncio.sleep(0.05)
            request = runs_pb2.ListRunsRequest()
            await client.runs.List(request, metadata=world.metadata)
            calls = [await watch(client) for _ in range(3)]
            await client.runs.List(request, metadata=world.metadata)
            for call in calls:
                call.cancel()

    run(body())


def test_what_a_call_sets_going_is_the_hosts_own() -> None:
    found = list[Caller]()

    async def work() -> None:
        found.append(current())

    async def call(tasks: Tasks) -> None:
        calling(Caller(Role.STRANGER, "10.0.0.1"))
        tasks.spawn(work())
        await work()

    async def body() -> None:
        tasks = Tasks()
        await asyncio.create_task(call(tasks))
        await tasks.wait()

    asyncio.run(body())
    assert found == [Caller(Role.STRANGER, "10.0.0.1"), ENCLAVE]


def test_whoever_is_refused_at_the_gate_is_counted_as_a_stranger(
    world: Any, run: Any, refused: Any
) -> None:
    async def body() -> None:
        async with world.host() as (host, _), a_stranger(host) as stranger:
            request = runs_pb2.ListRunsRequest()
            await refused(stranger.runs.List(request, metadata=world.metadata), "LOGIN_REQUIRED")
            labels = {"method": "Runs/List", "role": "stranger", "code": "UNAUTHENTICATED"}
            counted = host._metrics.registry.get_sample_value
            async with asyncio.timeout(10):  # a call is counted once its answer has left
                while counted("placet_calls_total", labels) is None:
                    await asyncio.sleep(0.01)
            assert counted("placet_calls_total", labels) == 1

    run(body())
