# SPDX-License-Identifier: Apache-2.0
"""What members and owners are told before they sign: whether a ballot counts, what it changes, and
which grants of the same object go on."""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from placet.client import Home
from placet.client.cli import app

Run = Callable[..., Any]


@pytest.fixture
def reasons_demanded(folder: Path) -> None:
    """The council's rule for research demands a rationale."""
    path = folder / "constitution.toml"
    text, demand = path.read_text(), '  { demand = "uses", at_most = 15 },'
    assert demand in text
    path.write_text(text.replace(demand, '  { demand = "rationale" },\n' + demand))


@pytest.fixture
def asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command where somebody says no to its question; all that it wrote, in one line."""

    def isatty(_: object) -> bool:
        return True

    def line(*arguments: str) -> str:
        with monkeypatch.context() as there:
            there.setattr("typer.testing._NamedTextIOWrapper.isatty", isatty)
            given = ["--home", str(home.folder), *arguments]
            result = CliRunner().invoke(app, given, input="n\n")
        assert result.exit_code == 2, result.output
        return re.sub(r"[\s|]+", " ", result.output)

    return line


@pytest.mark.usefixtures("reasons_demanded")
def test_a_ballot_that_no_rule_counts_is_said_before_it_is_signed(
    run: Run, proposal: str, asked: Callable[..., str]
) -> None:
    """Recorded as entry 10, the command had said."""
    vote = ("vote", proposal, "placet", "--key", "alice.key")
    shown = asked(*vote)
    assert "Rule research would not count this placet: it gives no rationale." in shown
    assert "placet program" in shown
    told = run(*vote, "--yes")
    assert told["not_counted"] == {"research": "it gives no rationale"}
    assert "would not count" in run(*vote, "--yes", text=True)
    told = run(*vote, "--rationale", "It helps.", "--yes")
    assert told["not_counted"] == {}


def test_a_vote_that_changes_nothing_says_so(run: Run, proposal: str) -> None:
    vote = ("vote", proposal, "non placet", "--key", "bob.key", "--yes")
    assert "bob has a veto by research" in " ".join(run(*vote, text=True).split())
    told = " ".join(run(*vote, text=True).split())
    assert re.search(r"bob has said non placet already, by entry \d+", told)
    told = " ".join(run(*vote[:2], "placet", *vote[3:], text=True).split())
    assert re.search(r"takes the place of the non placet of bob by entry \d+", told)


def test_an_amendment_is_shown_by_what_it_changes(
    run: Run, proposal: str, folder: Path, asked: Callable[..., str]
) -> None:
    text = (folder / "constitution.toml").read_text().replace("EXAMPLE", "ANOTHER")
    (folder / "next.toml").write_text(text)
    run("constitution", "draft", "next.toml", "--amends", "-o", "next.json")
    amend = ("--amend", "next.json", "--key", "alice.key")
    amendment = run("propose", *amend, "--not-after", _soon())["proposal"]
    vote = ("vote", amendment, "placet", "--key", "bob.key")
    assert 'is "ANOTHER COUNCIL"' in asked(*vote)  # as the host has it, by its digest
    shown = asked(*vote, "--constitution", "next.json")
    assert 'was "EXAMPLE COUNCIL", and is "ANOTHER COUNCIL"' in shown
    run("constitution", "draft", "next.toml", "--amends", "-o", "other.json")
    assert "is another draft" in asked(*vote, "--constitution", "other.json")
    digest = hashlib.sha256((folder / "next.json").read_bytes()).hexdigest()
    run("delete", digest[:32], "--key", "alice.key", "--yes")
    assert "give it with --constitution" in asked(*vote)


def test_a_grant_says_what_earlier_ones_still_allow(run: Run, proposal: str, folder: Path) -> None:
    """Owners had taken a narrower grant to replace the wider one."""
    flags = (
        "--purpose research --program any --parameter any --recipient any --combine-with none "
        "--uses 1 --expires 2099-01-01T00:00:00Z --privacy 1,1e-6 --witnesses any"
    )
    line = ["grant", "--object", "rows.object.json", *flags.split(), "--key", "owner.key"]
    (granted,) = run("grants", "owner")
    assert run(*line, "-o", "second.json")["earlier"] == [granted["digest"]]
    told = " ".join(run(*line, "-o", "second.json", text=True).split())
    assert "go on beside it" in told and "2 uses left, for research" in told
    assert "a claim, which nothing measures" in told
    run("withdraw", "rows.grant.json", "--key", "owner.key", "--yes")
    assert run(*line, "-o", "second.json")["earlier"] == []
    sealing = ("seal", "rows", "--owner", "owner.pub.json", "-o", "rows.sealed", "--force")
    run(*sealing, "--label", "helath")
    refused = run(*line, "-o", "third.json", code=1)["error"]  # it had been when it was provisioned
    assert (refused["details"]["claim"], refused["details"]["actual"]) == (
        "object.labels",
        "helath",
    )
    assert not (folder / "third.json").exists()


def _soon() -> str:
    return (datetime.now(UTC) + timedelta(days=2)).isoformat()
