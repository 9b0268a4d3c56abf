# SPDX-License-Identifier: Apache-2.0
"""What strangers do by calls of gRPC."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, cast

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import (  # type: ignore[import-untyped]
    reflection_pb2,
    reflection_pb2_grpc,
)

from placet.client import Keys
from placet.governance.documents import Header, Seen, Stop
from placet.governance.documents.login import Login
from placet.governance.envelope import sign
from placet.proto.v1 import (
    access_pb2,
    access_pb2_grpc,
    blobs_pb2,
    blobs_pb2_grpc,
    common_pb2,
    enclaves_pb2_grpc,
    governance_pb2,
    governance_pb2_grpc,
    keys_pb2,
    keys_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
)
from tests.abuse.there import METADATA, Abuse, There

LONG = 3600.0
_NOBODY = Keys.generate("ada")  # says that it is ada's, and is not
_BIG = bytes(7_900_000)
Channel = grpc.aio.Channel
# Their stubs are typed for the channels that are not asyncio's.
_health, _reflection = cast("Any", health_pb2_grpc), cast("Any", reflection_pb2_grpc)


async def silent_put(_: There, channel: Channel) -> None:
    """A put that announces ten GiB, and sends none of it."""
    call: Any = blobs_pb2_grpc.BlobsStub(channel).Put(metadata=METADATA)
    header = blobs_pb2.PutHeader(id=os.urandom(16).hex(), length=10 << 30, sha256=bytes(32))
    await call.write(blobs_pb2.PutRequest(header=header))
    await asyncio.wait_for(call, LONG)


async def silent_attach(_: There, channel: Channel) -> None:
    """What an enclave begins with, without a token."""
    call: Any = enclaves_pb2_grpc.EnclavesStub(channel).Attach(metadata=METADATA)
    await asyncio.wait_for(call.read(), LONG)
    await call


async def watch(_: There, channel: Channel) -> None:
    """Health, watched by somebody who never leaves."""
    stub: Any = _health.HealthStub(channel)
    async for _ in stub.Watch(health_pb2.HealthCheckRequest()):
        pass


async def silent_reflection(_: There, channel: Channel) -> None:
    """A stream of reflection without a question."""
    stub: Any = _reflection.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo()
    await asyncio.wait_for(call.read(), LONG)
    await call


async def reflection(_: There, channel: Channel) -> None:
    """A stream of reflection with questions without end."""
    stub: Any = _reflection.ServerReflectionStub(channel)

    async def questions() -> AsyncIterator[Any]:
        while True:
            yield reflection_pb2.ServerReflectionRequest(file_containing_symbol="placet.v1.Runs")

    async for _ in stub.ServerReflectionInfo(questions()):
        pass


async def evidence(_: There, channel: Channel) -> None:
    """Evidence for a fresh nonce: what costs the authority most."""
    stub: Any = keys_pb2_grpc.KeysStub(channel)
    await stub.GetEvidence(keys_pb2.EvidenceRequest(nonce=os.urandom(32)), metadata=METADATA)


async def cancel(_: There, channel: Channel) -> None:
    """A hundred such questions, each taken back before its answer."""
    stub: Any = keys_pb2_grpc.KeysStub(channel)
    asked = [
        stub.GetEvidence(keys_pb2.EvidenceRequest(nonce=os.urandom(32)), metadata=METADATA)
        for _ in range(100)
    ]
    await asyncio.sleep(0.01)
    for call in asked:
        call.cancel()


async def big(_: There, channel: Channel) -> None:
    """A message of 7.9 MB, where the largest that there is has 2.3."""
    ticket = common_pb2.Ticket(proposal=_BIG)
    request = runs_pb2.StartRequest(ticket=ticket, request_id=bytes(16))
    stub: Any = runs_pb2_grpc.RunsStub(channel)
    await stub.Start(request, metadata=METADATA, timeout=30)


async def unread_entries(_: There, channel: Channel) -> None:
    """The whole log, asked for and not read."""
    stub: Any = log_pb2_grpc.LogStub(channel)
    call = stub.GetEntries(log_pb2.GetEntriesRequest(), metadata=METADATA)
    await asyncio.wait_for(call.code(), LONG)
    await call.read()


async def unread_get(_: There, channel: Channel) -> None:
    """A blob, asked for and not read."""
    stub: Any = blobs_pb2_grpc.BlobsStub(channel)
    call = stub.Get(blobs_pb2.GetBlobRequest(id="a" * 32), metadata=METADATA)
    await asyncio.wait_for(call.code(), LONG)
    await call.read()


async def metadata(_: There, channel: Channel) -> None:
    """A megabyte of metadata, and then two thousand keys."""
    stub: Any = log_pb2_grpc.LogStub(channel)
    many = tuple((f"k{number}", "v") for number in range(2000))
    request = log_pb2.GetCheckpointRequest()
    with suppress(grpc.aio.AioRpcError):
        large = (*METADATA, ("x", "y" * 1_000_000))
        await stub.GetCheckpoint(request, metadata=large, timeout=10)
    await stub.GetCheckpoint(request, metadata=(*METADATA, *many), timeout=10)


async def login(there: There, channel: Channel) -> None:
    """A login that somebody else signed."""
    stub: Any = access_pb2_grpc.AccessStub(channel)
    asked = await stub.Challenge(access_pb2.ChallengeRequest(), metadata=METADATA)
    said = Login(there.charter, _NOBODY.id, there.pin, asked.challenge)
    request = access_pb2.LoginRequest(envelope=sign(said, _NOBODY.signing))
    await stub.Login(request, metadata=METADATA)


async def stop(there: There, channel: Channel) -> None:
    """A stop of nobody, and then no stop at all."""
    header = Header(os.urandom(16).hex(), there.charter, Seen(1, "sha256:" + "00" * 32))
    digest = "sha256:" + os.urandom(32).hex()
    signed = sign(Stop(header, _NOBODY.id, "pause", digest, ""), _NOBODY.signing)
    stub: Any = governance_pb2_grpc.GovernanceStub(channel)
    with suppress(grpc.aio.AioRpcError):
        await stub.Stop(governance_pb2.DocumentRequest(envelope=signed), metadata=METADATA)
    garbage = os.urandom(2000)
    await stub.Stop(governance_pb2.DocumentRequest(envelope=garbage), metadata=METADATA)


CALLS: Final[Mapping[str, Abuse]] = MappingProxyType(
    {
        "silent puts": Abuse(silent_put, 16),
        "silent attaches": Abuse(silent_attach, 24),
        "watches": Abuse(watch, 300, 1.0),
        "silent reflection": Abuse(silent_reflection, 300, 1.0),
        "reflection": Abuse(reflection, 8),
        "evidence": Abuse(evidence, 32),
        "cancels": Abuse(cancel, 1, 0.2),
        "big messages": Abuse(big, 50, 2.0),
        "unread entries": Abuse(unread_entries, 100, 1.0),
        "unread gets": Abuse(unread_get, 32, 1.0),
        "metadata": Abuse(metadata, 2, 0.2),
        "logins": Abuse(login, 16),
        "stops": Abuse(stop, 16),
    }
)
