# SPDX-License-Identifier: Apache-2.0
"""Clients that go away at any point: of Submit, Watch, Put and Result. The host and everybody else
go on."""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from placet.proto.v1 import blobs_pb2, common_pb2, jobs_pb2, runs_pb2, runs_pb2_grpc

MIB = 2**20
# Seconds after which the client goes; whatever was reached by then, the same has to hold.
MOMENTS = [0.0, 0.001, 0.003, 0.006, 0.01, 0.02, 0.05]


@pytest.fixture(scope="module")
def ticket(world: Any) -> Any:
    bundle = world.bundle(world.copy)
    return world.ticket(world.job(bundle.digest, {"data": world.data()}), uses=50)


def wire(ticket: Any, request_id: bytes) -> runs_pb2.StartRequest:
    message = common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots)
    return runs_pb2.StartRequest(ticket=message, request_id=request_id)


@pytest.mark.parametrize("moment", MOMENTS)
def test_during_submit(world: Any, ticket: Any, moment: float) -> None:
    """The same request afterwards is one job, which runs once."""
    request_id = os.urandom(16)
    before = {job.id for job in world.client.runs.list(1000)}
    call = world.stubs.runs.Start.future(wire(ticket, request_id), metadata=world.metadata)
    time.sleep(moment)
    call.cancel()
    job = world.client.runs.start(ticket, request_id=request_id)
    assert world.client.runs.wait(job.id).state == "finished"
    assert {job.id for job in world.client.runs.list(1000)} - before == {job.id}
    assert world.entries_of(job.id) == ["lease", "release"]


def test_during_watch(world: Any, ticket: Any) -> None:
    """More watchers come and go than there may be at once; the job does not notice."""
    job = world.client.runs.start(ticket)
    for number in range(300):
        call = world.stubs.runs.Watch(runs_pb2.WatchRequest(id=job.id), metadata=world.metadata)
        if number % 2:
            next(call)
        call.cancel()
    assert world.client.runs.wait(job.id).state == "finished"
    proposal = runs_pb2.WatchRequest(proposal=job.proposal.text)
    for _ in range(300):
        world.stubs.runs.Watch(proposal, metadata=world.metadata).cancel()
    call = world.stubs.runs.Watch(proposal, metadata=world.metadata)
    call.initial_metadata()
    job = world.client.runs.start(ticket)
    assert job.id == next(call).id
    call.cancel()
    assert world.client.runs.wait(job.id).state == "finished"


@pytest.mark.parametrize("sent", [0, 1, 7, 8, 9, 17])
def test_during_put(world: Any, sent: int) -> None:
    """Only whole parts count; more puts break off than may be open; the next one goes on."""
    data, blob = os.urandom(20 * MIB), os.urandom(16).hex()
    header = blobs_pb2.PutHeader(id=blob, length=len(data), sha256=hashlib.sha256(data).digest())
    calls: list[Any] = []

    def requests() -> Iterator[blobs_pb2.PutRequest]:
        yield blobs_pb2.PutRequest(header=header)
        for start in range(0, sent * MIB, MIB):
            yield blobs_pb2.PutRequest(chunk=data[start : start + MIB])
        calls[-1].cancel()

    with world.unchanged():
        for _ in range(4):
            calls.append(_Late())
            call = world.stubs.blobs.Put.future(requests(), metadata=world.metadata)
            calls[-1].call = call
            with contextlib.suppress(grpc.RpcError, grpc.FutureCancelledError):
                call.result(timeout=20)
        with contextlib.suppress(Exception):
            received = world.client.blobs.stat(blob).received
            assert received % (8 * MIB) == 0
        assert world.client.blobs.put(blob, data).complete
        got = world.client.blobs.get(blob, world.folder / "got")
    assert got.read_bytes() == data


class _Late:
    """A call that its own requests cancel."""

    call: Any = None

    def cancel(self) -> None:
        while self.call is None:
            time.sleep(0.001)
        self.call.cancel()


@pytest.mark.parametrize("moment", MOMENTS)
def test_during_result(world: Any, ticket: Any, moment: float) -> None:
    job = world.client.runs.wait(world.client.runs.start(ticket).id)
    request = jobs_pb2.ResultRequest(id=job.id, recipient="analyst")
    with world.unchanged():
        call = world.stubs.jobs.Result.future(request, metadata=world.metadata)
        time.sleep(moment)
        call.cancel()
        assert world.output(job.id)


def test_whole_connections(world: Any, ticket: Any) -> None:
    """A client that vanishes with all its calls open."""
    certificate = (world.folder / "host" / "tls" / "cert.pem").read_bytes()
    request_id = os.urandom(16)
    for _ in range(20):
        credentials = grpc.ssl_channel_credentials(certificate)
        channel = grpc.secure_channel(world.address, credentials)
        runs: Any = runs_pb2_grpc.RunsStub(channel)
        runs.Start.future(wire(ticket, request_id), metadata=world.metadata)
        runs.Watch(runs_pb2.WatchRequest(proposal="sha256:" + "0" * 64), metadata=world.metadata)
        channel.close()
    job = world.client.runs.start(ticket, request_id=request_id)
    assert world.client.runs.wait(job.id).state == "finished"
    assert world.entries_of(job.id) == ["lease", "release"]
    assert "fault" not in world.host_log()
