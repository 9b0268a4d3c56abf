# SPDX-License-Identifier: Apache-2.0
"""How calls fail: with a reason, without an answer, with another certificate; and nothing of gRPC's
leaks."""

import socket
from typing import Any

import grpc
import pytest

from placet.client import (
    AnswerMalformed,
    CallTimedOut,
    Client,
    HostPinMismatch,
    HostUnreachable,
)
from placet.client.connection.calls import error_of
from placet.refusals import Refusal, Refused
from tests.support.inside.relay import Call


def test_a_refusal_keeps_reason_message_and_details(founded: Client) -> None:
    with pytest.raises(Refused) as refused:
        founded.log.document("sha256:" + "00" * 32)
    error = refused.value
    assert error.reason == "DOCUMENT_NOT_FOUND"
    assert str(error) == "No document has this digest."
    assert error.details["claim"] == "digest"
    assert isinstance(error, Refusal)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, HostUnreachable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, CallTimedOut),
        (grpc.StatusCode.INTERNAL, AnswerMalformed),
        (grpc.StatusCode.UNIMPLEMENTED, AnswerMalformed),
        (grpc.StatusCode.PERMISSION_DENIED, AnswerMalformed),
    ],
)
def test_every_status_becomes_one_of_ours(code: grpc.StatusCode, expected: type) -> None:
    empty = grpc.aio.Metadata()
    error = error_of(grpc.aio.AioRpcError(code, empty, empty, details="secret words"))
    assert type(error) is expected
    assert error.reason
    assert "secret words" not in str(error)


def test_a_stream_that_ended_while_it_was_sent_is_a_broken_connection() -> None:
    empty = grpc.aio.Metadata()
    details = "Internal error from Core"  # gRPC's words, which hide the host's status
    failed = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, empty, empty, details=details)
    assert isinstance(error_of(failed), HostUnreachable)


def test_status_details_that_are_no_status(client: Client) -> None:
    trailer = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    failed = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), trailer)
    assert isinstance(error_of(failed), AnswerMalformed)


def test_another_certificate_than_the_pinned_one(served: tuple[str, str]) -> None:
    address, pin = served
    with pytest.raises(HostPinMismatch) as refused:
        Client.connect(address, "sha256:" + "00" * 32)
    assert refused.value.details["actual"] == pin


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(HostUnreachable, match="Check the address"):
            Client.connect(address, "sha256:" + "00" * 32)


def test_an_answer_that_is_an_accident(client: Client, host: Any) -> None:
    async def broken(call: Call) -> Any:
        raise RuntimeError("a stack trace with secret words")

    host.relay.lie("Log.GetDocument", broken)
    with pytest.raises((AnswerMalformed, Refused)) as failed:
        client.log.document("sha256:" + "00" * 32)
    assert "secret words" not in str(failed.value)


def test_a_closed_client_says_so(served: tuple[str, str]) -> None:
    client = Client.connect(*served)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.runs.list()
