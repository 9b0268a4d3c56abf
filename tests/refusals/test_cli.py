# SPDX-License-Identifier: Apache-2.0
"""The command line against a real host: what is refused exits with 1, and says why in JSON and in
sentences."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from placet.client import Home, ticket_to_bytes
from placet.governance.envelope import parse_envelope

OTHER = "sha256:" + "cd" * 32


class Desk:
    """A home folder, key files, tickets, and jobs that ended."""

    def __init__(self, world: Any, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.home = Home(folder / "home")
        self.home.configure(world.address, world.pin, world.client.log.charter)
        for keys in world.keys.values():
            keys.save(folder / f"{keys.id}.key")
        data = world.data()
        job = world.job(world.bundle(world.copy).digest, {"data": data})
        self.proposal = world.propose(job)
        now = int(time.time())
        late = world.ticket(job, not_before=now - 7200, not_after=now - 3600)
        raising = world.job(world.bundle("def main(job): raise ValueError").digest, {"data": data})
        used = world.ticket(job)
        self.released = world.client.runs.wait(world.client.runs.start(used).id)
        self.failed = world.client.runs.wait(world.client.runs.start(world.ticket(raising)).id)
        self.raising = world.ticket(raising)
        self.grant = data.grant
        few = world.client.council.ticket(self.proposal)
        envelope = json.loads(few.proposal)
        envelope["signatures"][0]["sig"] = json.loads(used.proposal)["signatures"][0]["sig"]
        forged = replace(few, proposal=json.dumps(envelope).encode())
        tickets = {
            "few": few,
            "late": late,
            "used": used,
            "forged": forged,
            "raising": self.raising,
        }
        for name, ticket in tickets.items():
            (folder / f"{name}.ticket").write_bytes(ticket_to_bytes(ticket))
        assert parse_envelope(late.proposal)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "placet.client", "--home", str(self.home.folder)]
        return subprocess.run(
            [
                *command,
                *(
                    a.replace("{released}", self.released.id)
                    .replace("{failed}", self.failed.id)
                    .replace("{proposal}", self.proposal)
                    .replace("{grant}", self.grant)
                    for a in arguments
                ),
            ],
            cwd=self.folder,
            env={**os.environ, "PLACET_KEY": "analyst.key"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def desk(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(world, tmp_path_factory.mktemp("desk"))


ASKED = ("vote", "veto", "pause", "withdraw")
COMMANDS: dict[str, tuple[str, str]] = {
    "too few votes": ("start few.ticket", "RULE_NOT_MET"),
    "a window that has closed": ("start late.ticket", "TICKET_EXPIRED"),
    "a use too many": ("start used.ticket", "TICKET_USED_UP"),
    "a forged proposal": ("start forged.ticket", "SIGNATURE_INVALID"),
    "a vote of a former seat": ("vote {proposal} placet -k former.key", "SEAT_EXPIRED"),
    "a vote of no seat": ("vote {proposal} placet -k owner.key", "SEAT_UNKNOWN"),
    "a vote with another's key": (
        "vote {proposal} placet -k ben.key --as ada",
        "SIGNATURE_INVALID",
    ),
    "a veto without the right": ("veto {proposal} -k owner.key", "NOT_PERMITTED"),
    "a pause by a party": ("pause {proposal} -k owner.key", "NOT_PERMITTED"),
    "another's grant": ("withdraw {grant} -k analyst.key", "NOT_PERMITTED"),
    "a cancel by a party": ("cancel {released} -k owner.key", "NOT_PERMITTED"),
    "no such run": (f"watch {'0' * 40}-{'0' * 20}", "RUN_NOT_FOUND"),
    "a result that is none": ("result {failed} -k analyst.key -o out", "NOT_RELEASED"),
    "another's result": ("result {released} -k owner.key -o out", "RECIPIENT_UNKNOWN"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_refusal_exits_with_one(desk: Desk, case: str) -> None:
    line, reason = COMMANDS[case]
    with desk.world.unchanged():
        ran = desk.run(*line.split(), *(["--yes"] if line.split()[0] in ASKED else []), "--json")
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    error = json.loads(ran.stderr)["error"]
    assert error.keys() == {"reason", "message", "details"}
    assert error["reason"] == reason
    assert error["message"].endswith(".")
    assert set(error["details"]) <= {"claim", "expected", "actual", "rule", "remedy"}
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("case", ["too few votes", "a use too many"])
def test_in_sentences_too(desk: Desk, case: str) -> None:
    line, reason = COMMANDS[case]
    ran = desk.run(*line.split())
    assert (ran.returncode, ran.stdout) == (1, "")
    assert reason in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_job_that_fails_while_it_is_watched(desk: Desk) -> None:
    ran = desk.run("start", "raising.ticket", "--watch", "--json")
    assert ran.returncode == 1
    job = json.loads(ran.stdout)
    assert (job["state"], job["refusal"]["reason"]) == ("failed", "PROGRAM_RAISED")
