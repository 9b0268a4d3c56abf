# SPDX-License-Identifier: Apache-2.0
"""A host under load, to whose port every stranger comes at once; honest work goes on, and stops
have effect.

    python -m tests.abuse --seconds 60
    python -m tests.abuse --short           half a minute in all, for the tests

The last lines are JSON objects. The exit code is 1 if anything was broken.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.abuse.crowd import NICE
from tests.abuse.honest import Stops, Timed
from tests.abuse.memory import Memory
from tests.fault.council import found
from tests.fault.invariants import Watch
from tests.fault.load import Load
from tests.fault.machine import Machine

HONEST = "127.0.0.9"  # where honest people come from; strangers come from 127.0.0.1
SEED = "abuse"
WARM = 3  # jobs before anything is measured
# The crowd has the least of the processors, and thousands of calls to end.
_PATIENCE = 120.0
Figure = dict[str, Any]


class Campaign:
    """One host with its load, without strangers and then with them."""

    def __init__(self, folder: Path, share: float, nice: int = NICE) -> None:
        self.machine = machine = Machine(folder, source=HONEST)
        self._share, self._nice = share, nice
        machine.start(founding=False)
        self.load = Load(machine, found(machine), SEED, Timed)
        self.watch, self.stops = Watch(self.load, SEED), Stops(machine)
        self.memory = Memory(machine.process.pid)
        self.told: dict[str, Counter[str]] = {}
        self.broken: list[str] = []
        self._times: list[float] = []

    def run(self, seconds: float, pauses: int) -> None:
        """Look for half of the time without strangers, then with them; `pauses` is how many
        stops are sent meanwhile."""
        self.memory.start()
        self.load.start()
        self._warm()
        self._now()
        time.sleep(seconds / 2)
        self._now()
        crowd = self._crowd()
        try:
            self._under_abuse(seconds, pauses)
            said = self._ended(crowd)
        finally:
            crowd.kill()
            self.memory.over.set()
        self.told = {name: Counter(told) for name, told in json.loads(said).items()}
        self.load.stop()
        self.broken += [*self.watch.settle(), *self.stops.wrong]
        self.broken += [f"the strangers: {text}" for text in self.told.pop("broken", ())]

    def _warm(self) -> None:
        """The first jobs of a program take longer."""
        deadline = time.monotonic() + 30
        while len(self.load.jobs.acknowledged) < WARM and time.monotonic() < deadline:
            time.sleep(0.05)

    def _under_abuse(self, seconds: float, pauses: int) -> None:
        self._now()
        until = time.monotonic() + seconds
        for number in range(pauses):
            self.stops.once(number)
        time.sleep(max(0.0, until - time.monotonic()))

    def _ended(self, crowd: "subprocess.Popen[str]") -> str:
        self._now()
        crowd.terminate()
        said, _ = crowd.communicate(timeout=_PATIENCE)
        return said

    def _crowd(self) -> "subprocess.Popen[str]":
        machine = self.machine
        certificate = machine.folder / "host" / "tls" / "cert.pem"
        command = [sys.executable, "-m", "tests.abuse.crowd", machine.listening]
        command += [str(certificate), machine.pin, machine.client.log.charter]
        command += ["--share", str(self._share), "--nice", str(self._nice)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process

    def _now(self) -> None:
        self._times.append(time.monotonic())

    def figures(self) -> Iterator[Figure]:
        """What it came to."""
        jobs = self.load.jobs
        assert isinstance(jobs, Timed)
        before, quiet, begun, ended = self._times
        without, some = jobs.median(before, quiet)
        under, more = jobs.median(begun, ended)
        ratio = under / without
        yield _figure(
            "latency_under_abuse", ratio, "times", 3, jobs=[some, more],
            seconds=[round(without, 3), round(under, 3)], told=self.told,
        )  # fmt: skip
        stops = self.stops.all()
        yield _figure(
            "stop_under_abuse_ms", max((s.effect for s in stops), default=float("inf")), "ms",
            1000, each=[[round(s.recorded), round(s.effect), round(s.from_nothing)] for s in stops],
        )  # fmt: skip
        middle = (begun + ended) / 2
        resting, first, second = (
            self.memory.most(*between)
            for between in ((before, quiet), (begun, middle), (middle, ended))
        )
        yield _figure(
            "memory_under_abuse_mb", max(first, second) - resting, "MiB more", 256,
            resting=round(resting), later=round(second - first),
        )  # fmt: skip
        acknowledged = len(jobs.acknowledged)
        yield _figure(
            "jobs_failed_under_abuse", acknowledged - self.watch.ends.right, "jobs", 0,
            of=acknowledged, refused=dict(self.load.asking.refused),
            rounds=self.load.rounds.released, rows_answered=self.load.questions.answered,
            documents=len(self.load.documents.acknowledged), broken=len(self.broken),
        )  # fmt: skip


def _figure(name: str, value: float, unit: str, bound: float, **more: object) -> Figure:
    """A figure as the benchmarks print theirs; its ratio is to what it may be at most."""
    ratio = value / bound if bound else None
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "against": bound,
        "ratio": None if ratio is None else round(ratio, 3),
        **more,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="under abuse")
    parser.add_argument("--stops", type=int, default=6, help="that are sent meanwhile")
    parser.add_argument("--short", action="store_true", help="a quarter of the strangers, briefly")
    parser.add_argument("--nice", type=int, default=NICE, help="value of the strangers")
    parser.add_argument("--keep", type=Path, help="folder to leave the logs of the host in")
    chosen = parser.parse_args()
    seconds, stops, share = (10.0, 2, 0.25) if chosen.short else (chosen.seconds, chosen.stops, 1.0)
    with tempfile.TemporaryDirectory(prefix="placet-abuse-") as temporary:
        campaign = Campaign(Path(temporary), share, chosen.nice)
        try:
            campaign.run(seconds, stops)
        finally:
            campaign.machine.stop()
            if chosen.keep is not None:
                logs = Path(temporary) / "host" / "logs"
                shutil.copytree(logs, chosen.keep, dirs_exist_ok=True)
            campaign.machine.disk.close()
    for text in campaign.broken:
        print(f"BROKEN {text}", flush=True)
    for figure in campaign.figures():
        print(json.dumps(figure), flush=True)
    return 1 if campaign.broken else 0


if __name__ == "__main__":
    sys.exit(main())
