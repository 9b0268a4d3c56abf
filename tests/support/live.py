# SPDX-License-Identifier: Apache-2.0
"""A founded council on a real host with real enclave processes."""

import asyncio
import concurrent.futures
import hashlib
import io
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
import grpc.aio

from placet.attestation import Identity
from placet.client.connection.channel import METADATA
from placet.governance import contexts
from placet.governance.documents import (
    Receipt,
)
from placet.governance.envelope import inspect, parse_envelope
from placet.host import Host, HostConfig
from placet.proto.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    common_pb2,
    governance_pb2,
    governance_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    keys_pb2,
    keys_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
)
from placet.sealing import (
    ObjectDescriptor,
    StreamKey,
    open_envelope,
    open_stream,
    unpad_into,
)
from tests.support.council import ORIGIN, Council, bundle_of, seal, sha256
from tests.support.login import Visitor

T = TypeVar("T")


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.start(work).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Outcome:
    """How a job ended, and what was seen on the way."""

    state: str
    reason: str
    message: str
    states: list[str]
    progress: list[tuple[float, int]]
    job: str = ""
    results: dict[str, bytes] = field(default_factory=lambda: dict[str, bytes]())


class Live:
    """A founded council on a real host."""

    def __init__(self, host: Host, council: Council, folder: Path) -> None:
        self.host, self.council, self.folder = host, council, folder
        self.visitor = Visitor(host.address, host.certificate_pem)
        self.channel = self.visitor.channel
        self.jobs: Any = jobs_pb2_grpc.JobsStub(self.channel)
        self.runs: Any = runs_pb2_grpc.RunsStub(self.channel)
        self.governance: Any = governance_pb2_grpc.GovernanceStub(self.channel)
        self.keys: Any = keys_pb2_grpc.KeysStub(self.channel)
        self.blobs: Any = blobs_pb2_grpc.BlobsStub(self.channel)
        self.log: Any = log_pb2_grpc.LogStub(self.channel)
        self.authority = ""

    async def found(self) -> None:
        request = keys_pb2.EvidenceRequest(nonce=os.urandom(32), constitution=self.council.digest)
        async with asyncio.timeout(20):
            while True:
                try:
                    evidence = await self.keys.GetEvidence(request, metadata=METADATA)
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.02)
        identity = Identity.from_bytes(evidence.identity)
        self.council.log, self.authority = identity.log, identity.hpke
        await self.governance.Found(self.council.founding(), metadata=METADATA)
        await self.visitor.log_in(
            self.council.name, "engineer", self.host.pin, self.council.submitter
        )

    async def put(self, blob: str, data: bytes) -> None:
        async def requests() -> AsyncIterator[blobs_pb2.PutRequest]:
            digest = hashlib.sha256(data).digest()
            header = blobs_pb2.PutHeader(id=blob, length=len(data), sha256=digest)
            yield blobs_pb2.PutRequest(header=header)
            for start in range(0, len(data), 1 << 20):
                yield blobs_pb2.PutRequest(chunk=data[start : start + (1 << 20)])

        await self.blobs.Put(requests(), metadata=METADATA)

    async def get(self, blob: str) -> bytes:
        request = blobs_pb2.GetBlobRequest(id=blob)
        return b"".join([c.data async for c in self.blobs.Get(request, metadata=METADATA)])

    async def provision(self, plain: bytes, **bounds: Any) -> tuple[ObjectDescriptor, str]:
        """Seal, store and grant; returns the descriptor and the grant's digest."""
        sealed = seal(plain)
        await self.put(sealed.descriptor.id, sealed.data)
        request = self.council.provision(sealed, self.authority, **bounds)
        await self.keys.Provision(request, metadata=METADATA)
        return sealed.descriptor, parse_envelope(request.grant).digest

    async def program(self, files: dict[str, str | bytes] | str) -> str:
        data = bundle_of({"main.py": files} if isinstance(files, str) else files)
        digest = sha256(data)
        await self.put(digest[7:39], data)
        return digest

    async def submit(self, ticket: common_pb2.Ticket) -> str:
        request = runs_pb2.StartRequest(ticket=ticket, request_id=os.urandom(16))
        return cast("str", (await self.runs.Start(request, metadata=METADATA)).id)

    async def watch(
        self, job: str, when: Callable[[str], Awaitable[None]] | None = None
    ) -> Outcome:
        """Follow a job to its end; `when` is awaited with every new state."""
        outcome = Outcome("", "", "", [], [], job)
        async for seen in self.runs.Watch(runs_pb2.WatchRequest(id=job), metadata=METADATA):
            outcome.state = runs_pb2.RunState.Name(seen.state).removeprefix("RUN_STATE_")
            if outcome.states[-1:] != [outcome.state]:
                outcome.states.append(outcome.state)
                if when is not None:
                    await when(outcome.state)
            outcome.progress.append((time.monotonic(), seen.progress))
            outcome.reason = common_pb2.Reason.Name(seen.refusal.reason).removeprefix("REASON_")
            outcome.message = seen.refusal.message
        return outcome

    async def result(self, outcome: Outcome) -> Outcome:
        """With the released outputs opened, if there was a release."""
        if outcome.state == "FINISHED":
            request = jobs_pb2.ResultRequest(id=outcome.job, recipient="engineer")
            result = await self.jobs.Result(request, metadata=METADATA)
            info = contexts.result_info(parse_envelope(result.receipt).digest, "engineer")
            key = StreamKey(open_envelope(result.key_envelope, self.council.recipient, info))
            for name, descriptor in inspect(result.receipt, Receipt).predicate.outputs.items():
                source, sink = io.BytesIO(await self.get(descriptor.id)), io.BytesIO()
                with open_stream(source, key, descriptor, leaf_hashes=None) as reader:
                    unpad_into(reader, sink, descriptor.length)
                outcome.results[name] = sink.getvalue()
        return outcome

    async def run(
        self,
        program: dict[str, str | bytes] | str,
        inputs: dict[str, ObjectDescriptor],
        when: Callable[[str], Awaitable[None]] | None = None,
        **terms: Any,
    ) -> Outcome:
        """Put a program, submit a job for it, follow it to its end, open its results."""
        ticket = self.council.ticket(await self.program(program), inputs, **terms)
        return await self.result(await self.watch(await self.submit(ticket), when))

    async def stop(self, by: str, action: str, target: str) -> None:
        envelope = self.council.stop(by, action, target)
        request = governance_pb2.DocumentRequest(envelope=envelope)
        await self.governance.Stop(request, metadata=METADATA)

    async def entries(self) -> list[bytes]:
        request = log_pb2.GetEntriesRequest()
        return [e async for b in self.log.GetEntries(request, metadata=METADATA) for e in b.entries]

    def logs(self) -> str:
        return "".join(path.read_text() for path in (self.folder / "host" / "logs").glob("*"))


@asynccontextmanager
async def live_host(folder: Path, council: Council, **settings: Any) -> AsyncGenerator[Live, None]:
    settings = {"spares": 0, "drain_seconds": 0.1, **settings}
    config = HostConfig(state=folder / "host", cpu=folder / "cpu", origin=ORIGIN, **settings)
    async with Host(config) as host:
        live = Live(host, council, folder)
        try:
            await live.found()
            yield live
        finally:
            await live.channel.close()


class Running:
    """A live host and the loop it runs in."""

    def __init__(self, loop: Loop, live: Live) -> None:
        self.loop, self.live = loop, live

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)
