# SPDX-License-Identifier: Apache-2.0
"""Federations from their start to their end, on real processes and a real store."""

import asyncio
import time
from typing import Any

import pytest

from placet.governance import contexts
from placet.governance.codec import parse_object
from placet.governance.documents import ModelRequest, Receipt
from placet.governance.envelope import inspect, sign
from placet.host import EnclaveProcess, LaunchOrder
from placet.proto.v1 import common_pb2, enclaves_pb2, federations_pb2, governance_pb2, runs_pb2
from placet.sealing import HPKEPrivateKey, StreamKey, open_envelope

CLIENTS = ("ada", "ben", "cleo")


async def send_all(client: Any, world: Any, ticket: Any, number: int, who: Any = CLIENTS) -> None:
    """The round is open; these clients send."""
    await world.until_open(ticket, number)
    updates = [await world.update(ticket, number, name) for name in who]
    await asyncio.gather(*map(client.send, updates))


def test_another_blob_in_its_place_gives_way(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release")
            await client.put(b"squats", world.launched_for(ticket)[7:39])
            started = await client.start(ticket)
            await send_all(client, world, ticket, 1)
            assert outcomes(await client.ended(started.id)) == [(1, True, 3)]

    run(body())


async def jobs(client: Any, world: Any, federation: str) -> list[Any]:
    """Newest first."""
    request = runs_pb2.ListRunsRequest(proposal=federation)
    return list((await client.runs.List(request, metadata=world.metadata)).runs)


def outcomes(federation: Any) -> list[tuple[int, bool, int]]:
    """Number, whether a model was released, updates."""
    return [(o.round, o.released, o.updates) for o in federation.federation.outcomes]


def test_two_rounds_close_when_everybody_has_sent(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release", rounds=2)
            started = await client.start(ticket)
            assert started.id == world.digest(ticket.proposal)
            told = started.federation
            assert (started.state, told.aggregating) == (runs_pb2.RUN_STATE_RUNNING, False)
            assert (told.round, told.rounds) == (1, 2)
            assert [m.client for m in told.members] == list(CLIENTS)
            assert not any(m.updated for m in told.members)
            await send_all(client, world, ticket, 1)
            await send_all(client, world, ticket, 2)
            ended = await client.ended(started.id)
            assert ended.state == runs_pb2.RUN_STATE_FINISHED
            assert outcomes(ended) == [(1, True, 3), (2, True, 3)]
            assert (ended.federation.model_round, ended.progress) == (2, 100)
            made = await jobs(client, world, started.id)
            assert [(job.state, job.job.attempt) for job in made] == [
                (runs_pb2.RUN_STATE_FINISHED, 1)
            ] * 2
            listed = await client.runs.List(runs_pb2.ListRunsRequest(), metadata=world.metadata)
            assert list(listed.runs) == [ended]
            request = runs_pb2.GetRunRequest(id=started.id)
            assert await client.runs.Get(request, metadata=world.metadata) == ended
            assert await client.start(ticket) == ended
            await check_model(client, world, started.id)

    run(body())


async def check_model(client: Any, world: Any, federation: str) -> None:
    """A client of the roster is given the newest model, and reads it."""
    private = HPKEPrivateKey.generate()
    wanted = ModelRequest(world.header(), federation, 2, "ada", private.public.to_text())
    envelope = sign(wanted, world.council.clients["ada"])
    request = federations_pb2.ModelRequest(request=envelope)
    model = await client.federations.Model(request, metadata=world.metadata)
    info = contexts.model_info(world.digest(envelope))
    key = StreamKey(open_envelope(model.key_envelope, private, info))
    key.verify_commitment(inspect(model.receipt, Receipt).predicate.outputs["model"].commitment)
    assert (await world.entries("release"))[-1]["receipt"] == world.digest(model.receipt)


def test_two_proposals_of_the_same_terms_both_run(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            tickets = world.federation("release"), world.federation("raise 1")
            assert len({world.launched_for(ticket) for ticket in tickets}) == 1
            started = await asyncio.gather(*map(client.start, tickets))
            for ticket in tickets:
                await send_all(client, world, ticket, 1)
            for federation, attempts in zip(started, (1, 2), strict=True):
                ended = await client.ended(federation.id)
                assert ended.state == runs_pb2.RUN_STATE_FINISHED
                assert outcomes(ended) == [(1, True, 3)]
                (job,) = await jobs(client, world, federation.id)
                assert (job.state, job.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, attempts)

    run(body())


def test_the_time_closes_a_round_and_too_few_make_it_void(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release", rounds=2, round_seconds=2)
            started = await client.start(ticket)
            await send_all(client, world, ticket, 1, CLIENTS[:2])
            await send_all(client, world, ticket, 2, CLIENTS[2:])
            ended = await client.ended(started.id)
            assert outcomes(ended) == [(1, True, 2), (2, False, 1)]
            assert ended.state == runs_pb2.RUN_STATE_FINISHED
            assert ended.federation.model_round == 1
            assert len(await world.entries("lease")) == 1

    run(body())


@pytest.mark.parametrize(
    ("acts", "released", "leases"),
    [("die 1", True, 2), ("raise 1", True, 2), ("raise 9", False, 2), ("die 9", False, 2)],
)
def test_a_round_has_its_attempts_and_the_next_one_follows(
    world: Any, run: Any, acts: str, released: bool, leases: int
) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation(f"{acts}; release", rounds=2)
            started = await client.start(ticket)
            await send_all(client, world, ticket, 1)
            await send_all(client, world, ticket, 2)
            ended = await client.ended(started.id)
            assert outcomes(ended) == [(1, released, 3), (2, True, 3)]
            assert len(await world.entries("lease")) == leases + 1

    run(body())


def test_who_left_is_quarantined_until_it_is_lifted(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release cleo; release", rounds=3)
            started = await client.start(ticket)
            await send_all(client, world, ticket, 1)
            second = await client.until_round(started.id, 2)
            member = second.federation.members[2]
            assert (member.client, member.quarantined_until, member.why) == (
                "cleo",
                3,
                "NORM_EXCEEDED",
            )
            assert dict(second.federation.outcomes[0].left) == {"cleo": "NORM_EXCEEDED"}
            await refused(client.send(await world.update(ticket, 2, "cleo")), "CLIENT_QUARANTINED")
            await send_all(client, world, ticket, 2, CLIENTS[:2])  # nobody waits for the third
            third = await client.until_round(started.id, 3)
            assert third.federation.members[2].quarantined_until == 0
            await send_all(client, world, ticket, 3)
            assert (await client.ended(started.id)).federation.model_round == 3

    run(body())


def test_a_cohort_that_is_too_small_in_the_end_releases_nothing(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release ben cleo")
            started = await client.start(ticket)
            await send_all(client, world, ticket, 1)
            ended = await client.ended(started.id)
            assert ended.state == runs_pb2.RUN_STATE_FINISHED
            assert outcomes(ended) == [(1, False, 3)]
            assert [m.quarantined_until for m in ended.federation.members] == [0, 3, 3]
            job, *_ = await jobs(client, world, started.id)
            assert job.state == runs_pb2.RUN_STATE_FAILED
            assert job.refusal.reason == common_pb2.REASON_COHORT_TOO_SMALL

    run(body())


@pytest.mark.parametrize("aggregating", [False, True])
@pytest.mark.parametrize("rounds", [1, 2])
def test_a_veto_stops_it_in_mid_round(world: Any, run: Any, aggregating: bool, rounds: int) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("hang", rounds=rounds)
            started = await client.start(ticket)
            if aggregating:
                await send_all(client, world, ticket, 1)
                await client.until_aggregating(started.id)
            veto = governance_pb2.DocumentRequest(envelope=world.veto(ticket))
            await client.governance.Stop(veto, metadata=world.metadata)
            ended = await client.ended(started.id)
            assert ended.state == runs_pb2.RUN_STATE_STOPPED
            assert ended.refusal.reason == common_pb2.REASON_VETOED
            assert await client.start(ticket) == ended
            assert len(await world.entries("open-round")) == 1

    run(body())


def test_a_start_is_made_once(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release")
            started = await asyncio.gather(*(client.start(ticket) for _ in range(4)))
            assert all(one == started[0] for one in started)
            assert await client.start(ticket) == started[0]
            assert len(await world.entries("open-round")) == 1

    run(body())


def test_what_start_refuses_leaves_nothing(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(max_federations=1) as (_, client):
            await refused(client.start(world.ticket("release")), "REQUEST_MALFORMED")
            late = world.federation("release", not_after=int(time.time()) - 1)
            await refused(client.submit(late), "REQUEST_MALFORMED")
            await refused(client.start(late), "TICKET_EXPIRED")
            unknown = runs_pb2.GetRunRequest(id=world.digest(late.proposal))
            call = client.runs.Get(unknown, metadata=world.metadata)
            await refused(call, "RUN_NOT_FOUND")
            await refused(client.follow(unknown.id), "RUN_NOT_FOUND")
            await client.start(world.federation("release"))
            await refused(client.start(world.federation("release")), "QUEUE_FULL")

    run(body())


def test_a_refusal_of_a_later_round_fails_it(world: Any, run: Any, tap: Any) -> None:
    """When the first model is in the log, the window of the proposal closes."""

    async def late(step: enclaves_pb2.Commit) -> None:
        if any(parse_object(entry)["kind"] == "release" for entry in step.entries):
            tap.ahead = 7200.0

    async def body() -> None:
        tap.stored = late
        async with world.host() as (_, client):
            ticket = world.federation("release", rounds=2)
            started = await client.start(ticket)
            await send_all(client, world, ticket, 1)
            ended = await client.ended(started.id)
            assert ended.state == runs_pb2.RUN_STATE_FAILED
            assert ended.refusal.reason == common_pb2.REASON_TICKET_EXPIRED
            assert outcomes(ended) == [(1, True, 3)]

    run(body())


def test_an_update_needs_its_stream(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release")
            sent = await world.update(ticket, 1, "ada")
            await refused(client.send(sent), "RUN_NOT_FOUND")
            await client.start(ticket)
            sent = await world.update(ticket, 1, "ada")
            update = client.federations.Update
            details = await refused(update(sent.request, metadata=world.metadata), "BLOB_NOT_FOUND")
            assert sent.blob in details["remedy"]
            await broken_off(client, world, sent)
            details = await refused(
                update(sent.request, metadata=world.metadata), "BLOB_INCOMPLETE"
            )
            assert sent.blob in details["remedy"]
            receipt = await client.send(sent)
            assert await client.send(sent) == receipt
            assert len(await world.entries("update")) == 1
            await refused(client.send(await world.update(ticket, 1, "ada")), "UPDATE_DUPLICATE")
            other = await world.update(ticket, 1, "ben")
            await client.put(other.stream + b"x", other.blob)
            call = update(other.request, metadata=world.metadata)
            assert "remedy" in await refused(call, "UPDATE_NOT_FETCHED")
            other.request.update = b"no envelope"
            call = update(other.request, metadata=world.metadata)
            await refused(call, "DOCUMENT_MALFORMED")

    run(body())


async def broken_off(client: Any, world: Any, sent: Any) -> None:
    """A put of which the header alone arrives."""
    messages = world.put_requests(sent.stream, sent.blob)
    header = await anext(messages)
    await messages.aclose()
    info = await client.blobs.Put(iter([header]), metadata=world.metadata)
    assert not info.complete


def test_a_watch_shows_each_step_and_is_bounded(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(max_watchers=1) as (_, client):
            ticket = world.federation("release")
            started = await client.start(ticket)
            call = aiter(client.follow(started.id))
            assert await anext(call) == started
            await refused(client.follow(started.id), "QUEUE_FULL")
            await client.send(await world.update(ticket, 1, "ben"))
            assert [m.updated for m in (await anext(call)).federation.members] == [
                False,
                True,
                False,
            ]
            for name in ("ada", "cleo"):
                await client.send(await world.update(ticket, 1, name))
            seen = [shown async for shown in call]
            states = [(shown.state, shown.federation.aggregating) for shown in seen]
            assert states[:-1] == sorted(states[:-1])
            assert (runs_pb2.RUN_STATE_RUNNING, True) in states
            assert states[-1] == (runs_pb2.RUN_STATE_FINISHED, False)

    run(body())


def test_a_worker_is_warm_before_the_round_closes(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.federation("release", rounds=2)
            started = await client.start(ticket)
            while not await world.entries("join"):
                await asyncio.sleep(0.05)
            order = next(o for o, _ in world.launcher.started if o.role == "worker")
            assert order.launched_for == world.launched_for(ticket)
            assert (
                await client.runs.Get(
                    runs_pb2.GetRunRequest(id=started.id), metadata=world.metadata
                )
            ).state == runs_pb2.RUN_STATE_RUNNING

    run(body())


def test_what_failed_goes_on_when_it_is_started_again(world: Any, run: Any) -> None:
    """Workers say that they cannot start, until the council lets them join."""
    code = "echo 'refused reason=APPRAISAL_REFUSED No.' >&2; exit 78"

    async def body() -> None:
        launch, broken = world.launcher.launch, True

        async def launch_or_fail(order: LaunchOrder) -> Any:
            if order.role == "worker" and broken:
                return await EnclaveProcess.start(["/bin/sh", "-c", code], order)
            return await launch(order)

        world.launcher.launch = launch_or_fail
        async with world.host() as (_, client):
            ticket = world.federation("release")
            started = await client.start(ticket)
            await send_all(client, world, ticket, 1)
            failed = await client.ended(started.id)
            assert failed.state == runs_pb2.RUN_STATE_FAILED
            assert failed.refusal.reason == common_pb2.REASON_APPRAISAL_REFUSED
            broken = False
            assert (await client.start(ticket)).HasField("refusal") is False
            ended = await client.ended(started.id)
            assert ended.state == runs_pb2.RUN_STATE_FINISHED
            assert outcomes(ended) == [(1, True, 3)]

    run(body())
