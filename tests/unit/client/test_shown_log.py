# SPDX-License-Identifier: Apache-2.0
"""What a host can still show a client: an older log than it has, and never an older one than this
home has seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from placet.client import Client, Home, Keys
from placet.refusals import LogTruncated, Stopped
from tests.support.inside.questions import Questions


def test_an_older_log_than_it_has_hides_a_stop_of_others(
    founded: Client, host: Any, served: tuple[str, str], people: dict[str, Keys],
    propose: Callable[[], str], tmp_path: Path,
) -> None:  # fmt: skip
    """Somebody else's home has seen nothing of the stop, and is shown the log as it was before."""
    digest = propose()
    before = len(host.entries)
    founded.council.stop(people["alice"], "pause", digest)
    host.show(before)
    other = Home(tmp_path / "other")
    other.configure(*served, founded.log.charter)
    with Client.at_home(other) as client:
        assert not client.log.ledger().state.proposals[digest].stopped
        host.honest()
        assert client.log.ledger().state.proposals[digest].stopped == "pause"
        host.show(before)  # what this home has seen it has seen
        with pytest.raises(LogTruncated):
            client.log.ledger()


def test_a_stop_of_its_own_home_is_hidden_from_nobody_there(
    founded: Client, host: Any, home: Home, people: dict[str, Keys], serve: Callable[..., str],
    questions: Questions,
) -> None:  # fmt: skip
    """The host goes on describing the worker, which has heard nothing."""
    service = serve()
    founded.services.verify(service)
    questions.kept, host.workers[-1].deaf = questions.told, True
    before = len(host.entries)
    founded.council.stop(people["alice"], "pause", service)
    host.show(before)
    with Client.at_home(home, simulated=True) as client, pytest.raises(LogTruncated):
        client.services.verify(service)
    host.honest("Log.GetEntries")
    with Client.at_home(home, simulated=True) as client, pytest.raises(Stopped):
        client.services.verify(service)


def test_nothing_is_started_at_a_host_that_was_rolled_back(
    founded: Client, host: Any, home: Home, people: dict[str, Keys], propose: Callable[[], str]
) -> None:
    """The ticket is of before the stop, which the host may have forgotten with its uses."""
    digest = propose()
    for seat in ("alice", "bob"):
        founded.council.vote(people[seat], digest, "placet")
    ticket, before = founded.council.ticket(digest), len(host.entries)
    founded.council.stop(people["alice"], "pause", digest)
    host.show(before)
    with Client.at_home(home) as client, pytest.raises(LogTruncated):
        client.runs.start(ticket)
    assert "Runs.Start" not in host.called and not founded.runs.list()


def test_status_says_that_nobody_witnesses_the_log(founded: Client) -> None:
    assert {"SIMULATED", "UNWITNESSED"} <= set(founded.status().marks)
