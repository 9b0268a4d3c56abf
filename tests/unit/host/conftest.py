# SPDX-License-Identifier: Apache-2.0
"""A host with a real authority and scripted workers, and calls to it over real gRPC and TLS."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import (  # pyright: ignore[reportMissingTypeStubs]
    error_details_pb2,
    status_pb2,
)

from placet.enclave.authority import main as authority
from tests.support.hosting.launcher import Tap
from tests.support.hosting.world import World


def refusal_in(error: grpc.aio.AioRpcError) -> tuple[str, dict[str, str]]:
    """Reason and details of a refused call, as a client reads them."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert status.message == error.details()
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "placet.dev"
    return info.reason, dict(info.metadata)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh folder, council and launcher."""
    world = World(tmp_path)
    yield world
    world.launcher.machine.close()


@pytest.fixture
def tap(monkeypatch: pytest.MonkeyPatch) -> Tap:
    """A hand at the connections of the authorities of this test."""
    tap = Tap()
    monkeypatch.setattr(authority, "Connection", tap.connection)
    monkeypatch.setattr(authority, "Clock", tap.clock)
    return tap


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs the body of a test in an event loop, for a minute at most."""

    def run(body: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await body

        asyncio.run(bounded())

    return run


@pytest.fixture
def refused() -> Callable[..., Coroutine[Any, Any, dict[str, str]]]:
    """Awaits a call that must be refused for a reason; returns the details."""

    async def refused(call: Any, reason: str) -> dict[str, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            if hasattr(call, "__aiter__"):
                async for _ in call:
                    pass
            else:
                await call
        found, details = refusal_in(caught.value)
        assert found == reason
        return details

    return refused
