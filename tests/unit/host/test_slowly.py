# SPDX-License-Identifier: Apache-2.0
"""Strangers who ask without end are answered slowly, and nobody else is."""

import asyncio
from typing import Any

import grpc.aio
import pytest
from grpc_reflection.v1alpha import (  # type: ignore[import-untyped]
    reflection_pb2,
    reflection_pb2_grpc,
)

from placet.host.callers import slowly
from placet.host.callers.rate import Rate
from placet.host.callers.slowly import Slowly
from placet.proto.v1 import runs_pb2
from tests.support.login import Visitor


def test_what_is_owed_is_paid_in_time_and_never_more_than_the_most() -> None:
    clock = [100.0]
    rate = Rate(10, lambda: clock[0])
    assert [rate.owe("near", 5.0) for _ in range(20)] == [0.0] * 20  # what two seconds bring
    assert [round(rate.owe("near", 5.0), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    assert rate.owe("far", 5.0) == 0.0
    clock[0] += 0.3
    assert round(rate.owe("near", 5.0), 3) == 0.1
    assert max(rate.owe("near", 5.0) for _ in range(1000)) == 5.0
    clock[0] += 7.1
    assert rate.owe("near", 5.0) == 0.0


def test_so_many_answers_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slowly, "_WAITING", 3)

    async def body() -> list[bool]:
        late = Slowly(1)
        await late.answer("near")
        await late.answer("near")
        waiting = [asyncio.ensure_future(late.answer("near")) for _ in range(4)]
        await asyncio.sleep(0.05)
        found = [task.done() for task in waiting]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        waiting = [asyncio.ensure_future(late.answer("near"))]
        await asyncio.sleep(0.05)
        return [*found, waiting[0].done()]

    assert asyncio.run(body()) == [False, False, False, True, False]


class Counted:
    """Waits for nothing, and counts who would have."""

    def __init__(self, _: float) -> None:
        self.asked: list[str] = []
        made.append(self)

    async def answer(self, address: str) -> None:
        self.asked.append(address)


made: list[Counted] = []


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Counted]:
    made.clear()
    monkeypatch.setattr("placet.host.server.Slowly", Counted)
    return made


def test_a_strangers_refusals_are_late_and_a_principals_are_not(
    world: Any, run: Any, refused: Any, counted: list[Counted]
) -> None:
    async def body() -> None:
        async with world.host() as (host, client):
            visitor: Any = Visitor(host.address, host.certificate_pem)
            async with visitor.channel as channel:
                unknown = channel.unary_unary("/placet.v1.Runs/Nothing")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await unknown(b"", metadata=world.metadata)
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
                assert counted[0].asked == ["127.0.0.1"]
                listing = channel.unary_unary("/placet.v1.Runs/List")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await listing(b"", metadata=world.metadata)
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
                assert counted[0].asked == ["127.0.0.1"] * 2
            get = runs_pb2.GetRunRequest(id="x" * 5000)
            await refused(client.runs.Get(get, metadata=world.metadata), "MESSAGE_TOO_LARGE")
            assert counted[0].asked == ["127.0.0.1"] * 2

    run(body())


def test_a_strangers_questions_in_one_stream_are_answered_slowly(
    world: Any, run: Any, counted: list[Counted]
) -> None:
    async def body() -> None:
        async with world.host() as (host, _):
            visitor: Any = Visitor(host.address, host.certificate_pem)
            async with visitor.channel as channel:
                stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
                call = stub.ServerReflectionInfo()
                for _ in range(5):
                    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
                    await call.read()
                await call.done_writing()
            assert counted[0].asked == ["127.0.0.1"] * 5

    run(body())
