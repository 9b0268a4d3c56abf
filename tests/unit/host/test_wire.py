# SPDX-License-Identifier: Apache-2.0
"""What every call passes first, and how refusals leave."""

import logging
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import (  # type: ignore[import-untyped]
    reflection_pb2,
    reflection_pb2_grpc,
)
from hypothesis import given
from hypothesis import strategies as st

from placet.attestation import Expected, Policy, believe
from placet.host.calls.bounds import MAX_BYTES
from placet.host.calls.refusals import code_of, status_of
from placet.host.logs import Logfmt
from placet.proto.refusals import INTERNAL_TEXT, public_text
from placet.proto.v1 import common_pb2, governance_pb2, jobs_pb2, keys_pb2, log_pb2, runs_pb2


def test_every_reason_has_a_code_and_a_text() -> None:
    assert all(code_of(reason) is not grpc.StatusCode.OK for reason in common_pb2.Reason.values())
    assert all(status_of(common_pb2.Refusal(reason=r)).message for r in common_pb2.Reason.values())


def test_a_reason_of_a_later_version_is_internal() -> None:
    later = common_pb2.Refusal.FromString(b"\x08\xff\x7f\x12\x04text")
    assert code_of(later.reason) is grpc.StatusCode.INTERNAL
    assert status_of(later).message == INTERNAL_TEXT


@given(
    message=st.text(max_size=3000),
    details=st.dictionaries(
        st.sampled_from(["claim", "expected", "actual", "rule", "remedy"]), st.text(max_size=3000)
    ),
)
def test_a_status_fits_into_the_trailers(message: str, details: dict[str, str]) -> None:
    refusal = common_pb2.Refusal(
        reason=common_pb2.REASON_RULE_NOT_MET, message=message, details=details
    )
    status = status_of(refusal)
    assert status.message in (message, public_text(refusal.reason)) or len(status.message) > 100
    assert status.ByteSize() < 5000


@pytest.mark.parametrize("spoken", [(), (("placet-wire", "2"),), (("placet-wire", "1"),) * 2])
def test_another_version_of_the_wire_is_refused(
    world: Any, run: Any, refused: Any, spoken: Any
) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            request = log_pb2.GetCheckpointRequest()
            details = await refused(
                client.log.GetCheckpoint(request, metadata=spoken), "WIRE_VERSION"
            )
            assert details["expected"] == "1"
            entries = client.log.GetEntries(log_pb2.GetEntriesRequest(), metadata=spoken)
            await refused(entries, "WIRE_VERSION")
            health = await client.health.Check(health_pb2.HealthCheckRequest(), metadata=spoken)
            assert health.status == health_pb2.HealthCheckResponse.SERVING

    run(body())


def test_a_message_above_its_bound_is_refused(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            get = runs_pb2.GetRunRequest(id="x" * MAX_BYTES["placet.v1.GetRunRequest"])
            details = await refused(
                client.runs.Get(get, metadata=world.metadata), "MESSAGE_TOO_LARGE"
            )
            assert details["claim"] == "GetRunRequest"
            chunk = client.put(b"", "ab" * 16, owner="x" * (MAX_BYTES["placet.v1.PutRequest"]))
            await refused(chunk, "MESSAGE_TOO_LARGE")
            # Above what gRPC itself takes, gRPC refuses.
            huge = governance_pb2.DocumentRequest(envelope=bytes(9 * 2**20))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.governance.Propose(huge, metadata=world.metadata)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    run(body())


def test_a_fault_shows_nothing_of_itself(
    world: Any, run: Any, refused: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with world.host() as (host, client):
            host._store._readers.shutdown()  # every read now raises RuntimeError
            digest = "sha256:" + "0" * 64
            request = log_pb2.GetDocumentRequest(digest=digest)
            call = client.log.GetDocument(request, metadata=world.metadata)
            assert await refused(call, "INTERNAL") == {}

    run(body())
    faults = [record.getMessage() for record in caplog.records if "fault" in record.getMessage()]
    assert len(faults) == 1
    assert "kind=RuntimeError" in faults[0]
    assert "shutdown" not in faults[0].partition(" at=")[0]


def test_what_the_authority_says_passes_unchanged(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.ticket("release")
            job = await client.run(ticket)
            request = jobs_pb2.ResultRequest(id=job.id, recipient="bob")
            call = client.jobs.Result(request, metadata=world.metadata)
            details = await refused(call, "RECIPIENT_UNKNOWN")
            assert details == {"claim": "recipient", "expected": "engineer"}
            council, nonce = world.council, b"n" * 32
            asked = keys_pb2.EvidenceRequest(nonce=nonce, constitution=council.digest)
            said = await client.keys.GetEvidence(asked, metadata=world.metadata)
            expected = Expected("authority", council.log, council.name, nonce, said.checkpoint)
            policy = Policy.from_dict(council.evidence.authority)
            believe(said.identity, said.evidence, expected, policy, now=int(time.time()))

    run(body())


def test_a_log_line_is_one_line_without_its_exception() -> None:
    error = ValueError("secret")
    record = logging.LogRecord(
        "placet.x", logging.ERROR, "f", 1, "fault kind=%s", ("A\nB",), (ValueError, error, None)
    )
    line = Logfmt().format(record)
    assert "\n" not in line
    assert line.endswith("level=error at=placet.x event=fault kind=A B")


def test_the_folder_has_what_it_should_and_keys_are_private(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            await client.run(world.ticket("release"))

    run(body())
    state: Path = world.folder / "state"
    assert {path.name for path in state.iterdir()} >= {"placet.db", "blobs", "logs", "tmp", "tls"}
    assert not list((state / "tmp").iterdir())
    assert (state / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (state / "logs" / "host.log").read_text().startswith("ts=")


def test_reflection_answers(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
            call = stub.ServerReflectionInfo()
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            answer = await call.read()
            await call.done_writing()
            names = {service.name for service in answer.list_services_response.service}
            assert {"placet.v1.Log", "grpc.health.v1.Health"} <= names

    run(body())


def test_beyond_its_memory_a_host_takes_stops_alone(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host():
            pass  # founds the council, which a host without memory would not
        async with world.host(max_memory=1) as (_, client):
            listing = client.runs.List(runs_pb2.ListRunsRequest(), metadata=world.metadata)
            details = await refused(listing, "QUEUE_FULL")
            assert details["claim"] == "memory"
            stop = governance_pb2.DocumentRequest(envelope=b"no envelope")
            await refused(
                client.governance.Stop(stop, metadata=world.metadata), "DOCUMENT_MALFORMED"
            )

    run(body())
