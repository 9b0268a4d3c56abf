# SPDX-License-Identifier: Apache-2.0
"""A clock that jumps ahead for a moment ends nothing, lets nothing new begin, and keeps no stop."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from placet.enclave.authority import main
from placet.enclave.authority.clock import MAX_JUMP, Clock
from placet.enclave.worker.joining import Membership, join
from placet.governance.account import Times
from placet.governance.envelope import parse_envelope
from placet.governance.jobs import job_name
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import ClockJumped, Refused
from tests.support.council import seal

PROGRAM = "sha256:" + "ab" * 32
DAY = 86_400
START = 1_800_000_000
NONE = Times(0, 0)


class Hands:
    """Two clocks, moved by a test."""

    def __init__(self) -> None:
        self.now, self.passed = float(START), 50.0
        self.clock = Clock(lambda: self.now, lambda: self.passed)

    def go(self, seconds: float, jump: float = 0) -> None:
        self.passed += seconds
        self.now += seconds + jump

    def at(self, last: Times = NONE) -> int:
        times = self.clock.times(last)
        assert times == self.clock.believed(last)
        return times.at_most


def test_the_clock_is_taken_while_it_goes_with_the_time_that_passes() -> None:
    hands = Hands()
    hands.go(10 * DAY)  # nobody asked for ten days
    assert hands.at() == START + 10 * DAY
    for _ in range(3):  # corrections, each within the bound
        hands.go(1, MAX_JUMP - 1)
        assert hands.at() == int(hands.now)
    hands.go(5, -3600)
    assert hands.at(Times(START + 12 * DAY, START + 12 * DAY)) == START + 12 * DAY


def test_a_jump_is_refused_until_the_clock_is_back(caplog: pytest.LogCaptureFixture) -> None:
    hands = Hands()
    hands.go(5, 2 * DAY)
    for _ in range(2):
        with pytest.raises(ClockJumped) as refused:
            hands.clock.times(NONE)
        assert refused.value.details["actual"] == f"{2 * DAY} seconds"
        assert hands.clock.believed(NONE).at_most == START + 5
    hands.go(1, -2 * DAY)
    assert hands.at() == START + 6
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"clock-jumped ahead={2 * DAY}", "clock-well-again ahead=0"]


def test_asking_on_does_not_wear_the_bound_away() -> None:
    hands = Hands()
    hands.go(1, MAX_JUMP + 100)
    for _ in range(10):
        hands.go(1)
        with pytest.raises(ClockJumped):
            hands.clock.times(NONE)


async def joined(stage: Any, name: str) -> Membership:
    connection = await stage.connect(name)
    attester = stage.machine.attester("worker", PROGRAM)
    return await join(connection, attester, PROGRAM, int(time.time()))


async def lease(stage: Any, ticket: Any, member: Membership, job: str = "j1") -> str:
    name = job_name(parse_envelope(ticket.proposal).digest, job)
    worker = member.keys.identity.digest
    request = enclaves_pb2.LeaseRequest(ticket=ticket, worker=worker, job=name)
    reply = await stage.host.ask(enclaves_pb2.KIND_LEASE, request)
    return parse_envelope(enclaves_pb2.LeasePackage.FromString(reply).lease).digest


async def reason_of(work: Any) -> str:
    with pytest.raises(Refused) as refusal:
        await work
    return refusal.value.reason


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the authority's clock so many seconds ahead."""
    ahead, real = [0], time.time

    def clock(now: Callable[[], float]) -> Clock:
        return Clock(lambda: real() + ahead[0])

    monkeypatch.setattr(main, "Clock", clock)

    def set_ahead(seconds: int) -> None:
        ahead[0] = seconds

    return set_ahead


def test_for_one_second_all_clocks_are_two_days_ahead(
    scene: Any, jump: Callable[[int], None]
) -> None:
    async def story(stage: Any) -> None:
        sealed = seal(b"plain")
        await stage.provision(sealed)
        ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        first, second = await joined(stage, "w1"), await joined(stage, "w2")
        digest = await lease(stage, ticket, first)
        entries = len(stage.host.entries)
        jump(2 * DAY)
        assert await reason_of(lease(stage, ticket, second, "j2")) == "CLOCK_JUMPED"
        asked = common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots)
        assert await reason_of(stage.host.ask(enclaves_pb2.KIND_ADMIT, asked)) == "CLOCK_JUMPED"
        assert await reason_of(stage.record(ticket.ballots[0])) == "CLOCK_JUMPED"
        assert len(stage.host.entries) == entries  # nothing ended by it
        renew = enclaves_pb2.RenewRequest(lease=digest)
        await stage.host.ask(enclaves_pb2.KIND_RENEW, renew, peer="w1")
        jump(0)
        await lease(stage, ticket, second, "j2")
        await stage.host.ask(enclaves_pb2.KIND_RENEW, renew, peer="w1")
        times = [json.loads(entry)["at"][1] for entry in stage.host.entries]
        assert times == sorted(times) and times[-1] < time.time() + 60

    scene(story)


def test_a_stop_is_taken_whatever_the_clock_says(scene: Any, jump: Callable[[int], None]) -> None:
    async def story(stage: Any) -> None:
        sealed = seal(b"plain")
        await stage.provision(sealed)
        ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        digest = await lease(stage, ticket, await joined(stage, "w1"))
        jump(2 * DAY)
        await stage.record(
            stage.council.stop("s0", "pause", parse_envelope(ticket.proposal).digest)
        )
        renew = enclaves_pb2.RenewRequest(lease=digest)
        asked = stage.host.ask(enclaves_pb2.KIND_RENEW, renew, peer="w1")
        assert await reason_of(asked) == "STOPPED"
        assert [peer for peer, _ in stage.host.stopped] == ["w1"]
        assert json.loads(stage.host.entries[-1])["at"][1] < time.time() + 60

    scene(story)
