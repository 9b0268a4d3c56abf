# SPDX-License-Identifier: Apache-2.0
"""A host under load, to whose machine something happens again and again; after each event the
invariants are looked at.

    python -m tests.fault --seed 7 --events 300
    python -m tests.fault --short            a few of every kind, for the tests

The last line is a JSON object. The exit code is 1 if anything was broken.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fault import events
from tests.fault.council import found
from tests.fault.invariants import Watch
from tests.fault.load import Load
from tests.fault.machine import Machine

WELL_AGAIN = 90.0  # seconds after an event
ENOUGH = 20  # things that are broken, after which a run ends


class Campaign:
    """One host, its load, and what happens."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.machine = Machine(folder)
        self.seed = seed
        self.happened: Counter[str] = Counter()
        self.broken: list[str] = []
        self.slowest = 0.0
        self.lost = False  # whether the host does not come back
        self.machine.start(founding=False)
        self.load = Load(self.machine, found(self.machine), seed)
        self.watch = Watch(self.load, seed)

    def run(self, kinds: Iterator[str], gap: float) -> None:
        """Let everybody ask, and events happen; then see that everything ends well."""
        dice = random.Random(f"{self.seed}/events")
        self.load.start()
        time.sleep(2)
        for number, kind in enumerate(kinds, 1):
            self._event(number, kind, dice)
            if self.lost or len(self.broken) >= ENOUGH:
                return
            time.sleep(dice.uniform(0, gap))
        self.load.stop()
        self._tell("at the end", self.watch.settle())

    def _event(self, number: int, kind: str, dice: random.Random) -> None:
        self.watch.until_no_last_attempt(120)
        self.load.jobs.events = number
        said = events.KINDS[kind](self.machine, dice)
        seconds = self.machine.until_well(WELL_AGAIN)
        if seconds is None:
            text = f"{said}: no authority answers after {WELL_AGAIN:g} s"
            self._tell(f"after event {number}, {kind}", [text])
            self.lost = True
            return
        self.slowest = max(self.slowest, seconds)
        self.happened[kind] += 1
        acknowledged, ended = len(self.load.jobs.acknowledged), self.watch.ends.right
        print(
            f"{number:4} {kind:15} {said:32} well after {seconds:4.1f} s; "
            f"{ended} of {acknowledged} jobs ended well",
            flush=True,
        )
        self._tell(f"after event {number}, {kind}", self.watch.check())

    def _tell(self, when: str, found: list[str]) -> None:
        for text in found:
            print(f"BROKEN {when}: {text}", flush=True)
        self.broken += found

    def figures(self) -> dict[str, object]:
        """What the run was, and came to."""
        jobs, load = self.load.jobs.acknowledged, self.load
        return {
            "name": "jobs_right_under_faults",
            "value": self.watch.ends.right / max(1, len(jobs)),
            "unit": "of the acknowledged jobs",
            "against": None,
            "ratio": None,
            "seed": self.seed,
            "events": self.happened.total(),
            "kinds": dict(self.happened),
            "left_out": events.left_out(self.machine),
            "jobs": len(jobs),
            "tried_again": sum(self.watch.log.leases[job.id] > 1 for job in jobs),
            "rounds": load.rounds.released,
            "rows_answered": load.questions.answered,
            "documents": len(load.documents.acknowledged),
            "uploads": len(load.uploads.kept) + len(load.uploads.deleted),
            "refused": dict(load.asking.refused),
            "slowest_recovery_s": round(self.slowest, 1),
            "broken": len(self.broken),
        }


def chosen(kinds: Sequence[str], seed: str, count: int, until: float) -> Iterator[str]:
    """Kinds of events, every kind once in each turn, until they are enough or the time is over."""
    dice, number = random.Random(f"{seed}/kinds"), 0
    while number < count:
        turn = list(kinds)
        dice.shuffle(turn)
        for kind in turn[: count - number]:
            if time.monotonic() > until:
                return
            yield kind
        number += len(turn)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="then no event more")
    parser.add_argument("--short", action="store_true", help="every kind once, one after the other")
    parser.add_argument(
        "--keep", type=Path, help="folder to leave the logs of host and enclaves in"
    )
    arguments = parser.parse_args()
    _alone()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="placet-fault-") as temporary:
        campaign = Campaign(Path(temporary), arguments.seed)
        try:
            until = time.monotonic() + arguments.seconds
            kinds = events.possible(campaign.machine)
            count = len(kinds) if arguments.short else arguments.events
            happening = chosen(kinds, arguments.seed, count, until)
            campaign.run(happening, 0.5 if arguments.short else 2)
        finally:
            campaign.machine.stop()
            if arguments.keep is not None:
                logs = Path(temporary) / "host" / "logs"
                shutil.copytree(logs, arguments.keep, dirs_exist_ok=True)
            campaign.machine.disk.close()
        print(json.dumps(campaign.figures()), flush=True)
    return 1 if campaign.broken else 0


def _alone() -> None:
    """Go on in a mount namespace of one's own, where that can be had: a small disk can be mounted
    there, and is gone with the last process."""
    if os.environ.get("PLACET_FAULT_ALONE") or shutil.which("unshare") is None:
        return
    os.environ["PLACET_FAULT_ALONE"] = "1"
    asked = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "-m"]
    if subprocess.run([*asked, "true"], check=False, capture_output=True).returncode == 0:
        os.execvp("unshare", [*asked, sys.executable, "-m", "tests.fault", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
