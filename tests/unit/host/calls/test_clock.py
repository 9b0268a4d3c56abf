# SPDX-License-Identifier: Apache-2.0
"""The host compares its clock with the time that has passed, and says what it finds."""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from placet.host import Host
from placet.host.clock import HostClock, life_of_machine, passed
from placet.host.collector import Collector
from placet.proto.v1 import governance_pb2, runs_pb2
from placet.refusals import ClockJumped

DAY = 86_400
BOUND = 600


class Hands:
    """The clocks of a machine, moved by a test, and a host's reading of them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "clock.json"
        self.now, self.passed, self.life = 1_800_000_000.0, 50.0, "first"
        self.clock = self.start()

    def start(self, *, accept: bool = False) -> HostClock:
        """A host starts."""
        self.clock = HostClock(
            self.path,
            BOUND,
            accept=accept,
            now=lambda: self.now,
            elapsed=lambda: self.passed,
            life=lambda: self.life,
        )
        return self.clock

    def go(self, seconds: float, jump: float = 0) -> None:
        self.passed += seconds
        self.now += seconds + jump


@pytest.fixture
def hands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Hands:
    caplog.set_level(logging.INFO, "placet")
    return Hands(tmp_path)


def test_a_jump_is_said_and_refused_until_the_clock_is_back(
    hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    hands.go(30 * DAY)
    hands.clock.check()
    hands.go(1, 2 * DAY)
    for _ in range(2):
        assert hands.clock.ahead == 2 * DAY
        with pytest.raises(ClockJumped, match="172800 seconds ahead"):
            hands.clock.check()
    hands.go(1, -2 * DAY)
    hands.clock.check()
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"clock-jumped ahead={2 * DAY}", "clock-well-again ahead=0"]


def test_small_corrections_are_taken(hands: Hands) -> None:
    for _ in range(5):
        hands.go(60, BOUND)
        assert not hands.clock.ahead
    hands.go(1, -DAY)
    assert not hands.clock.ahead
    hands.go(1, DAY)  # back from behind is no jump
    assert not hands.clock.ahead


def test_a_restart_in_the_same_life_of_the_machine_does_not_hide_a_jump(hands: Hands) -> None:
    hands.clock.write()
    hands.go(3600, 2 * DAY)
    assert hands.start().ahead == 2 * DAY
    assert not hands.start(accept=True).ahead  # the operator says that it is right
    assert not hands.start().ahead  # and it stays said


def test_after_the_machines_own_start_the_clock_is_taken(
    hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    hands.clock.write()
    hands.now += 9 * DAY
    hands.passed, hands.life = 20.0, "second"
    assert not hands.start().ahead
    assert f"clock-taken-as-it-is since={9 * DAY}" in caplog.text


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"life":"first","start":"x","seen":1}'])
def test_a_file_that_cannot_be_read_is_none(hands: Hands, content: bytes) -> None:
    hands.path.write_bytes(content)
    assert not hands.start().ahead


def test_a_host_whose_clock_jumps_takes_stops_and_nothing_else(
    world: Any, run: Any, refused: Any
) -> None:
    async def body() -> None:
        async with world.host() as (host, client):
            ticket = world.ticket("hang")
            running = await client.submit(ticket)
            await client.until(running.id, runs_pb2.RUN_STATE_RUNNING)
            host.clock._now = lambda: time.time() + 2 * DAY
            request = runs_pb2.StartRequest(ticket=world.ticket("release"), request_id=b"r" * 16)
            starting = client.runs.Start(request, metadata=world.metadata)
            details = await refused(starting, "CLOCK_JUMPED")
            assert details["claim"] == "clock"
            veto = governance_pb2.DocumentRequest(envelope=world.veto(ticket))
            await client.governance.Stop(veto, metadata=world.metadata)
            assert (await client.watch(running.id))[-1].state == runs_pb2.RUN_STATE_STOPPED
            host.clock._now = time.time
            job = await client.run(world.ticket("release"))
            assert job.state == runs_pb2.RUN_STATE_FINISHED

    run(body())


def test_nothing_is_collected_by_a_clock_that_nobody_believes(world: Any) -> None:
    class Counting(Collector):
        times = 0

        async def collect(self) -> None:
            self.times += 1

    async def body() -> None:
        nothing: Any = None
        collector = Counting(world.config(collect_seconds=0.001), nothing, nothing, nothing)
        believed = [False]
        running = asyncio.create_task(collector.run(lambda: believed[0]))
        await asyncio.sleep(0.05)
        assert not collector.times
        believed[0] = True
        while not collector.times:
            await asyncio.sleep(0.001)
        running.cancel()

    asyncio.run(asyncio.wait_for(body(), 10))


def test_no_enclave_is_started_by_a_clock_that_nobody_believes(world: Any, run: Any) -> None:
    state = world.folder / "state"
    state.mkdir(parents=True)
    value = {"life": life_of_machine(), "start": time.time() - passed() - 2 * DAY, "seen": 1}
    (state / "clock.json").write_text(json.dumps(value))

    async def body(**settings: Any) -> None:
        async with Host(world.config(**settings), world.launcher) as host:
            if host.clock.ahead:
                log = state / "logs" / "host.log"
                while "event=launch-failed" not in log.read_text():
                    await asyncio.sleep(0.05)
                clock: Any = host.clock
                clock._now = lambda: time.time() - 2 * DAY  # it is set right
            async with world.client(host.address, host.certificate_pem) as client:
                job = await client.run(world.ticket("release"))
                assert job.state == runs_pb2.RUN_STATE_FINISHED

    run(body())
    log = (state / "logs" / "host.log").read_text()
    jumped, failed = log.index("event=clock-jumped"), log.index("event=launch-failed")
    assert jumped < failed < log.index("event=clock-well-again") < log.index("event=attached")
    assert "kind=ClockJumped" in log
