# SPDX-License-Identifier: Apache-2.0
"""Services from start to end: workers that come, go and are replaced, on real processes and a real
store."""

import asyncio
import json
import time
from typing import Any

import pytest

from placet.attestation import Expected, Policy, believe
from placet.governance.envelope import digest_of
from placet.governance.log import Checkpoint, LogProof, SignedNote, leaf_hash, verify_inclusion
from placet.host import EnclaveProcess, LaunchOrder
from placet.proto.v1 import (
    common_pb2,
    enclaves_pb2,
    governance_pb2,
    inference_pb2,
    log_pb2,
    runs_pb2,
)

READY = runs_pb2.RUN_STATE_RUNNING
DRAINED = runs_pb2.RUN_STATE_FINISHED
STOPPED = runs_pb2.RUN_STATE_STOPPED
FAILED = runs_pb2.RUN_STATE_FAILED


async def jobs(client: Any, world: Any, service: str) -> list[Any]:
    """Oldest first."""
    request = runs_pb2.ListRunsRequest(proposal=service)
    listed = await client.runs.List(request, metadata=world.metadata)
    return list(reversed(listed.runs))


async def get(client: Any, world: Any, service: str) -> Any:
    request = runs_pb2.GetRunRequest(id=service)
    return await client.runs.Get(request, metadata=world.metadata)


def test_a_service_has_as_many_workers_as_are_asked_for(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service()
            started = await client.serve(ticket, 2)
            assert started.id == world.digest(ticket.proposal)
            assert (started.state, started.service.workers) == (runs_pb2.RUN_STATE_QUEUED, 2)
            ready = await client.until_service(started.id, ready=2)
            assert ready.state == READY
            assert ready.service.not_after > 0
            orders = [o for o, _ in world.launcher.started if o.role == "worker"]
            assert [(o.launched_for, o.variant) for o in orders] == [
                (world.launched_for(ticket), "onnx")
            ] * 2
            names = [job.id for job in await jobs(client, world, started.id)]
            assert names == [f"{started.id[7:47]}-{number}" for number in (1, 2)]
            assert await client.serve(ticket, 2) == ready
            request = runs_pb2.ListRunsRequest(action="serve")
            listed = await client.runs.List(request, metadata=world.metadata)
            assert list(listed.runs) == [ready]
            assert len(await jobs(client, world, started.id)) == 2
            more = await client.serve(ticket, 3)
            assert (more.service.workers, more.service.ready) == (3, 2)
            await client.until_service(started.id, ready=3)
            fewer = await client.serve(ticket, 1)
            assert fewer.service.workers == 1
            await client.until_service(started.id, ready=1)
            assert len(world.launcher.running("worker")) == 3
            await check_description(client, world, refused, ticket)

    run(body())


def test_two_proposals_of_the_same_terms_are_served_apart(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            one, other = world.service(), world.service()
            assert world.launched_for(one) == world.launched_for(other)
            await asyncio.gather(client.serve(one), client.serve(other, 2))
            for ticket, ready in ((one, 1), (other, 2)):
                await client.until_service(world.digest(ticket.proposal), ready=ready)
            await client.serve(one, 0)
            await client.until_service(world.digest(one.proposal), state=DRAINED, ready=0)
            more = await client.serve(other, 3)
            await client.until_service(more.id, ready=3)
            orders = [o for o, _ in world.launcher.started if o.role == "worker"]
            assert {(o.launched_for, o.variant) for o in orders} == {
                (world.launched_for(one), "onnx")
            }
            assert len(orders) == 4

    run(body())


def test_what_serve_refuses_leaves_nothing(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(max_services=1, max_workers=2) as (_, client):
            late = world.service(not_after=int(time.time()) - 1)
            await refused(client.serve(late), "TICKET_EXPIRED")
            await refused(client.serve(world.service(), 0), "RUN_NOT_FOUND")
            await refused(client.serve(world.ticket("release")), "REQUEST_MALFORMED")
            details = await refused(client.serve(world.federation("release")), "REQUEST_MALFORMED")
            assert (details["claim"], details["actual"]) == ("workers", "federate")
            details = await refused(client.submit(world.service()), "REQUEST_MALFORMED")
            assert (details["claim"], details["expected"]) == ("request_id", "0 bytes")
            details = await refused(client.serve(world.service(), 3), "REQUEST_MALFORMED")
            assert details["expected"] == "at most 2"
            unknown = world.digest(late.proposal)
            await refused(get(client, world, unknown), "RUN_NOT_FOUND")
            await refused(client.describe(unknown), "RUN_NOT_FOUND")
            await client.serve(world.service())
            await refused(client.serve(world.service()), "QUEUE_FULL")

    run(body())


async def check_description(client: Any, world: Any, refused: Any, ticket: Any) -> None:
    """Every proof holds, and the offer is the newest."""
    service = world.digest(ticket.proposal)
    lease = world.lease_in(await client.describe(service))
    described = await client.describe(service, lease)
    assert described.ticket == ticket
    assert described.offer == b"offer 1"
    call = client.log.GetEntries(log_pb2.GetEntriesRequest(), metadata=world.metadata)
    log = [entry async for batch in call for entry in batch.entries]
    for part, kind in (("boot", "boot"), ("join", "join"), ("lease_entry", "lease")):
        logged = getattr(described, part)
        assert json.loads(logged.entry)["kind"] == kind
        proof = LogProof.from_bytes(logged.proof)
        assert log[proof.index] == logged.entry
        size, root = checkpoint_of(proof)
        verify_inclusion(leaf_hash(logged.entry), proof.index, size, proof.hashes, root)
    assert json.loads(described.lease_entry.entry)["lease"] == lease
    boot, join = json.loads(described.boot.entry), json.loads(described.join.entry)
    assert boot["identity"] == digest_of(described.authority_identity)
    assert join["worker"] == digest_of(described.worker_identity)
    for role, entry, launched_for in (
        ("authority", boot, ""),
        ("worker", join, world.launched_for(ticket)),
    ):
        identity = getattr(described, role + "_identity")
        evidence = getattr(described, role + "_evidence")
        check_evidence(world, role, entry, identity, evidence, launched_for)
    assert (await client.predict(lease, b"offer")).data == b"offer"
    again = await client.describe(service)
    assert again.offer == b"offer 2"
    again.offer = described.offer
    assert again == described
    other = "sha256:" + "0" * 64
    await refused(client.describe(service, other), "WORKER_UNAVAILABLE")


def check_evidence(
    world: Any, role: str, entry: Any, identity: bytes, evidence: bytes, launched_for: str
) -> None:
    """It is what the entry names, and the hardware's word for this enclave of this council."""
    assert entry["evidence"] == digest_of(evidence)
    council, now = world.council, int(time.time())
    expected = Expected(role, council.log, council.name, bytes.fromhex(entry["nonce"]))
    policy = Policy.from_dict(getattr(council.evidence, role))
    found = believe(identity, evidence, expected, policy, now=now)
    assert found.claims.launched_for == launched_for


def checkpoint_of(proof: LogProof) -> tuple[int, bytes]:
    """Size and root; whose signature it has is the client's to verify."""
    checkpoint = Checkpoint.from_text(SignedNote.from_bytes(proof.checkpoint).text)
    return checkpoint.size, checkpoint.root


def test_a_lost_worker_is_replaced_under_another_job(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service()
            lease = await client.ready(ticket)
            world.launcher.running("worker")[0].kill()
            service = world.digest(ticket.proposal)
            lost = await client.until_service(service, ready=0)
            assert lost.state == runs_pb2.RUN_STATE_QUEUED
            await refused(client.predict(lease, b"echo"), "WORKER_UNAVAILABLE")
            again = await client.until_service(service, ready=1)
            assert again.refusal.reason == common_pb2.REASON_WORKER_UNAVAILABLE
            other = world.lease_in(await client.describe(service))
            assert other != lease
            assert (await client.predict(other, b"echo")).data == b"echo"
            assert [(job.id[-2:], job.state) for job in await jobs(client, world, service)] == [
                ("-1", runs_pb2.RUN_STATE_FAILED),
                ("-2", runs_pb2.RUN_STATE_RUNNING),
            ]

    run(body())


def test_anybody_may_send_a_ticket_and_only_an_admitted_one_is_kept(
    world: Any, run: Any, refused: Any
) -> None:
    """The ballots of a description are those that the log had at the lease, whatever Serve was
    called with."""

    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service()
            lease = await client.ready(ticket)
            service = world.digest(ticket.proposal)
            forged = common_pb2.Ticket(proposal=world.unsigned(ticket.proposal))
            await refused(client.serve(forged, 1), "SIGNATURE_INVALID")
            await refused(client.serve(forged, 2), "SIGNATURE_INVALID")
            await client.serve(forged, 0)
            await client.until_service(service, state=DRAINED, ready=0)
            vote = governance_pb2.DocumentRequest(envelope=world.ballot(ticket))
            await client.governance.Vote(vote, metadata=world.metadata)
            await client.serve(ticket, 1)
            await client.until_service(service, ready=1)
            described = await client.describe(service)
            assert world.lease_in(described) != lease
            ballots = [*ticket.ballots, vote.envelope]
            whole = common_pb2.Ticket(proposal=ticket.proposal, ballots=ballots)
            assert described.ticket == whole

    run(body())


def test_a_model_that_is_none_ends_the_service_and_it_can_be_tried_again(
    world: Any, run: Any, refused: Any
) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service("end MODEL_INVALID; end BLOB_NOT_FOUND; serve")
            for reason in ("MODEL_INVALID", "BLOB_NOT_FOUND"):
                service = (await client.serve(ticket)).id
                failed = await client.until_service(service, state=FAILED)
                assert failed.refusal.reason == common_pb2.Reason.Value("REASON_" + reason)
                await refused(client.describe(service), reason)
            assert len(await jobs(client, world, service)) == 2
            assert await client.ready(ticket)

    run(body())


def test_the_uses_bound_the_workers_and_those_that_are_there_go_on(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service(uses=1)
            service = (await client.serve(ticket, 2)).id
            short = await client.until_service(service, ready=1, refused=True)
            assert short.state == READY
            assert short.refusal.reason == common_pb2.REASON_TICKET_USED_UP
            world.launcher.running("worker")[0].kill()
            world.launcher.running("worker")[1].kill()
            ended = await client.until_service(service, state=FAILED)
            assert ended.refusal.reason == common_pb2.REASON_TICKET_USED_UP

    run(body())


def test_a_veto_stops_it_at_once(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service()
            lease = await client.ready(ticket)
            asked = client.predict(lease, b"hold")
            assert (await client.predict(lease, b"echo")).data == b"echo"
            veto = governance_pb2.DocumentRequest(envelope=world.veto(ticket))
            await client.governance.Stop(veto, metadata=world.metadata)
            await refused(asked, "VETOED")
            await refused(client.predict(lease, b"echo"), "VETOED")
            service = world.digest(ticket.proposal)
            stopped = await client.until_service(service, state=STOPPED)
            assert stopped.refusal.reason == common_pb2.REASON_VETOED
            await refused(client.describe(service), "VETOED")
            await refused(client.serve(ticket), "VETOED")
            assert [job.state for job in await jobs(client, world, service)] == [
                runs_pb2.RUN_STATE_STOPPED
            ]

    run(body())


def test_a_drained_service_answers_what_it_has_taken(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service()
            lease = await client.ready(ticket)
            service = world.digest(ticket.proposal)
            stream = client.inference.PredictStream(metadata=world.metadata)
            await stream.write(
                inference_pb2.Asks(lease=lease, asks=[ask(1, b"hold"), ask(2, b"x")])
            )
            assert [a.id for a in (await stream.read()).answers] == [2]
            drained = await client.serve(ticket, 0)
            assert (drained.state, drained.service.workers) == (READY, 0)
            await client.until_service(service, ready=0)
            await refused(client.describe(service), "SERVICE_ENDED")
            await refused(client.predict(lease, b"free"), "WORKER_UNAVAILABLE")
            await stream.write(inference_pb2.Asks(cancelled=[1]))
            worker = world.launcher.running("worker")[0]
            await worker.wait()
            await refused(client.predict(lease, b"x"), "WORKER_UNAVAILABLE")
            assert (await client.watch(service))[-1].state == DRAINED
            stream.cancel()
            assert await client.ready(ticket) != lease
            await check_not_ready(client, world)

    run(body())


def test_a_worker_let_go_while_its_lease_is_asked_for_has_no_successor(
    world: Any, run: Any, tap: Any
) -> None:
    """The lease comes to nothing for a reason by which the job would wait for another worker: the
    authority dies over it."""
    asked = asyncio.Event()

    async def hold(frame: enclaves_pb2.Frame) -> None:
        if frame.kind == enclaves_pb2.KIND_LEASE:
            asked.set()
            await asyncio.Event().wait()

    async def body() -> None:
        tap.asked = hold
        async with world.host() as (_, client):
            ticket = world.service()
            service = await client.serve(ticket)
            await asked.wait()
            drained = await client.serve(ticket, 0)
            assert drained.id == service.id
            await world.launcher.running("worker")[0].wait()
            world.launcher.running("authority")[0].kill()
            (job,) = await jobs(client, world, service.id)
            last = (await client.watch(job.id))[-1]
            assert last.state == runs_pb2.RUN_STATE_STOPPED
            assert last.refusal.reason == common_pb2.REASON_SERVICE_ENDED
            assert (await client.watch(service.id))[-1].state == DRAINED
            assert len(world.launcher.running("worker")) == 1

    run(body())


def ask(number: int, data: bytes) -> inference_pb2.Ask:
    return inference_pb2.Ask(id=number, data=data)


async def check_not_ready(client: Any, world: Any) -> None:
    """A worker that was not ready is let go too."""
    ticket = world.service("load")
    service = (await client.serve(ticket)).id
    while not ((made := await jobs(client, world, service)) and made[-1].job.attempt):
        await asyncio.sleep(0.05)
    job = made[-1]
    await client.serve(ticket, 0)
    assert (await client.watch(job.id))[-1].state == runs_pb2.RUN_STATE_STOPPED


@pytest.mark.parametrize("drained", [False, True])
def test_a_killed_host_serves_on(world: Any, run: Any, drained: bool) -> None:
    async def body() -> None:
        async with world.process() as (process, client):
            ticket = world.service()
            service = world.digest(ticket.proposal)
            await client.ready(ticket)
            if drained:
                await client.serve(ticket, 0)
            process.kill()
        async with world.process() as (_, client):
            if drained:
                assert (await client.watch(service))[-1].state == DRAINED
                assert await client.ready(ticket)
            ready = await client.until_service(service, ready=1)
            assert ready.state == READY
            lease = world.lease_in(await client.describe(service))
            assert (await client.predict(lease, b"echo")).data == b"echo"
            states = [job.state for job in await jobs(client, world, service)]
            assert states[-1] == runs_pb2.RUN_STATE_RUNNING
            assert runs_pb2.RUN_STATE_RUNNING not in states[:-1]

    run(body())


def test_a_killed_authority_takes_the_workers_and_others_come(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service()
            lease = await client.ready(ticket)
            world.launcher.running("authority")[0].kill()
            service = world.digest(ticket.proposal)
            await client.until_service(service, ready=0)
            await client.until_service(service, ready=1)
            assert world.lease_in(await client.describe(service)) != lease

    run(body())


def test_workers_that_do_not_start_are_tried_again_until_they_do(world: Any, run: Any) -> None:
    """The service waits, and takes one use of the proposal."""

    async def body() -> None:
        launch, broken = world.launcher.launch, 4

        async def launch_or_fail(order: LaunchOrder) -> Any:
            nonlocal broken
            if order.role == "worker" and broken:
                broken -= 1
                return await EnclaveProcess.start(["/bin/sh", "-c", "exit 78"], order)
            return await launch(order)

        world.launcher.launch = launch_or_fail
        async with world.host() as (_, client):
            service = (await client.serve(world.service())).id
            shown = await client.until_service(service, ready=1)
            assert not broken
            assert not shown.HasField("refusal")
            assert len(await jobs(client, world, service)) == 1

    run(body())
