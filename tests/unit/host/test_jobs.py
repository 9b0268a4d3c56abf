# SPDX-License-Identifier: Apache-2.0
"""Jobs from submit to their end, on real processes."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from placet.governance import contexts
from placet.governance.documents import Receipt
from placet.governance.envelope import inspect
from placet.proto.v1 import blobs_pb2, common_pb2, governance_pb2, jobs_pb2, log_pb2, runs_pb2
from placet.sealing import StreamKey, open_envelope, open_stream, unpad_into


def test_a_job_runs_to_its_release(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            job = await client.submit(world.ticket("release"))
            assert job.state == runs_pb2.RUN_STATE_QUEUED
            seen = await client.watch(job.id)
            assert [record.state for record in seen] == sorted(record.state for record in seen)
            last = seen[-1]
            assert last.state == runs_pb2.RUN_STATE_FINISHED
            assert (last.progress, last.job.attempt) == (100, 1)
            request = jobs_pb2.ResultRequest(id=job.id, recipient="engineer")
            result = await client.jobs.Result(request, metadata=world.metadata)
            assert len(await opened(client, world, result)) == 1024
            (released,) = await world.entries("release")
            assert world.digest(result.receipt) == released["receipt"]

    run(body())


async def opened(client: Any, world: Any, result: jobs_pb2.ResultResponse) -> bytes:
    """The content of the output of a job, as its recipient reads it."""
    info = contexts.result_info(world.digest(result.receipt), "engineer")
    key = StreamKey(open_envelope(result.key_envelope, world.council.recipient, info))
    descriptor = inspect(result.receipt, Receipt).predicate.outputs["out"]
    request = blobs_pb2.GetBlobRequest(id=descriptor.id)
    chunks = [c.data async for c in client.blobs.Get(request, metadata=world.metadata)]
    source, sink = io.BytesIO(b"".join(chunks)), io.BytesIO()
    with open_stream(source, key, descriptor, leaf_hashes=None) as reader:
        unpad_into(reader, sink, descriptor.length)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("act", "state", "reason", "attempt"),
    [
        ("end PROGRAM_RAISED", "FAILED", "PROGRAM_RAISED", 1),
        ("end STOPPED", "STOPPED", "STOPPED", 1),
        ("exit 3", "FAILED", "PROGRAM_EXITED", 1),
        ("exit 0", "FAILED", "PROGRAM_EXITED", 1),
        ("exit 86", "FAILED", "PROGRAM_DEADLINE", 1),
        ("exit 87", "FAILED", "LEASE_EXPIRED", 2),
        ("fault 1", "FINISHED", "UNSPECIFIED", 2),
        ("fault 9", "FAILED", "INTERNAL", 2),
        ("end AUTHORITY_UNAVAILABLE", "FAILED", "AUTHORITY_UNAVAILABLE", 2),
        ("crash SEGV", "FAILED", "PROGRAM_EXITED", 1),
        ("crash ABRT", "FAILED", "PROGRAM_EXITED", 1),
        ("die 1", "FINISHED", "UNSPECIFIED", 2),
        ("die 9", "FAILED", "ATTEMPTS_USED_UP", 2),
    ],
)
def test_how_an_attempt_ends(
    world: Any, run: Any, act: str, state: str, reason: str, attempt: int
) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            job = await client.run(world.ticket(act))
            assert runs_pb2.RunState.Name(job.state) == "RUN_STATE_" + state
            assert common_pb2.Reason.Name(job.refusal.reason) == "REASON_" + reason
            assert job.job.attempt == attempt
            again = await client.watch(job.id)  # a watch of what has ended shows it and ends
            assert again == [job]

    run(body())


def test_the_same_request_is_the_same_job(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket, request_id = world.ticket("release"), b"r" * 16
            both = await asyncio.gather(*(client.submit(ticket, request_id) for _ in range(4)))
            assert len({job.id for job in both}) == 1
            await client.watch(both[0].id)
            assert (await client.submit(ticket, request_id)).id == both[0].id
            assert (await client.submit(ticket)).id != both[0].id
            listed = await client.runs.List(runs_pb2.ListRunsRequest(), metadata=world.metadata)
            assert len(listed.runs) == 2
            request = runs_pb2.ListRunsRequest(before=listed.runs[0].id, limit=5)
            page = await client.runs.List(request, metadata=world.metadata)
            assert [job.id for job in page.runs] == [both[0].id]

    run(body())


def test_what_submit_refuses(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(max_queue=1, max_workers=1) as (_, client):
            await refused(client.submit(world.ticket("release"), b"short"), "REQUEST_MALFORMED")
            nonsense = common_pb2.Ticket(proposal=b"no envelope")
            await refused(client.submit(nonsense), "DOCUMENT_MALFORMED")
            ticket = world.ticket("hang")
            world.program = "sha256:" + "1" * 64
            details = await refused(client.submit(world.ticket("release")), "BLOB_NOT_FOUND")
            assert "1" * 32 in details["remedy"]
            first = await client.submit(ticket)
            await client.until(first.id, runs_pb2.RUN_STATE_RUNNING)
            await client.submit(ticket)  # the only worker is busy
            await refused(client.submit(ticket), "QUEUE_FULL")
            request = jobs_pb2.ResultRequest(id=first.id, recipient="engineer")
            call = client.jobs.Result(request, metadata=world.metadata)
            await refused(call, "JOB_NOT_FINISHED")
            missing = runs_pb2.GetRunRequest(id="0" * 32)
            await refused(client.runs.Get(missing, metadata=world.metadata), "RUN_NOT_FOUND")

    run(body())


def test_a_veto_ends_what_runs_and_what_waits(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(max_workers=1) as (_, client):
            ticket = world.ticket("hang")
            runs = await client.submit(ticket)
            await client.until(runs.id, runs_pb2.RUN_STATE_RUNNING)
            waits = await client.submit(ticket)
            veto = governance_pb2.DocumentRequest(envelope=world.veto(ticket))
            await client.governance.Stop(veto, metadata=world.metadata)
            for job in (runs, waits):
                last = (await client.watch(job.id))[-1]
                assert last.state == runs_pb2.RUN_STATE_STOPPED
                assert last.refusal.reason == common_pb2.REASON_VETOED
            await refused(client.submit(ticket), "VETOED")

    run(body())


def test_a_killed_worker_costs_an_attempt_and_nothing_else(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            job = await client.submit(world.ticket("hang"))
            await client.until(job.id, runs_pb2.RUN_STATE_RUNNING)
            world.launcher.running("worker")[0].kill()
            last = (await client.watch(job.id))[-1]
            assert (last.state, last.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, 2)

    run(body())


def test_a_lease_that_nobody_has_time_for_is_asked_for_as_often_as_it_takes(
    world: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with world.host() as (host, client):
            job = await client.submit(world.ticket("release"))
            with monkeypatch.context() as patch:
                patch.setattr(host._line._lanes["host"], "_most", 0)  # all places are taken
                while len(world.launcher.running("worker")) <= 6:
                    await asyncio.sleep(0.05)
            last = (await client.watch(job.id))[-1]
            assert (last.state, last.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, 1)

    run(body())


def test_a_killed_authority_is_started_again_and_the_job_with_it(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            job = await client.submit(world.ticket("hang"))
            await client.until(job.id, runs_pb2.RUN_STATE_RUNNING)
            world.launcher.running("authority")[0].kill()
            last = (await client.watch(job.id))[-1]
            assert (last.state, last.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, 2)
            # A request that comes while there is none waits for the next one.
            authority = world.launcher.running("authority")[1]
            authority.kill()
            await authority.wait()
            await client.until_health("placet.v1.Keys", serving=False)
            ticket = world.ticket("release")
            request = governance_pb2.DocumentRequest(envelope=ticket.proposal)
            await client.governance.Propose(request, metadata=world.metadata)

    run(body())


def test_a_job_that_waits_is_told_that_the_authority_is_away(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(max_workers=1) as (_, client):
            first = await client.submit(world.ticket("hang"))
            await client.until(first.id, runs_pb2.RUN_STATE_RUNNING)
            second = await client.submit(world.ticket("release"))
            watching = asyncio.ensure_future(client.watch(second.id))
            await client.until(second.id, runs_pb2.RUN_STATE_QUEUED)
            world.launcher.running("authority")[0].kill()
            told = await watching
            away = common_pb2.REASON_AUTHORITY_UNAVAILABLE
            assert away in [run.refusal.reason for run in told]
            assert told[-1].state == runs_pb2.RUN_STATE_FINISHED and not told[-1].refusal.reason

    run(body())


def test_a_spare_is_kept_warm_and_no_more_than_the_uses_left(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(spares=2) as (_, client):
            await client.run(world.ticket("release", uses=1))
            assert len(world.launcher.running("worker")) == 1
            await client.run(world.ticket("release", uses=3))
            orders = [order for order, _ in world.launcher.started if order.role == "worker"]
            assert {order.launched_for for order in orders} == {world.program}
            assert 2 <= len(orders) <= 5

    run(body())


async def until_joined(client: Any, world: Any, count: int) -> list[bytes]:
    """The log's entries once so many workers have joined."""
    while True:
        call = client.log.GetEntries(log_pb2.GetEntriesRequest(), metadata=world.metadata)
        entries = [entry async for batch in call for entry in batch.entries]
        if sum(b'"join"' in entry for entry in entries) >= count:
            return entries
        await asyncio.sleep(0.01)


async def until_free(caplog: pytest.LogCaptureFixture, count: int) -> None:
    """Until the host has taken note of so many workers that joined, which is after the log has."""

    def ready(record: Any) -> bool:
        words: str = record.getMessage()
        return record.name == "placet.host.placement" and words.startswith("ready ")

    while sum(map(ready, caplog.records)) < count:
        await asyncio.sleep(0.01)


def test_a_free_worker_has_the_job_at_once_and_a_refused_one_never_was(
    world: Any, run: Any, refused: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "placet.host.placement")

    async def body() -> None:
        async with world.host() as (_, client):
            ticket, request_id = world.ticket("release"), b"r" * 16
            await client.run(ticket)
            await until_free(caplog, 2)
            both = await asyncio.gather(*(client.submit(ticket, request_id) for _ in range(2)))
            assert both[0].id == both[1].id
            assert all(job.state >= runs_pb2.RUN_STATE_LEASED for job in both)
            await client.watch(both[0].id)
            await until_free(caplog, 3)
            stop = governance_pb2.DocumentRequest(envelope=world.veto(ticket))
            await client.governance.Stop(stop, metadata=world.metadata)
            entries = await until_joined(client, world, 3)
            request = runs_pb2.WatchRequest(proposal=world.digest(ticket.proposal))
            call = client.runs.Watch(request, metadata=world.metadata)
            await call.initial_metadata()
            await refused(client.submit(ticket), "VETOED")
            assert await until_joined(client, world, 3) == entries
            listed = await client.runs.List(runs_pb2.ListRunsRequest(), metadata=world.metadata)
            assert len(listed.runs) == 2
            other = await client.run(world.ticket("release"))  # by the worker that was given back
            assert other.state == runs_pb2.RUN_STATE_FINISHED
            call.cancel()
            assert [record async for record in cancelled(call)] == []

    run(body())


async def cancelled(call: Any) -> AsyncIterator[runs_pb2.Run]:
    """What a cancelled stream had still to say."""
    with contextlib.suppress(asyncio.CancelledError):
        async for record in call:
            yield record


def test_a_caller_that_leaves_finds_its_job_again(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket, request_id = world.ticket("release"), b"r" * 16
            await client.run(ticket)
            await until_joined(client, world, 2)
            request = runs_pb2.StartRequest(ticket=ticket, request_id=request_id)
            leaving = client.runs.Start(request, metadata=world.metadata)
            await leaving.wait_for_connection()
            leaving.cancel()
            job = await client.submit(ticket, request_id)
            assert (await client.watch(job.id))[-1].state == runs_pb2.RUN_STATE_FINISHED
            listed = await client.runs.List(runs_pb2.ListRunsRequest(), metadata=world.metadata)
            assert len(listed.runs) == 2

    run(body())


def test_too_many_watchers_are_refused(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(max_watchers=1) as (_, client):
            job = await client.submit(world.ticket("hang"))
            request = runs_pb2.WatchRequest(id=job.id)
            held = client.runs.Watch(request, metadata=world.metadata)
            await held.read()
            await refused(client.runs.Watch(request, metadata=world.metadata), "QUEUE_FULL")

    run(body())


def test_a_proposal_is_watched_before_its_jobs_exist(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.ticket("release")
            request = runs_pb2.WatchRequest(proposal=world.digest(ticket.proposal))
            call = client.runs.Watch(request, metadata=world.metadata)
            await call.initial_metadata()
            jobs = [await client.submit(ticket) for _ in range(2)]
            await client.run(world.ticket("release"))  # another proposal's
            seen: dict[str, list[int]] = {job.id: [] for job in jobs}
            while any(runs_pb2.RUN_STATE_FINISHED not in states for states in seen.values()):
                record = await call.read()
                seen[record.id].append(record.state)
            assert all(states == sorted(states) for states in seen.values())
            call.cancel()
            for bad in ({}, {"id": jobs[0].id, "proposal": request.proposal}):
                both = runs_pb2.WatchRequest(**bad)
                call = client.runs.Watch(both, metadata=world.metadata)
                await refused(call, "REQUEST_MALFORMED")

    run(body())
