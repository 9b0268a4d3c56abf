# SPDX-License-Identifier: Apache-2.0
"""What honest people measure meanwhile: how long a job takes, and how soon a stop has effect."""

import statistics
import threading
import time
from dataclasses import dataclass

from placet.client import Client, Keys
from placet.governance.documents import StopAction
from placet.refusals import Refusal
from tests.fault.jobs import PROGRAM, RAISE, Jobs
from tests.fault.machine import Machine

_LONG_MS = 60_000  # that the job to be stopped would run
_PATIENCE = 30.0


class Timed(Jobs):
    """One job after the other, each waited for and timed."""

    def ask(self) -> None:
        budget = self.budget(0, self.dice.random() < RAISE)
        began = time.monotonic()
        job = self.submit(budget)
        self.asking.patiently(lambda: self.machine.client.runs.wait(job.id), what="wait")
        self.took.append((began, time.monotonic() - began))

    @property
    def took(self) -> list[tuple[float, float]]:
        """When each began, and the seconds it took."""
        found: list[tuple[float, float]] = self.__dict__.setdefault("_took", [])
        return found

    def median(self, since: float, until: float) -> tuple[float, int]:
        """Seconds of the jobs that began between two times, and how many these were."""
        took = [seconds for began, seconds in list(self.took) if since <= began <= until]
        return (statistics.median(took) if took else float("inf")), len(took)


@dataclass(frozen=True, slots=True)
class Stopped:
    """Milliseconds from the moment a stop was sent: until it was in the log, until whoever watches
    the job was told that it was stopped, and the same counted from before the sender connected."""

    recorded: float
    effect: float
    from_nothing: float


class Stops:
    """Seats that stop a proposal while a job of it runs."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._data, self._program = machine.data(b"rows"), machine.bundle(PROGRAM).digest
        self._watcher = machine.connect("watcher")
        self._seen: list[Stopped] = []
        self.wrong: list[str] = []

    def all(self) -> list[Stopped]:
        """Those that were measured."""
        return list(self._seen)

    def once(self, number: int) -> None:
        """A veto, or a pause, by somebody who connects for it."""
        machine = self._machine
        action: StopAction = "veto" if number % 2 else "pause"
        seat = machine.seats["cleo"]
        try:
            proposal, job = self._running()
            ended = list[float]()
            told = threading.Thread(target=self._tell, args=(job, ended), daemon=True)
            told.start()
            connecting = time.monotonic()
            client = self._sender(seat, number)
            client.log.checkpoint()
            sent = time.monotonic()
            client.council.stop(seat, action, proposal)
            recorded = time.monotonic()
            told.join(_PATIENCE)
            client.close()
        except Refusal as refusal:
            self.wrong.append(f"{action} number {number}: {refusal.reason}: {refusal}")
            return
        if not ended:
            self.wrong.append(f"{action} number {number} had no effect in {_PATIENCE:g} s")
            return
        seconds = (recorded - sent, ended[0] - sent, ended[0] - connecting)
        self._seen.append(Stopped(*(1000 * each for each in seconds)))

    def _sender(self, seat: Keys, number: int) -> Client:
        return self._machine.connect(f"seat-{number}", seat)

    def _running(self) -> tuple[str, str]:
        """A proposal with a job that runs."""
        machine = self._machine
        parameters = {"ms": _LONG_MS, "raises": False}
        work = machine.job(
            self._program, {"data": self._data}, parameters=parameters, deadline_seconds=120
        )
        proposal = machine.propose(work)
        machine.vote(proposal, "ada", "ben")
        job = machine.client.runs.start(machine.client.council.ticket(proposal)).id
        for status in self._watcher.runs.watch(job, patience=_PATIENCE):
            if status.state == "running" or status.ended:
                break
        return proposal, job

    def _tell(self, job: str, ended: list[float]) -> None:
        for status in self._watcher.runs.watch(job, patience=_PATIENCE):
            if status.ended:
                ended.append(time.monotonic())
                if status.state != "stopped":
                    text = f"{job} was not stopped, but {status.state}: {status.refusal}"
                    self.wrong.append(text)
                return
