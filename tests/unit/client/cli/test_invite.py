# SPDX-License-Identifier: Apache-2.0
"""invite, join and share on the command line: what they refuse, and how they go on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from placet.client import Home
from placet.client.cli import app
from tests.support.inside.hosted import Hosted

COUNCIL = """
name = "Two"
labels = ["health"]
seats = ["north", "south"]
parties = [{ id = "analyst", organisation = "north" }]
[[rules]]
id = "all"
title = "Everything"
when = { actions = "any", purposes = "any", labels = "any" }
demands = [
  { demand = "approvals", at_least = 2 },
  { demand = "organisations", at_least = 2 },
  { demand = "lifetime", seconds = 604800 },
  { demand = "uses", at_most = 3 },
]
"""
Line = Callable[..., Any]


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.chdir(tmp_path)
    for name in ("PLACET_HOME", "PLACET_KEY", "PLACET_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def run(home: str, *words: str, code: int = 0, **settings: Any) -> Any:
        result = CliRunner().invoke(app, ["--home", home, *words, "--json"], **settings)
        assert result.exit_code == code, result.output
        written = (result.stdout if code == 0 else result.stderr).splitlines()
        start = next(i for i, text in enumerate(written) if text.startswith("{"))
        return json.loads("\n".join(written[start:]))

    return run


@pytest.fixture
def links(line: Line, host: Hosted, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "council.toml").write_text(COUNCIL)
    founder = host.told[2].split()[1].replace(host.told[0].split()[1], host.address)
    made = line("none", "invite", "council.toml", founder, "--enclave", "development")
    return {id: typed.removeprefix("placet join ") for id, typed in made["lines"].items()}


def test_the_same_line_goes_on_where_it_stopped(
    line: Line, links: dict[str, str], host: Hosted
) -> None:
    join = ("join", "--no-wait", "--yes")
    for id, link in links.items():
        assert line(id, *join, link)["state"] == ("signed" if id == "analyst" else "joined")
    assert line("north", *join, links["north"])["state"] == "signed"
    assert line("north", *join, links["north"])["state"] == "signed"  # it is signed once
    assert line("south", *join, links["south"])["state"] == "founded"
    told = [line(id, *join, link) for id, link in links.items()]
    assert {one["state"] for one in told} == {"founded"}
    assert len({one["charter"] for one in told}) == 1
    assert {p.name for p in Home(Path("analyst")).members.iterdir()} == {
        f"{id}.pub.json" for id in links
    }
    assert host.called.count("Governance.Found") >= 1


def test_nothing_is_signed_unseen(line: Line, links: dict[str, str]) -> None:
    """Nobody can be asked here, so without --yes nothing is signed; a party is asked too."""
    for id, link in links.items():
        line(id, "join", "--no-wait", link, "--yes")
    assert "Nobody can be asked" in str(line("north", "join", links["north"], code=2))
    for id in ("north", "south"):
        line(id, "join", "--no-wait", links[id], "--yes")
    assert "Nobody can be asked" in str(line("analyst", "join", links["analyst"], code=2))
    assert not Home(Path("analyst")).memory().charter


def test_a_home_of_another_council_keeps_its_host(
    line: Line, links: dict[str, str], tmp_path: Path
) -> None:
    home = Home(tmp_path / "other")
    home.configure("elsewhere:1", "sha256:" + "11" * 32, "sha256:" + "22" * 32)
    refused = line("other", "join", links["north"], code=2)
    assert "of another council" in refused["error"]["message"]
    assert home.host()[0] == "elsewhere:1"


def test_a_link_s_seat_is_its_own(line: Line, links: dict[str, str]) -> None:
    line("north", "join", "--no-wait", links["north"])
    refused = line("eve", "join", "--no-wait", links["north"], code=2)
    assert "sign nothing" in refused["error"]["message"]
    council = "placet://h:1/" + "0" * 64 + "/" + "0" * 64
    assert "placet init" in line("eve", "join", council, code=2)["error"]["message"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ('id = "analyst"', 'id = "analyst", keys = ["a.pub.json"]'),
            "keys are listed for analyst",
        ),
        (("demands = [", "demands = [ { demand = 1 },"), "demand"),
        (('seats = ["north", "south"]', "seats = 3"), "list of seats"),
        (('["north", "south"]', '["north"]'), "approvals"),
    ],
)
def test_a_council_that_cannot_be_is_refused_before_anybody_is_invited(
    line: Line, host: Hosted, tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    (tmp_path / "council.toml").write_text(COUNCIL.replace(*change))
    words = ("invite", "council.toml", host.told[2].split()[1], "--enclave", "development")
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code != 0
    assert told in " ".join(result.output.split())
    assert "Founding.Open" not in host.called


def test_without_evidence_or_a_build_nobody_is_invited(
    line: Line, host: Hosted, tmp_path: Path
) -> None:
    (tmp_path / "council.toml").write_text(COUNCIL)
    refused = line("none", "invite", "council.toml", host.told[2].split()[1], code=2)
    assert "--enclave" in refused["error"]["message"]
