# SPDX-License-Identifier: Apache-2.0
"""How a proposal stands, as commands show it; and tables and names at 80 columns."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any

import pytest
import typer
from rich.console import Console

from placet.client.cli._runs import run_table, tell
from placet.client.cli._words import shortened
from placet.client.connection.told import Told
from placet.client.runs.status import FederationStatus, JobStatus, RunStatus, ServiceStatus
from placet.refusals import Refused

Run = Callable[..., Any]
AT_80 = {"env": {"COLUMNS": "80"}}


def state_of(run: Run, proposal: str) -> tuple[str, list[str]]:
    """State and by whom, which list, page and explanation say alike."""
    listed = run("proposals")[0]["standing"]
    shown, told = run("proposals", proposal), run("explain", "proposal", proposal)
    for other in (shown["standing"], told["standing"]):
        assert {**other, "reason": ""} == {**listed, "reason": ""}
    return listed["state"], listed["by"]


def test_a_proposal_that_waits_says_once_what_it_needs(run: Run, proposal: str) -> None:
    assert state_of(run, proposal) == ("waiting", ["analyst"])
    page = run("proposals", proposal, text=True)
    assert page.startswith("The proposal waits for votes, or for what else its rules demand, since")
    assert "is not met" in page and "Refused:" not in page and "refuses it" not in page


def test_a_stop_is_shown_with_seat_and_reason(run: Run, approved: str) -> None:
    assert state_of(run, approved) == ("approved", ["alice", "bob"])
    run("pause", approved, "--key", "alice.key", "--reason", "The consent form is wrong.", "--yes")
    assert state_of(run, approved) == ("paused", ["alice"])
    standing = run("proposals", approved)["standing"]
    assert standing["reason"] == "The consent form is wrong."
    page = run("proposals", approved, text=True)
    assert "| The consent form is wrong." in page
    assert "lets it through" not in page and "is met" not in page
    assert run("proposals", approved)["refusals"][0]["reason"] == "STOPPED"
    refused = run("start", approved, code=1)["error"]
    assert refused["reason"] == "STOPPED"
    assert refused["message"].startswith("alice paused it at ")
    assert '"The consent form is wrong."' in refused["message"]


def test_the_reason_that_a_host_withholds_is_not_invented(
    run: Run, approved: str, host: Any, home: Any
) -> None:
    stop = run("pause", approved, "--key", "alice.key", "--reason", "Wait.", "--yes")["stop"]
    (home.folder / "documents" / stop.removeprefix("sha256:")).unlink()
    host.withhold(stop)
    assert run("proposals", approved)["standing"]["reason"] is None
    assert "does not show what was signed" in run("proposals", approved, text=True)


def test_runs_are_listed_where_a_host_withholds_their_proposals(
    run: Run, approved: str, host: Any, home: Any
) -> None:
    run("watch", run("start", approved)["id"])
    (home.folder / "documents" / approved.removeprefix("sha256:")).unlink()
    host.withhold(approved)
    (told,) = run("runs")
    assert (told["state"], told["purpose"], told["proposer"]) == ("finished", None, None)


def test_jobs_have_short_names_that_work(run: Run, approved: str, folder: Path) -> None:
    job = run("start", approved)["id"]
    (line,) = table(run("runs", text=True, **AT_80))
    name = line.split()[0]
    assert len(name) == 19 and name[:12] == approved[7:19]
    assert "research" in line and "analyst" in line
    assert run("watch", name)["id"] == job
    assert run("runs", approved[7:19])["id"] == job
    told = run("runs")[0]
    assert (told["id"], told["purpose"], told["proposer"]) == (job, "research", "analyst")
    wide = run("runs", "--wide", text=True, **AT_80)
    assert job in wide and told["program"] in wide
    assert run("result", name, "--key", "analyst.key", "-o", "out")["outputs"]
    cancelled = run("cancel", name, "--key", "alice.key", code=2)["error"]["message"]
    assert "Give the digest in full." in cancelled  # nobody can be asked which one is meant
    unknown = run("runs", f"{name[:12]}-none", code=2)["error"]
    assert unknown["message"].startswith("No job begins with")
    other = run("start", approved)["id"]
    run("watch", other)
    assert run("runs", approved[7:19], code=2)["error"]["message"].startswith("2 jobs begin")
    assert state_of(run, approved) == ("used up", [])
    assert "Its demand" not in run("proposals", approved, text=True)


def test_proposals_fit_in_80_columns(run: Run, approved: str) -> None:
    (line,) = table(run("proposals", text=True, **AT_80))
    assert line.startswith(approved[7:19] + "  approved ")
    assert "research" in line and "analyst" in line
    wide = run("proposals", "--wide", text=True, **AT_80)
    assert len(table(wide, 1000)) == 1 and approved in wide
    json.dumps(run("proposals", "--wide"))


def table(text: str, width: int = 80) -> list[str]:
    """The lines of a table below its heading, none of them too long."""
    _, *lines = text.rstrip("\n").split("\n")
    assert all(len(line.rstrip()) <= width for line in lines), text
    return lines


def test_runs_of_every_kind_fit_in_80_columns() -> None:
    digest = "sha256:" + "cd" * 32
    refused = Refused("WORKER_UNAVAILABLE", "")
    left: dict[str, Any] = {
        "proposal": Told(digest),
        "progress": 100,
        "refusal": refused,
        "started": 0.0,
    }
    works: list[tuple[str, Any, Any]] = [
        ("ab" * 20 + "-" + "c" * 20, "finished", JobStatus(3, 0.0)),
        (digest, "running", FederationStatus(100, 100, 0, False, 99, (), ())),
        ("sha256:" + "ef" * 32, "stopped", ServiceStatus(1000, 1000, 0)),
    ]
    runs = [RunStatus(id, state=state, work=work, **left) for id, state, work in works]
    document = Namespace(purpose="a-purpose-of-some-length", proposer="hospital-north-lead")
    known: Any = {run.id: Namespace(document=document) for run in runs}
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        run_table(runs, known)(console)
    lines = table(captured.get())
    for name in ("ab" * 6 + "-" + "c" * 6, "cd" * 6, "ef" * 6):
        assert any(line.split()[0] == name for line in lines if line.split())


def test_a_run_that_was_stopped_says_where_its_stop_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    digest = "sha256:" + "cd" * 32
    refused = Refused("VETOED", "The proposal was stopped.")
    id = "cd" * 20 + "-" + "c" * 20
    run = RunStatus(id, Told(digest), "stopped", 0, refused, 0.0, JobStatus(1, 0.0))
    document = Namespace(purpose="research", proposer="lab", body=Namespace(program=digest))
    known: Any = {id: Namespace(digest=digest, document=document)}
    with pytest.raises(typer.Exit):
        tell(run, False, known)
    assert "Who stopped it, and why: placet proposals cdcdcdcdcdcd" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["sha256:" + "ab" * 32], ["ab" * 6]),
        (
            ["sha256:" + "ab" * 7 + "0" * 50, "sha256:" + "ab" * 32],
            ["ab" * 7 + "0", "ab" * 7 + "a"],
        ),
        (["ab" * 20 + "-1", "ab" * 20 + "-10"], ["ab" * 6 + "-1", "ab" * 6 + "-10"]),
        (
            ["ab" * 20 + "-" + "c" * 20, "ab" * 20 + "-" + "c" * 9 + "d" * 11],
            ["ab" * 6 + "-" + "c" * 10, "ab" * 6 + "-" + "c" * 9 + "d"],
        ),
    ],
)
def test_a_short_name_names_one(ids: list[str], names: list[str]) -> None:
    assert list(shortened(ids).values()) == names
