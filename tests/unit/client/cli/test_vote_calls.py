# SPDX-License-Identifier: Apache-2.0
"""How much is asked of a host for one vote, counted at the channel."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from placet.client import CharterDraft, Client, Home, Keys
from placet.client.cli import app
from placet.governance.documents import Amendment, Constitution
from placet.governance.envelope import digest_of
from tests.support.inside.relay import Call

DAY = 86400
AT_MOST = 4
Vote = Callable[..., None]
opened: list[str] = []
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)


@pytest.fixture
def starts(host: Any) -> list[int]:
    """From which entries on the log is read."""
    found = list[int]()

    async def noted(call: Call) -> Any:
        found.append(call.request.start)
        async for answer in call.forward():
            yield answer

    host.relay.lie("Log.GetEntries", noted)
    return found


@pytest.fixture
def vote(
    home: Home,
    host: Any,
    starts: list[int],
    people: dict[str, Keys],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Vote:
    """Vote as bob, by the command; the calls of it are left in `host.called` and `starts`."""
    key = tmp_path / "bob.key"
    people["bob"].save(key)
    for name in ("PLACET_HOME", "PLACET_KEY", "PLACET_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, **settings: Any) -> None:
        with Client.at_home(home, keys=people["bob"]) as client:
            client.runs.list(1)  # logs in, which lasts
        host.called.clear()
        starts.clear()
        opened.clear()
        line = ["--home", str(home.folder), "vote", *arguments, "--key", str(key)]
        result = CliRunner().invoke(app, line, **settings)
        assert result.exit_code == 0, result.output

    return run


@pytest.fixture(params=[False, True], ids=["before", "after an amendment"])
def amended(
    request: pytest.FixtureRequest,
    founded: Client,
    constitution: Constitution,
    people: dict[str, Keys],
) -> None:
    """The council, which may have amended its constitution; this home has seen the newest one."""
    if request.param:
        predecessor = founded.council.verify().newest.digest
        successor = replace(constitution, nonce="02" * 16, version=2, predecessor=predecessor)
        now = int(time.time())
        proposal = founded.council.propose(
            people["alice"],
            Amendment(digest_of(CharterDraft.payload_of(successor))),
            purpose="amendment",
            reason="Better.",
            not_before=now - 10,
            not_after=now + DAY,
        ).digest
        for seat in ("alice", "bob"):
            founded.council.vote(people[seat], proposal, "placet")
        founded.council.amend(people["alice"], proposal, successor)
    founded.council.verify()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there to be asked."""

    def isatty(_: object) -> bool:
        return True

    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", isatty)


def forget(home: Home, digest: str) -> None:
    """As if another home had proposed it: this one has never seen the document."""
    (home.folder / "documents" / digest.removeprefix("sha256:")).unlink()


def check(host: Any, starts: list[int]) -> None:
    """Few calls, and only entries that this home has not seen: none, and then the ballot's."""
    assert host.called[-2:] == ["Governance.Vote", "Log.GetEntries"]
    assert len(host.called) <= AT_MOST
    size = len(host.entries)
    assert starts == [size - 1, size - 1]


@pytest.mark.usefixtures("amended")
def test_a_vote_by_digest(
    host: Any, starts: list[int], home: Home, propose: Callable[[], str], vote: Vote
) -> None:
    digest = propose()
    forget(home, digest)
    vote(digest, "placet", "--yes")
    check(host, starts)


@pytest.mark.usefixtures("amended", "terminal")
def test_a_vote_that_asks_first(
    host: Any,
    starts: list[int],
    home: Home,
    propose: Callable[[], str],
    vote: Vote,
) -> None:
    digest = propose()
    forget(home, digest)
    vote(digest, "placet", input="y\n")
    check(host, starts)


@pytest.mark.usefixtures("amended", "terminal")
@pytest.mark.parametrize("yes", [[], ["--yes"]], ids=["asked", "--yes"])
def test_a_vote_by_the_start_of_a_digest(
    host: Any,
    starts: list[int],
    home: Home,
    propose: Callable[[], str],
    vote: Vote,
    yes: list[str],
) -> None:
    """It is shown first, so that it can be seen which one was meant, also with --yes."""
    digest = propose()
    forget(home, digest)
    vote(digest[7:20], "placet", *yes, input="y\ny\n")
    check(host, starts)


@pytest.mark.usefixtures("amended")
def test_the_checkpoint_is_read_once_a_command(
    home: Home, propose: Callable[[], str], vote: Vote
) -> None:
    """Reading it verifies a signature: whether it has changed is seen without."""
    digest = propose()
    vote(digest, "placet", "--yes")
    assert opened.count(str(home.folder / "council.json")) == 1
