# SPDX-License-Identifier: Apache-2.0
"""Calls that stay open: a stranger's ends in its time, and whoever goes gives the place back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from placet.host.calls import interceptor
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
    async def watch(client: Client) -> grpc.aio.UnaryStreamCall[Any, Any]:
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
