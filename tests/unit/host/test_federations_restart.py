# SPDX-License-Identifier: Apache-2.0
"""Federations whose host or authority is killed, at every step of a round: nothing is done twice,
nothing is lost."""

import asyncio
import time
from typing import Any

import grpc.aio
import pytest

from placet.governance.codec import parse_object
from placet.host import EnclaveProcess, LaunchOrder
from placet.proto.v1 import enclaves_pb2, runs_pb2

CLIENTS = ("ada", "ben", "cleo")


async def send(client: Any, world: Any, ticket: Any, number: int, who: Any = CLIENTS) -> None:
    await world.until_open(ticket, number)
    for name in who:
        await client.send(await world.update(ticket, number, name))


async def open_only(client: Any, world: Any, ticket: Any) -> None:
    """Nobody has sent."""


async def one_sent(client: Any, world: Any, ticket: Any) -> None:
    await send(client, world, ticket, 1, CLIENTS[:1])


async def all_sent(client: Any, world: Any, ticket: Any) -> None:
    """Killed about when the round closes."""
    await send(client, world, ticket, 1)


async def aggregating(client: Any, world: Any, ticket: Any) -> None:
    await send(client, world, ticket, 1)
    await client.until_aggregating(world.digest(ticket.proposal))


async def released(client: Any, world: Any, ticket: Any) -> None:
    """Killed about when the next round opens."""
    await send(client, world, ticket, 1)
    async for shown in client.follow(world.digest(ticket.proposal)):
        if shown.federation.model_round == 1:
            return


@pytest.mark.parametrize("step", [open_only, one_sent, all_sent, aggregating, released])
def test_a_killed_host_goes_on_where_the_log_is(world: Any, run: Any, step: Any) -> None:
    async def body() -> None:
        acts = "hang; release" if step is aggregating else "release"
        async with world.process() as (process, client):
            ticket = world.federation(acts, rounds=2)
            started = await client.start(ticket)
            await step(client, world, ticket)
            process.kill()
        async with world.process() as (_, client):
            now = await client.runs.Get(
                runs_pb2.GetRunRequest(id=started.id), metadata=world.metadata
            )
            told = now.federation
            if told.round == 1 and not told.aggregating:
                missing = [m.client for m in told.members if not m.updated]
                await send(client, world, ticket, 1, missing)
            await send(client, world, ticket, 2)
            ended = await client.ended(started.id)
            assert ended.state == runs_pb2.RUN_STATE_FINISHED
            assert [(o.released, o.updates) for o in ended.federation.outcomes] == [(True, 3)] * 2
            log = await world.entries()
            for kind in ("open-round", "close-round", "release"):
                assert [e["round"] for e in log if e["kind"] == kind] == [1, 2]
            assert len([e for e in log if e["kind"] == "update"]) == 6
            request = runs_pb2.ListRunsRequest(proposal=started.id)
            listed = await client.runs.List(request, metadata=world.metadata)
            assert len(listed.runs) == 2

    run(body())


def test_a_round_whose_time_passed_meanwhile_is_closed(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release", round_seconds=2)
            started = await client.start(ticket)
            await send(client, world, ticket, 1, CLIENTS[:2])
        async with world.host() as (_, client):
            ended = await client.ended(started.id)
            assert [(o.released, o.updates) for o in ended.federation.outcomes] == [(True, 2)]

    run(body())


@pytest.mark.parametrize("expired", [False, True])
def test_a_start_that_nobody_answered_is_made_or_refused_by_the_next_host(
    world: Any, run: Any, expired: bool
) -> None:
    async def body() -> None:
        async with world.host():
            window = {"not_after": int(time.time()) - 1} if expired else {}
            ticket, launch = world.federation("release", **window), world.launcher.launch

        async def nothing(order: LaunchOrder) -> Any:
            return await EnclaveProcess.start(["/bin/sh", "-c", "exit 78"], order)

        world.launcher.launch = nothing
        async with world.host() as (_, client):
            start = asyncio.ensure_future(client.start(ticket))
            get = runs_pb2.GetRunRequest(id=world.digest(ticket.proposal))
            while not await known(client.runs.Get(get, metadata=world.metadata)):
                await asyncio.sleep(0.05)
        await asyncio.wait([start])
        assert start.cancelled()  # its channel has gone with the host
        world.launcher.launch = launch
        async with world.host() as (_, client):
            if not expired:
                assert (await client.until_round(get.id, 1)).federation.members
            else:
                while await known(client.runs.Get(get, metadata=world.metadata)):
                    await asyncio.sleep(0.05)

    run(body())


async def known(call: Any) -> bool:
    """Whether the host has the federation that is asked for."""
    try:
        return bool(await call)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
        return False


def test_an_ended_federation_stays_as_it_ended(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release")
            await client.start(ticket)
            await send(client, world, ticket, 1)
            ended = await client.ended(world.digest(ticket.proposal))
        async with world.host() as (_, client):
            assert await client.start(ticket) == ended

    run(body())


def test_answers_that_are_lost_are_found_in_the_log(world: Any, run: Any, tap: Any) -> None:
    """The authority dies behind the entries of `open` and of `cohort`, before it answers."""
    deadly = {"open-round", "close-round"}

    async def die(step: enclaves_pb2.Commit) -> None:
        if kinds := deadly & {parse_object(entry)["kind"] for entry in step.entries}:
            deadly.difference_update(kinds)
            world.launcher.running("authority")[-1].kill()
            await asyncio.Event().wait()

    async def body() -> None:
        tap.stored = die
        async with world.host() as (_, client):
            ticket = world.federation("release")
            await asyncio.gather(client.start(ticket), client.start(ticket))
            await send(client, world, ticket, 1)
            ended = await client.ended(world.digest(ticket.proposal))
            assert ended.state == runs_pb2.RUN_STATE_FINISHED
            log = await world.entries()
            counts = [
                len([e for e in log if e["kind"] == kind])
                for kind in ("boot", "open-round", "close-round", "release")
            ]
            assert counts == [3, 1, 1, 1]

    run(body())


def test_a_killed_worker_costs_an_attempt_and_nothing_else(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("hang")
            await client.start(ticket)
            await aggregating(client, world, ticket)
            for worker in world.launcher.running("worker"):
                worker.kill()
            ended = await client.ended(world.digest(ticket.proposal))
            assert [(o.released, o.updates) for o in ended.federation.outcomes] == [(True, 3)]
            log = await world.entries()
            assert [e["attempt"] for e in log if e["kind"] == "lease"] == [1, 2]

    run(body())


def test_a_full_disk_is_tried_again(world: Any, run: Any) -> None:
    """The first time that the round's job is to be stored, it cannot be."""

    async def body() -> None:
        async with world.host() as (host, client):
            ticket = world.federation("release")
            await client.start(ticket)
            submit, failed = host._placement.submit, list[str]()

            async def full_once(*arguments: Any) -> Any:
                if not failed:
                    failed.append("once")
                    raise OSError("No space left on device")
                return await submit(*arguments)

            host._placement.submit = full_once
            await send(client, world, ticket, 1)
            ended = await client.ended(world.digest(ticket.proposal))
            assert ended.state == runs_pb2.RUN_STATE_FINISHED
            assert failed == ["once"]

    run(body())
