# SPDX-License-Identifier: Apache-2.0
"""A council on one machine: one command from nothing to the result of a program of one's own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from placet.client import FileRefused, Keys
from placet.client.drafts.council import dev_constitution, dev_values, ids_of
from tests.support.policies import build

ROOT = Path(__file__).resolve().parents[4]
PLACET = [sys.executable, "-m", "placet.client"]
PROGRAM = """
def main(job):
    rows = bytes(job.inputs["rows"].read())
    with job.output("size") as sink:
        sink.write(str(len(rows) * job.parameters["times"]).encode())
"""


def environment(**more: str) -> dict[str, str]:
    """Without what names another council; with a key of another council, which has to be without
    effect."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLACET_")}
    return {**kept, **more}


def placet(folder: Path, *arguments: str, code: int = 0, **more: str) -> str:
    ran = subprocess.run(
        [*PLACET, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "rows").write_bytes(bytes(7))
    Keys.generate("stranger").save(tmp_path / "stranger.key")
    return tmp_path


RUN = ("dev", "run", "main.py", "--input", "rows=rows", "--parameter", "times=3", "--output=size=9")


def test_one_command_from_nothing_to_a_result(folder: Path) -> None:
    said = placet(folder, *RUN, PLACET_KEY=str(folder / "stranger.key"))
    assert "SIMULATED: no hardware protects anything here." in said
    assert (folder / "placet-dev/run-1/result/size").read_text() == "21"
    assert "Result: placet-dev/run-1/result/size" in said
    typed = [line.split()[2] for line in said.splitlines() if line.startswith("$ placet ")]
    founding = ["keygen", "host", "init", "charter", "charter", "charter"]
    asking = ["seal", "put", "grant", "provision", "propose", "vote", "start", "result"]
    assert typed == founding + asking
    again = placet(folder, *RUN)
    typed = [line.split()[2] for line in again.splitlines() if line.startswith("$ placet ")]
    assert typed == asking
    assert (folder / "placet-dev/run-2/result/size").read_text() == "21"
    assert "placet-dev has a council" in placet(folder, *RUN, "--council", "any.toml", code=2)


def test_words_that_cannot_hold_found_nothing(folder: Path) -> None:
    assert "there is no such file" in placet(
        folder, "dev", "run", "main.py", "--input", "rows=none", "--output", "size=9", code=2
    )
    assert "size=much" in placet(folder, "dev", "run", "main.py", "--output", "size=much", code=2)
    assert not (folder / "placet-dev").exists()


COUNCIL = """
seats = [
  "north",
  { id = "office", organisation = "authority", role = "privacy", keys = ["office.pub.json"] },
]
parties = ["lab"]
labels = ["health"]
[[rules]]
id = "care"
title = "Both of them"
when = { actions = ["job"], purposes = ["care"], labels = ["health"] }
demands = [
  { demand = "approvals", at_least = 2 },
  { demand = "organisations", at_least = 2 },
  { demand = "role", role = "privacy", at_least = 1 },
  { demand = "rationale" },
  { demand = "lifetime", seconds = 86400 },
  { demand = "uses", at_most = 3 },
]
"""


def test_a_council_of_several_seats_runs_until_it_is_interrupted(folder: Path) -> None:
    (folder / "council.toml").write_text(COUNCIL)
    with subprocess.Popen(
        [*PLACET, "dev", "--council", "council.toml"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            while "Ctrl-C" not in (line := process.stderr.readline()):
                assert line, "it ended"
            home = str(folder / "placet-dev/home")
            status: Any = json.loads(placet(folder, "status", "--json", PLACET_HOME=home))
            assert "SIMULATED" in status["marks"] and status["runs"] == []
            assert "runs already" in placet(folder, "dev", code=2)
            placet(folder, *RUN, "--purpose", "care")
            missing = [*RUN[:-3], RUN[-1], "--purpose", "care"]  # a parameter
            assert "PROGRAM_RAISED" in placet(folder, *missing, code=1)
            assert (folder / "placet-dev/run-1/result/size").read_text() == "21"
        finally:
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
    assert "HOST_UNREACHABLE" in placet(folder, "status", code=3, PLACET_HOME=home)


def test_the_file_s_keys_and_evidence_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "council.toml"
    path.write_text('name = "Ours"\n' + COUNCIL + '\n[evidence]\nauthority = "any"\n')
    values = dev_values(path)
    keys = {id: Keys.generate(id).public.signing.text for id in ids_of(values)}
    made = dev_constitution(values, keys, build(), 1_800_000_000)
    assert made.name == "SIMULATED: Ours"
    assert {p.id: p.keys[0].text for p in made.principals} == keys
    assert made.evidence.authority["kinds"] == ["simulation"]
    assert {o.id for o in made.organisations} == {"north", "authority", "lab"}


@pytest.mark.parametrize("text", ["seats = [1]", "seats = [{}]", "seat = []"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "council.toml"
    path.write_text(text)
    with pytest.raises(FileRefused):
        dev_values(path)
