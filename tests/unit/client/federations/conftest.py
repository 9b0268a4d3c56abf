# SPDX-License-Identifier: Apache-2.0
"""A federation of three clients that the council has voted for."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.client import Client, Keys
from tests.support import documents

TERMS = documents.federate(("alice", "bob", "owner"), clip="2", attempts=1)

Start = Callable[..., str]


@pytest.fixture
def start(founded: Client, people: dict[str, Keys]) -> Start:
    """Propose a federation, vote, and start it; returns its id."""

    def run(votes: tuple[str, ...] = ("alice", "bob"), **changes: Any) -> str:
        terms, now = replace(TERMS, **changes), int(time.time())
        digest = founded.council.propose(
            people["analyst"],
            terms,
            purpose="research",
            reason="To learn together.",
            not_before=now - 10,
            not_after=now + 86400,
            uses=terms.rounds,
        ).digest
        for seat in votes:
            founded.council.vote(people[seat], digest, "placet")
        if len(votes) == 2:
            status = founded.runs.start(founded.council.ticket(digest))
            assert (status.id, status.state, status.federation.round) == (digest, "running", 1)
        return digest

    return run


@pytest.fixture
def join(founded: Client, people: dict[str, Keys], start: Start) -> Callable[..., Any]:
    """Start a federation; a function that gives a client's view of it."""
    id = start()

    def run(name: str = "alice") -> Any:
        return founded.federations.join(id, people[name])

    return run
