# SPDX-License-Identifier: Apache-2.0
"""The first hour, played: from nothing to a result, alone and by three hospitals. The figures are
printed: how many commands people type, and what goes from hand to hand.

Everybody has a folder of their own, sees nothing of the others, and gets but lines of text.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PLACET = [sys.executable, "-m", "placet.client"]
HOSPITALS = ("north", "south", "west")
MOST_COMMANDS = 15
PROGRAM = """
import numpy as np


def main(job):
    rows = np.concatenate([job.inputs[name].array() for name in sorted(job.inputs)])
    with job.output("mean") as sink:
        sink.write(str(float(rows.mean())).encode())
"""
COUNCIL = """
name = "Three hospitals"
labels = ["health"]
seats = ["north", "south", "west"]
parties = ["analyst"]
[[rules]]
id = "research"
title = "Research on health data"
when = { actions = ["job"], purposes = ["research"], labels = ["health"] }
demands = [
  { demand = "approvals", at_least = 3 },
  { demand = "organisations", at_least = 3 },
  { demand = "lifetime", seconds = 604800 },
  { demand = "uses", at_most = 3 },
]
"""
JOB = """
program = "program"
purpose = "research"
reason = "The mean of all patients."
valid_for_seconds = 86400
deadline_seconds = 60
inputs = { north.owner = "north", south.owner = "south", west.owner = "west" }
outputs.mean.max_bytes = 64
recipients = [{ id = "analyst" }]
"""
TERMS = (
    "--label health --purpose research --program any --parameter none --recipient analyst"
    " --combine-with any --witnesses any --privacy any --uses 3 --expires 2099-01-01T00:00:00Z"
    " --simulated --yes"
)


class Figures:
    """What people typed, and which lines they gave each other."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.lines: list[str] = []

    def give(self, line: str) -> str:
        """A line from one to another."""
        assert "\n" not in line and not Path(line).exists()
        self.lines.append(line)
        return line


@dataclass
class Person:
    folder: Path
    figures: Figures

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.environment = {
            **{n: v for n, v in os.environ.items() if not n.startswith("PLACET_")},
            "PLACET_HOME": str(self.folder / "home"),
            "PLACET_KEY": str(self.folder / f"home/{self.folder.name}.key"),
        }

    def write(self, name: str, text: str) -> None:
        """A file that this person wrote."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def start(self, command: str) -> "subprocess.Popen[str]":
        self.figures.commands.append(command)
        words = [*PLACET, *command.split()[1:]]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            words, cwd=self.folder, env=self.environment, text=True, stdout=pipe, stderr=pipe
        )

    def placet(self, command: str) -> Any:
        return self.end(self.start(command))

    def end(self, process: "subprocess.Popen[str]") -> Any:
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, said + errors
        return json.loads(said) if said.startswith("{") else said + errors


@pytest.fixture
def figures(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Generator[Figures]:
    found = Figures()
    yield found
    with capsys.disabled():
        who = request.node.name.removeprefix("test_").replace("_", " ")
        told = f"{len(found.commands)} commands, {len(found.lines)} links and names"
        print(f"\n{who}: {told}, no files handed over")


def test_alone(tmp_path: Path, figures: Figures) -> None:
    me = Person(tmp_path / "me", figures)
    me.write("program/main.py", PROGRAM)
    np.save(me.folder / "rows.npy", np.arange(5.0))
    me.placet("placet dev run program --input rows=rows.npy --output mean=64 --out result")
    assert (me.folder / "result/mean").read_text() == "2.0"
    assert len(figures.commands) == 1 and not figures.lines


def test_three_hospitals(tmp_path: Path, figures: Figures) -> None:
    people = {id: Person(tmp_path / id, figures) for id in (*HOSPITALS, "analyst", "operator")}
    host = people["operator"].start("placet host --listen 127.0.0.1:0")
    try:
        assert host.stdout is not None
        founder = [host.stdout.readline() for _ in range(3)][2].split()[1]
        found(people, figures, founder)
        ask(people, figures)
    finally:
        host.send_signal(signal.SIGTERM)
        host.communicate(timeout=60)
    assert (tmp_path / "analyst/result/mean").read_text() == "2.0"
    assert len(figures.commands) <= MOST_COMMANDS, figures.commands


def found(people: dict[str, Person], figures: Figures, founder: str) -> None:
    """Everybody joins at once, and waits for the others; all hear the same words."""
    people["north"].write("council.toml", COUNCIL)
    link = figures.give(founder)
    made = people["north"].placet(f"placet invite council.toml {link} --enclave development --json")
    typed = {id: figures.give(line) for id, line in made["lines"].items()}
    assert typed.keys() == {*HOSPITALS, "analyst"}
    joining = {id: people[id].start(f"{line} --yes --json") for id, line in typed.items()}
    told = [people[id].end(process) for id, process in joining.items()]
    assert {one["state"] for one in told} == {"founded"}
    assert len({one["spoken"] for one in told}) == 1


def ask(people: dict[str, Person], figures: Figures) -> None:
    """Shares, a proposal, votes, a result."""
    for hospital, row in zip(HOSPITALS, (1.0, 2.0, 3.0), strict=True):
        np.save(people[hospital].folder / "rows.npy", np.array([row]))
        people[hospital].placet(f"placet share rows.npy {TERMS}")
    analyst = people["analyst"]
    analyst.write("program/main.py", PROGRAM)
    analyst.write("job.toml", JOB)
    told = analyst.placet("placet propose job.toml --json")
    assert told["lacking"] == []
    proposal = figures.give(told["proposal"])
    for hospital in HOSPITALS:
        people[hospital].placet(f"placet vote {proposal} placet --yes")
    said = analyst.placet(f"placet start {proposal} --watch")
    job = re.findall(r"^(\S+): finished", said, re.MULTILINE)[-1]
    analyst.placet(f"placet result {job} --out result")
