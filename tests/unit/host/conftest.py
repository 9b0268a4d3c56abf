# SPDX-License-Identifier: Apache-2.0
"""A host with scripted enclaves, and calls to it over real gRPC and TLS."""

import asyncio
import hashlib
import json
import os
import re
import secrets
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import (  # pyright: ignore[reportMissingTypeStubs]
    error_details_pb2,
    status_pb2,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc

from placet.governance.documents import (
    Card,
    Charter,
    Federate,
    Header,
    Input,
    Job,
    Layout,
    Output,
    Proposal,
    Recipient,
    Roster,
    Seen,
    Serve,
    Tensor,
    Update,
    new_header,
)
from placet.governance.envelope import inspect, parse_envelope, sign, sign_payload
from placet.governance.keys import SigningKey
from placet.governance.log import EMPTY_ROOT
from placet.host import EnclaveProcess, Host, HostConfig, LaunchOrder, Running, arguments
from placet.proto.limits import GRPC_OPTIONS, VERSION_KEY, WIRE_VERSION
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
from placet.sealing import HPKEPrivateKey, ObjectDescriptor, sealed_length
from tests.support import documents

SCRIPT = Path(__file__).parent / "scripted_enclave.py"
MAIN = Path(__file__).parent / "host_main.py"
METADATA = ((VERSION_KEY, str(WIRE_VERSION)),)
ORIGIN = "example.org/log"
DIGEST = "sha256:" + "0" * 64
MODEL = ObjectDescriptor("0" * 32, "model", (), "0" * 64, 65536, 1, 9, DIGEST)
ROSTER = ("ada", "ben", "cleo")
LAYOUT = Layout((Tensor("w", (4,)),), "float32", 16384)


class ScriptedLauncher:
    """Starts `scripted_enclave.py`, and remembers what it started."""

    def __init__(self) -> None:
        self.started: list[tuple[LaunchOrder, EnclaveProcess]] = []

    async def launch(self, order: LaunchOrder) -> Running:
        argv = [sys.executable, "-I", str(SCRIPT), *arguments(order)]
        process = await EnclaveProcess.start(argv, order)
        self.started.append((order, process))
        return process

    def running(self, role: str) -> list[EnclaveProcess]:
        """Those of a role, oldest first."""
        return [process for order, process in self.started if order.role == role]


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

    async def send(self, sent: "Sent") -> federations_pb2.UpdateReceipt:
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
    return "sha256:" + hashlib.sha256(description.lease).hexdigest()


async def put_requests(
    data: bytes, blob: str, offset: int = 0, **header: Any
) -> AsyncIterator[blobs_pb2.PutRequest]:
    """The messages of a put."""
    fields: dict[str, Any] = {"length": len(data), "sha256": hashlib.sha256(data).digest()}
    fields |= {"id": blob, "offset": offset, **header}
    yield blobs_pb2.PutRequest(header=blobs_pb2.PutHeader(**fields))
    for start in range(offset, len(data), 2**20):
        yield blobs_pb2.PutRequest(chunk=data[start : start + 2**20])


@dataclass(frozen=True, slots=True)
class Sent:
    """An update as a client sends it."""

    request: federations_pb2.UpdateRequest
    blob: str
    stream: bytes


class World:
    """Documents, keys, and a host on a folder."""

    bundle = b"the bundle of a program"
    program = "sha256:" + hashlib.sha256(bundle).hexdigest()
    blob = program.removeprefix("sha256:")[:32]
    origin = ORIGIN
    metadata = METADATA
    put_requests = staticmethod(put_requests)
    lease_in = staticmethod(lease_in)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher = ScriptedLauncher()
        self.key = SigningKey.generate()
        self.recipient = HPKEPrivateKey.generate("X25519").public.to_text()

    def config(self, **settings: Any) -> HostConfig:
        """The configuration of a host on the folder."""
        settings = {"drain_seconds": 1.0, **settings}
        return HostConfig(self.folder / "state", self.folder / "cpu", ORIGIN, **settings)

    @asynccontextmanager
    async def host(self, **settings: Any) -> AsyncGenerator[tuple[Host, Client], None]:
        """A host with scripted enclaves, and a client with the bundle put."""
        async with (
            Host(self.config(**settings), self.launcher) as host,
            self.client(host.address, host.certificate_pem) as client,
        ):
            await client.put(self.bundle, self.blob)
            yield host, client

    @asynccontextmanager
    async def process(
        self,
    ) -> AsyncGenerator[tuple[asyncio.subprocess.Process, Client], None]:
        """A host in a process of its own, and a client of it; killed at the end if it still
        runs."""
        state, cpu = self.folder / "state", self.folder / "cpu"
        argv = ["-I", str(MAIN), str(state), str(cpu), ORIGIN, str(SCRIPT)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            line = (await process.stdout.readline()).decode()
            address = re.fullmatch(r"address (\S+)\n", line)
            assert address is not None
            assert (await process.stdout.readline()).startswith(b"pin sha256:")
            certificate = (state / "tls" / "cert.pem").read_bytes()
            async with self.client(address[1], certificate) as client:
                yield process, client
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def client(self, address: str, certificate: bytes) -> AsyncGenerator[Client, None]:
        """A client of a host."""
        credentials = grpc.ssl_channel_credentials(certificate)
        async with grpc.aio.secure_channel(address, credentials, options=GRPC_OPTIONS) as channel:
            yield Client(channel)

    def header(self) -> Header:
        """A header for the log of the tests."""
        return new_header(self.name, Seen(0, "sha256:" + EMPTY_ROOT.hex()))

    def ticket(
        self, act: str, *, attempts: int = 2, uses: int = 5, reason: str = "A test."
    ) -> common_pb2.Ticket:
        """A ticket for a job that does `act`; the authority may do as the reason says."""
        job = documents.job(
            Recipient("alice", self.recipient),
            program=self.program,
            parameters={"act": act},
            outputs={"out": Output(1024)},
            attempts=attempts,
        )
        return self._ticket(job, uses, reason)

    def federation(
        self, acts: str, *, rounds: int = 1, round_seconds: int = 600
    ) -> common_pb2.Ticket:
        """A ticket for a federation of three clients, two of them enough, whose workers do
        `acts`."""
        federate = documents.federate(
            ROSTER, layout=LAYOUT, labels=(), rounds=rounds, round_seconds=round_seconds
        )
        return self._ticket(federate, rounds, acts)

    def service(
        self, acts: str = "serve", *, uses: int = 5, title: str = "A model"
    ) -> common_pb2.Ticket:
        """A ticket for a service whose workers do `acts`, one after the other. `title` alone makes
        other terms."""
        card = Card(title, (), "", None, documents.FAR)
        users = Roster("roster", ("ada",))
        serve = documents.serve(Input(MODEL, "owner"), users, card=card, largest_request=16)
        return self._ticket(serve, uses, acts)

    def update(self, ticket: common_pb2.Ticket, number: int, client: str) -> Sent:
        """A client's update for a round. Nobody here opens it."""
        blob, sealed = secrets.token_hex(16), os.urandom(48)
        update = Update(
            header=self.header(),
            federation=self.digest(ticket.proposal),
            round=number,
            client=client,
            layout=LAYOUT.digest,
            object=blob,
            commitment="0" * 64,
            sealed="sha256:" + hashlib.sha256(sealed).hexdigest(),
            epsilon="any",
            delta="any",
        )
        request = federations_pb2.UpdateRequest(update=sign(update, self.key), sealed=sealed)
        return Sent(request, blob, os.urandom(sealed_length(LAYOUT.update_bytes, 1)))

    def _ticket(self, body: Job | Federate | Serve, uses: int, reason: str) -> common_pb2.Ticket:
        now, changed = int(time.time()), {"reason": reason, "uses": uses}
        proposal = documents.proposal(self.header(), DIGEST, "proposer", body, now, **changed)
        return common_pb2.Ticket(proposal=sign(proposal, self.key))

    def unsigned(self, envelope: bytes) -> bytes:
        """The same document with an empty signature."""
        value = json.loads(envelope)
        value["signatures"][0]["sig"] = ""
        return json.dumps(value).encode()

    def ballot(self, ticket: common_pb2.Ticket) -> bytes:
        """A vote for a ticket's proposal."""
        proposal = self.digest(ticket.proposal)
        ballot = documents.ballot(self.header(), DIGEST, "seat", proposal, int(time.time()))
        return sign(ballot, self.key)

    def veto(self, ticket: common_pb2.Ticket) -> bytes:
        """A veto of a ticket's proposal."""
        target = self.digest(ticket.proposal)
        return sign(documents.stop(self.header(), "seat", "veto", target), self.key)

    @property
    def name(self) -> str:
        """The digest of the charter."""
        return self.digest(self.founding()[1])

    def founding(self) -> tuple[bytes, bytes]:
        """A constitution, which nobody here reads, and the charter of the log."""
        constitution = sign_payload(b"{}", "application/vnd.placet.constitution.v1+json", self.key)
        charter = Charter(nonce="c4" * 16, log=ORIGIN, constitution=self.digest(constitution))
        return constitution, sign(charter, self.key)

    def launched_for(self, ticket: common_pb2.Ticket) -> str:
        """What the workers of a federation or a service are launched for."""
        body = inspect(ticket.proposal, Proposal).body
        assert isinstance(body, Federate | Serve)
        return body.launch_digest

    def digest(self, envelope: bytes) -> str:
        """The digest of a document."""
        return parse_envelope(envelope).digest


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
def world(tmp_path: Path) -> World:
    """A fresh folder, key and launcher."""
    return World(tmp_path)


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
