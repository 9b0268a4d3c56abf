# SPDX-License-Identifier: Apache-2.0
"""A host in memory, which stores and relays as a host does, and can be told to cheat."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from placet.host.calls.certificates import Certificates
from placet.proto.frames import Link
from placet.proto.limits import GRPC_OPTIONS, TOKEN_KEY, WIRE_VERSION
from placet.proto.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    common_pb2,
    enclaves_pb2,
    enclaves_pb2_grpc,
    inference_pb2,
    log_pb2,
    log_pb2_grpc,
)
from placet.refusals import DocumentNotFound


class MemoryHost(
    enclaves_pb2_grpc.EnclavesServicer, log_pb2_grpc.LogServicer, blobs_pb2_grpc.BlobsServicer
):
    """Relays and stores like a host. Tests change what it has stored, or replace `on_commit`."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.documents: dict[str, bytes] = {}
        self.secrets: dict[str, bytes] = {}
        self.checkpoint = b""
        self.commits: list[enclaves_pb2.Commit] = []
        self.commit_deadline_ms = 0  # until when the authority waits for the last one
        self.links: dict[str, Link] = {}
        self.stopped: list[tuple[str, enclaves_pb2.Stopped]] = []
        self.progress: dict[str, list[int]] = {}  # by lease
        self.ended: dict[str, common_pb2.Refusal] = {}  # by lease
        self.offers: dict[str, list[bytes]] = {}  # by lease
        self.answers: dict[int, inference_pb2.Answer] = {}  # by id
        self.blobs: dict[str, bytes] = {}
        self.on_get: Callable[[Any, Any], Awaitable[None]] | None = None
        self.address = ""
        self.certificate = b""

    async def on_commit(self, commit: enclaves_pb2.Commit) -> None:
        """What happens before a step is stored."""

    async def Attach(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        name, token = "", dict(context.invocation_metadata())[TOKEN_KEY]

        async def handle(frame: enclaves_pb2.Frame) -> Any:
            nonlocal name
            match frame.kind:
                case enclaves_pb2.KIND_HELLO:
                    hello = enclaves_pb2.Hello.FromString(frame.payload)
                    name = "authority" if hello.role == "authority" else token
                    self.links[name] = link
                    return enclaves_pb2.Welcome(enclave_id=name, wire_version=WIRE_VERSION)
                case enclaves_pb2.KIND_COMMIT:
                    self.commit_deadline_ms = frame.deadline_ms
                    return await self._commit(enclaves_pb2.Commit.FromString(frame.payload))
                case enclaves_pb2.KIND_FETCH_SECRET:
                    secret = enclaves_pb2.FetchSecret.FromString(frame.payload).name
                    if secret not in self.secrets:
                        raise DocumentNotFound("No.")
                    return enclaves_pb2.Secret(name=secret, wrapped=self.secrets[secret])
                case enclaves_pb2.KIND_STOPPED:
                    message = enclaves_pb2.Stopped.FromString(frame.payload)
                    self.stopped.append((frame.peer, message))
                    return None
                case enclaves_pb2.KIND_PROGRESS:
                    progress = enclaves_pb2.Progress.FromString(frame.payload)
                    self.progress.setdefault(progress.lease, []).append(progress.percent)
                    return None
                case enclaves_pb2.KIND_ENDED:
                    ended = enclaves_pb2.Ended.FromString(frame.payload)
                    self.ended[ended.lease] = ended.refusal
                    return None
                case enclaves_pb2.KIND_OFFER:
                    offered = enclaves_pb2.Offered.FromString(frame.payload)
                    self.offers.setdefault(offered.lease, []).append(offered.offer)
                    return None
                case enclaves_pb2.KIND_ANSWERS:
                    for answer in inference_pb2.Answers.FromString(frame.payload).answers:
                        assert answer.id not in self.answers
                        self.answers[answer.id] = answer
                    return None
                case _:
                    return await self.ask(frame.kind, frame.payload, peer=name)

        link = Link(handle)

        async def read() -> None:
            async for message in request_iterator:
                link.receive(message)
            link.close()

        reader = asyncio.create_task(read())
        try:
            async for message in link.outgoing():
                yield message
        finally:
            link.close()
            reader.cancel()

    async def _commit(self, commit: enclaves_pb2.Commit) -> bytes:
        await self.on_commit(commit)
        assert not commit.entries or commit.first_index == len(self.entries)
        self.commits.append(commit)
        self.entries.extend(commit.entries)
        self.documents |= {d.digest: d.document for d in commit.documents}
        self.secrets |= {s.name: s.wrapped for s in commit.secrets}
        self.checkpoint = commit.checkpoint or self.checkpoint
        return b""

    async def ask(self, kind: Any, message: Any, *, peer: str = "") -> bytes:
        """Ask the authority, in whoever's name."""
        return await self.links["authority"].request(kind, message, peer=peer, timeout=10)

    async def GetCheckpoint(self, request: Any, context: Any) -> log_pb2.CheckpointResponse:
        return log_pb2.CheckpointResponse(note=self.checkpoint)

    async def GetEntries(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield log_pb2.EntriesResponse(entries=self.entries[request.start : request.end or None])

    async def GetDocument(self, request: Any, context: Any) -> log_pb2.DocumentResponse:
        if request.digest not in self.documents:
            await context.abort(grpc.StatusCode.NOT_FOUND, "")
        return log_pb2.DocumentResponse(document=self.documents[request.digest])

    async def Get(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if self.on_get is not None:
            await self.on_get(request, context)
        if request.id not in self.blobs:
            await context.abort(grpc.StatusCode.NOT_FOUND, "")
        data = self.blobs[request.id]
        for start in range(0, len(data), 1 << 16):
            yield blobs_pb2.BlobChunk(data=data[start : start + (1 << 16)])

    async def _unused(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")

    GetInclusionProof = GetConsistencyProof = GetTile = Stat = Delete = _unused

    async def Put(self, request_iterator: Any, context: Any) -> Any:
        header, data = None, b""
        async for request in request_iterator:
            header = header or request.header
            data += request.chunk
        assert header is not None and header.length == len(data)
        self.blobs[header.id] = data
        return blobs_pb2.BlobInfo()


@asynccontextmanager
async def memory_host(folder: Path) -> AsyncGenerator[MemoryHost, None]:
    host = MemoryHost()
    certificate = Certificates(folder / "tls").own
    server = grpc.aio.server(options=GRPC_OPTIONS)
    enclaves_pb2_grpc.add_EnclavesServicer_to_server(host, server)
    log_pb2_grpc.add_LogServicer_to_server(host, server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(host, server)
    credentials = grpc.ssl_server_credentials([(certificate.key_pem, certificate.certificate_pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    host.address, host.certificate = f"127.0.0.1:{port}", certificate.certificate_pem
    await server.start()
    try:
        yield host
    finally:
        await server.stop(0)
