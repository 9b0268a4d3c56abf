# SPDX-License-Identifier: Apache-2.0
"""The quoting service: fills what the enclave may not choose, and survives what the enclave
sends."""

import io
import os
import socket
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.attestation import Attester, SealingKey, SimulatedAttester, verify_evidence
from placet.host.simulation.service import SimulatedQuotingService
from placet.refusals import AttesterUnavailable

MEASURED = "aa" * 32
DAY = 24 * 3600


def make_service(secret: bytes = b"\x01" * 32, measured: str = MEASURED) -> SimulatedQuotingService:
    def measurer(role: str) -> str:
        return measured

    return SimulatedQuotingService(secret, clock=lambda: 1_800_000_000, measurer=measurer)


SERVICE = make_service()


def answers(service: SimulatedQuotingService, request: bytes, launched_for: str = "") -> bytes:
    """Return what the service writes to an enclave that sends these bytes and goes."""
    written = io.BytesIO()
    service.serve("worker", launched_for, io.BytesIO(request), written)
    return written.getvalue()


def sealing_keys(
    service: SimulatedQuotingService, launched_for: str = ""
) -> tuple[SealingKey, ...]:
    answer = answers(service, b"\0\0\0\1\2", launched_for)
    return SimulatedAttester(io.BytesIO(answer), io.BytesIO()).sealing_keys()


def sealing_key(service: SimulatedQuotingService, launched_for: str = "") -> bytes:
    (found,) = sealing_keys(service, launched_for)
    return found.key


def test_service_fills_the_rest(
    launch: Callable[[str, str], Attester],
    measurements: dict[str, str],
    launched_for: str,
    now: int,
) -> None:
    for role, bound in (("authority", ""), ("worker", launched_for)):
        for report_data in (b"\x01" * 64, b"\x02" * 64):
            evidence = launch(role, bound).evidence(report_data)
            claims = verify_evidence(evidence, now=now)
            assert claims.measurement == measurements[role]
            assert claims.launched_for == bound
            assert claims.report_data == report_data


def test_over_a_socket(now: int) -> None:
    ours, theirs = (end.detach() for end in socket.socketpair())
    service = make_service()
    with os.fdopen(theirs, "rb+", buffering=0) as stream:
        thread = threading.Thread(target=service.serve, args=("worker", "", stream, stream))
        with os.fdopen(ours, "rb+", buffering=0) as enclave:
            thread.start()
            attester = SimulatedAttester(enclave, enclave)
            assert verify_evidence(attester.evidence(bytes(64)), now=now).measurement == MEASURED
            assert [len(found.key) for found in attester.sealing_keys()] == [32]
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_many_threads_of_one_enclave(launch: Callable[[str, str], Attester], now: int) -> None:
    attester = launch("worker", "")
    found: dict[int, bytes] = {}

    def ask(number: int) -> None:
        evidence = attester.evidence(bytes([number]) * 64)
        found[number] = verify_evidence(evidence, now=now).report_data

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert found == {number: bytes([number]) * 64 for number in range(8)}


def test_sealing_keys() -> None:
    key = sealing_key(make_service())
    assert key == sealing_key(make_service())  # the machine was restarted
    others = [
        sealing_key(make_service(secret=b"\x02" * 32)),
        sealing_key(make_service(measured="bb" * 32)),
        sealing_key(make_service(), launched_for="sha256:" + "cd" * 32),
    ]
    assert len({key, *others}) == 4


def test_an_update_is_another_key_and_the_earlier_one_may_be_given_too() -> None:
    def machine(*tcbs: int) -> tuple[SealingKey, ...]:
        return sealing_keys(
            SimulatedQuotingService(b"\x01" * 32, measurer=lambda _: MEASURED, tcbs=tcbs)
        )

    (before,), (after,) = machine(1), machine(2)
    assert before.key != after.key
    assert machine(2, 1) == (after, before)
    assert (before.measurement, before.tcb, after.tcb) == (MEASURED, "01", "02")


def test_platform_is_the_machine(now: int) -> None:
    def platform(secret: bytes) -> str:
        answer = answers(make_service(secret), b"\0\0\0\x41\1" + bytes(64))
        attester = SimulatedAttester(io.BytesIO(answer), io.BytesIO())
        return verify_evidence(attester.evidence(bytes(64)), now=now).platform

    assert platform(b"\x01" * 32) == platform(b"\x01" * 32) != platform(b"\x02" * 32)


def test_collateral_is_renewed() -> None:
    times = [1_800_000_000.0]
    service = SimulatedQuotingService(
        bytes(32), clock=lambda: times[-1], measurer=lambda role: MEASURED
    )

    def issued() -> int:
        answer = answers(service, b"\0\0\0\x41\1" + bytes(64))
        evidence = SimulatedAttester(io.BytesIO(answer), io.BytesIO()).evidence(bytes(64))
        return verify_evidence(evidence, now=int(times[-1])).collateral_issued

    first = issued()
    times.append(times[0] + DAY - 1)
    assert issued() == first
    times.append(times[0] + 40 * DAY)
    assert issued() == first + 40 * DAY
    times.append(times[0])  # the clock was set back
    assert issued() == first


@pytest.mark.parametrize(
    "request_bytes",
    [b"\0\0\0\1\1", b"\0\0\0\x40\1" + bytes(63), b"\0\0\0\2\2x", b"\0\0\0\1\3", b"\0\0\0\1\0"],
)
def test_bad_request_is_refused_and_the_next_served(request_bytes: bytes) -> None:
    answer = answers(make_service(), request_bytes + b"\0\0\0\1\2")
    assert answer[:5] == b"\0\0\0\1\1"
    assert answer[5:10] == b"\0\0\0\x42\0"


@pytest.mark.parametrize(
    "request_bytes", [b"", b"\0", b"\0\0\0\0", b"\0\0\0\x42", b"\xff\xff\xff\xff", b"\0\0\0\x41\1x"]
)
def test_broken_framing_ends_the_service(request_bytes: bytes) -> None:
    assert answers(make_service(), request_bytes) == b""


@given(st.binary(max_size=300))
def test_anything_from_the_enclave(request_bytes: bytes) -> None:
    answers(SERVICE, request_bytes)


def test_enclave_goes_away() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as writer:
        make_service().serve("worker", "", io.BytesIO(b"\0\0\0\1\2"), writer)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\0",
        b"\0\0\0\5\0ab",
        b"\0\0\0\1\1",
        b"\0\0\0\1\0",
        b"\0\0\0\3\0{}",
        b"\xff\xff\xff\xff\0",
    ],
)
def test_attester_refuses_nonsense(answer: bytes) -> None:
    with pytest.raises(AttesterUnavailable):
        SimulatedAttester(io.BytesIO(answer), io.BytesIO()).evidence(bytes(64))
    with pytest.raises(AttesterUnavailable):
        SimulatedAttester(io.BytesIO(answer), io.BytesIO()).sealing_keys()


def test_attester_without_a_service() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as writer, pytest.raises(AttesterUnavailable):
        SimulatedAttester(io.BytesIO(), writer).sealing_keys()


@pytest.mark.parametrize("size", [0, 63, 65])
def test_report_data_size(size: int) -> None:
    with pytest.raises(AttesterUnavailable):
        SimulatedAttester(io.BytesIO(), io.BytesIO()).evidence(bytes(size))


def test_launcher_mistakes() -> None:
    with pytest.raises(AttesterUnavailable):
        make_service(secret=b"short")
    with pytest.raises(AttesterUnavailable):
        answers(make_service(), b"", launched_for="sha256:short")
