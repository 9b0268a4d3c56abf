# SPDX-License-Identifier: Apache-2.0
"""Calls to a host over real gRPC and TLS."""

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from placet.governance.envelope import parse_envelope
from placet.proto.limits import VERSION_KEY, WIRE_VERSION
from placet.proto.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    common_pb2,
    federations_pb2,
    federations_pb2_grpc,
    governance_pb2_grpc,
    inference_pb2,
    inference_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    log_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
)

METADATA = ((VERSION_KEY, str(WIRE_VERSION)),)


@dataclass(frozen=True, slots=True)
class Sent:
    """An update as a client sends it."""

    request: federations_pb2.UpdateRequest
    blob: str
    stream: bytes


class Client:
    """Every service over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.runs: Any = runs_pb2_grpc.RunsStub(channel)
        self.jobs: Any = jobs_pb2_grpc.JobsStub(channel)
        self.governance: Any = governance_pb2_grpc.GovernanceStub(channel)
        self.keys: Any = keys_pb2_grpc.KeysStub(channel)
        self.federations: Any = federations_pb2_grpc.FederationsStub(channel)
        self.inference: Any = inference_pb2_grpc.InferenceStub(channel)
        self.blobs: Any = blobs_pb2_grpc.BlobsStub(channel)
        self.log: Any = log_pb2_grpc.LogStub(channel)
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    async def put(self, data: bytes, blob: str, **header: Any) -> blobs_pb2.BlobInfo:
        """Put a blob in chunks of 1 MiB."""
        info: blobs_pb2.BlobInfo = await self.blobs.Put(
            put_requests(data, blob, **header), metadata=METADATA
        )
        return info

    async def submit(
        self, ticket: common_pb2.Ticket, request_id: bytes | None = None
    ) -> runs_pb2.Run:
        """Submit a job."""
        request = runs_pb2.StartRequest(
            ticket=ticket, request_id=os.urandom(16) if request_id is None else request_id
        )
        job: runs_pb2.Run = await self.runs.Start(request, metadata=METADATA)
        return job

    async def watch(self, job: str) -> list[runs_pb2.Run]:
        """All that a watch shows until the job has ended."""
        call = self.runs.Watch(runs_pb2.WatchRequest(id=job), metadata=METADATA)
        return [record async for record in call]

    async def run(self, ticket: common_pb2.Ticket) -> runs_pb2.Run:
        """Submit a job and return it once it has ended."""
        return (await self.watch((await self.submit(ticket)).id))[-1]

    async def until(self, job: str, state: runs_pb2.RunState.ValueType) -> runs_pb2.Run:
        """Watch until a job has reached a state."""
        call = self.runs.Watch(runs_pb2.WatchRequest(id=job), metadata=METADATA)
        async for record in call:
            if record.state == state:
                call.cancel()
                found: runs_pb2.Run = record
                return found
        raise AssertionError("the job ended before it reached the state")

    async def start(self, ticket: common_pb2.Ticket) -> runs_pb2.Run:
        """Start a federation."""
        request = runs_pb2.StartRequest(ticket=ticket)
        started: runs_pb2.Run = await self.runs.Start(request, metadata=METADATA)
        return started

    def follow(self, federation: str) -> Any:
        """The call that shows a federation until it has ended."""
        request = runs_pb2.WatchRequest(id=federation)
        return self.runs.Watch(request, metadata=METADATA)

    async def ended(self, federation: str) -> runs_pb2.Run:
        """A federation once it has ended."""
        shown: list[runs_pb2.Run] = [f async for f in self.follow(federation)]
        return shown[-1]

    async def until_round(
        self, federation: str, number: int, *, aggregating: bool = False
    ) -> runs_pb2.Run:
        """Watch until a round is open, or being aggregated."""
        call = self.follow(federation)
        shown: runs_pb2.Run
        async for shown in call:
            told = shown.federation
            if (told.round, told.aggregating) == (number, aggregating):
                call.cancel()
                return shown
        raise AssertionError("the federation ended before its round")

    async def until_aggregating(self, federation: str) -> None:
        """Watch until a worker is at a round."""
        call = self.follow(federation)
        async for shown in call:
            if shown.progress:
                call.cancel()
                return

    async def send(self, sent: Sent) -> federations_pb2.UpdateReceipt:
        """Put an update's stream, then send the update."""
        await self.put(sent.stream, sent.blob)
        receipt: federations_pb2.UpdateReceipt = await self.federations.Update(
            sent.request, metadata=METADATA
        )
        return receipt

    async def serve(self, ticket: common_pb2.Ticket, workers: int = 1) -> runs_pb2.Run:
        """Serve with so many workers."""
        request = runs_pb2.StartRequest(ticket=ticket, workers=workers)
        service: runs_pb2.Run = await self.runs.Start(request, metadata=METADATA)
        return service

    async def until_service(
        self, service: str, *, refused: bool = False, **wanted: int
    ) -> runs_pb2.Run:
        """Watch until fields of a service have these values, and it shows a refusal if it
        should."""
        request = runs_pb2.WatchRequest(id=service)
        call = self.runs.Watch(request, metadata=METADATA)
        shown: runs_pb2.Run
        async for shown in call:
            own = shown.service
            found = {name: getattr(shown if name == "state" else own, name) for name in wanted}
            if found == wanted and (shown.HasField("refusal") or not refused):
                call.cancel()
                return shown
        raise AssertionError("the service ended before it was so")

    async def ready(self, ticket: common_pb2.Ticket, workers: int = 1) -> str:
        """Serve, and return the lease of one of the workers once all are ready."""
        service = await self.serve(ticket, workers)
        await self.until_service(service.id, ready=workers)
        return lease_in(await self.describe(service.id))

    async def describe(self, service: str, lease: str = "") -> inference_pb2.Description:
        """What a worker is to be verified by."""
        ask = inference_pb2.DescribeRequest(service=service, lease=lease)
        found: inference_pb2.Description = await self.inference.Describe(ask, metadata=METADATA)
        return found

    def predict(self, lease: str, data: bytes, timeout: float | None = None) -> Any:
        """The call that asks one question."""
        request = inference_pb2.PredictRequest(lease=lease, data=data)
        return self.inference.Predict(request, metadata=METADATA, timeout=timeout)

    async def until_health(self, service: str, *, serving: bool) -> None:
        """Wait until a service is healthy, or is not."""
        call = self.health.Watch(health_pb2.HealthCheckRequest(service=service))
        async for response in call:
            if (response.status == health_pb2.HealthCheckResponse.SERVING) == serving:
                call.cancel()
                return


def lease_in(description: inference_pb2.Description) -> str:
    """The digest of the lease that is described."""
    return parse_envelope(description.lease).digest


async def put_requests(
    data: bytes, blob: str, offset: int = 0, **header: Any
) -> AsyncIterator[blobs_pb2.PutRequest]:
    """The messages of a put."""
    fields: dict[str, Any] = {"length": len(data), "sha256": hashlib.sha256(data).digest()}
    fields |= {"id": blob, "offset": offset, **header}
    yield blobs_pb2.PutRequest(header=blobs_pb2.PutHeader(**fields))
    for start in range(offset, len(data), 2**20):
        yield blobs_pb2.PutRequest(chunk=data[start : start + 2**20])
