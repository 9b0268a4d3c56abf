# SPDX-License-Identifier: Apache-2.0
"""How a proposal stands: each state, since when, and by whom; and its sentences."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.auditing.explain_standing import explain_standing, stopped_by
from placet.auditing.standing import Acts, ProposalStanding, stand
from placet.governance.account import Times
from placet.governance.evaluate import Ticket
from placet.governance.ledger import Ledger

T0 = 1_800_000_000
SEATS = ("chair-a", "data-b", "ethics-c")
Change = Callable[[Any, str], object]


def stands(world: Any, proposal: str) -> ProposalStanding:
    """By whoever has replayed the log."""
    replayed = Ledger(world)
    replayed.replay_all(world.entries, world.head())
    return stand(replayed, Acts().follow(world.entries), proposal, world.times)


def propose(world: Any, **changes: Any) -> str:
    return str(world.record(world.proposal(**changes), "lab")["proposal"])


def approve(world: Any, proposal: str) -> None:
    for seat in SEATS:
        world.record(world.ballot(seat, proposal), seat)


def run(world: Any, proposal: str, own: str = "job-1") -> str:
    """Give a lease for a use; returns it."""
    ticket = Ticket(world.store[proposal], ())
    return str(world.lease(ticket, world.join(f"worker {own}"), own)["lease"])


def late(world: Any, seconds: int) -> None:
    world.times = Times(T0 + seconds, T0 + seconds)


def stop(by: str, action: str) -> Change:
    return lambda world, p: world.record(world.stop(by, action, p), by)


def end(world: Any, proposal: str) -> None:
    world.release(run(world, proposal))


CASES: dict[str, tuple[list[Change], str, tuple[str, ...]]] = {
    "proposed": ([], "waiting", ("lab",)),
    "approved": ([approve], "approved", SEATS),
    "runs": ([approve, run], "running", ()),
    "has run": ([approve, end], "used up", ()),
    "paused": ([approve, stop("second-a", "pause")], "paused", ("second-a",)),
    "paused while it runs": (
        [approve, run, stop("second-a", "pause")],
        "paused",
        ("second-a",),
    ),
    "vetoed": ([approve, stop("data-b", "veto")], "vetoed", ("data-b",)),
    "vetoed, then paused": (
        [stop("data-b", "veto"), stop("chair-a", "pause")],
        "vetoed",
        ("data-b",),
    ),
    "vetoed by a ballot": (
        [lambda w, p: w.record(w.ballot("data-b", p, "non placet"), "data-b")],
        "vetoed",
        ("data-b",),
    ),
    "cancelled": ([stop("lab", "cancel")], "cancelled", ("lab",)),
    "its program revoked": (
        [
            lambda w, p: w.record(
                w.stop("chair-a", "revoke-program", "sha256:" + "ab" * 32), "chair-a"
            )
        ],
        "revoked",
        ("chair-a",),
    ),
    "expired": ([approve, lambda w, _: late(w, 90_000)], "expired", ()),
    "an amendment": ([approve, lambda w, _: w.end_proposals()], "retired", ("chair-a",)),
    "an amendment of something else": (
        [approve, lambda w, _: w.amend(name="Renamed")],
        "approved",
        ("chair-a", "data-b", "ethics-c"),
    ),
    "an approval taken back": (
        [
            approve,
            lambda w, p: w.record(w.ballot("ethics-c", p, "abstain", sequence=2), "ethics-c"),
        ],
        "waiting",
        ("lab",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_proposal_has_one_state(ready: Any, case: str) -> None:
    changes, state, by = CASES[case]
    proposal = propose(ready)
    for change in changes:
        change(ready, proposal)
    found = stands(ready, proposal)
    assert (found.state, found.by) == (state, by)
    # What the rules lack is told only where votes can still change it, and an approval lacks none.
    assert bool(found.missing) == (found.voting and state != "approved")
    if state != "running":  # while it runs, another use may be left or not
        assert bool(found.refusals) == (state != "approved")
    assert (found.entry is None) == (state == "expired")
    if state in ("paused", "vetoed", "cancelled", "revoked"):
        assert by[0] in stopped_by(found)


def test_a_use_that_is_left_is_no_last_use(ready: Any) -> None:
    proposal = propose(ready, uses=2)
    approve(ready, proposal)
    end(ready, proposal)
    found = stands(ready, proposal)
    assert (found.state, found.taken, found.uses) == ("approved", 1, 2)


def test_nothing_runs_once_its_lease_is_over(ready: Any) -> None:
    proposal = propose(ready, uses=2)
    approve(ready, proposal)
    run(ready, proposal)
    late(ready, 50_000)
    assert stands(ready, proposal).state == "approved"


def test_approved_and_not_yet_open(ready: Any) -> None:
    proposal = propose(ready, not_before=T0 + 100)
    approve(ready, proposal)
    found = stands(ready, proposal)
    assert (found.state, found.brief, found.opens) == ("approved", "not yet open", T0 + 100)
    assert "Nothing of it may start before 2027-01-15 08:01:40 UTC." in explain_standing(found)
    late(ready, 100)
    assert stands(ready, proposal).brief == "approved"


@pytest.mark.parametrize("change", [{"uses": 4}, {"purpose": "advertising"}])
def test_what_no_vote_can_let_through_does_not_wait_for_votes(ready: Any, change: Any) -> None:
    assert stands(ready, propose(ready, **change)).state == "refused"


def test_an_amendment_that_is_in_force_is_used_up(ready: Any) -> None:
    ready.amend(name="Renamed")
    proposal = next(reversed(ready.ledger.state.proposals))
    found = stands(ready, proposal)
    assert (found.state, found.entry) == ("used up", len(ready.entries) - 1)


def test_the_sentences_say_who_when_and_why(ready: Any) -> None:
    proposal = propose(ready)
    approve(ready, proposal)
    ready.record(ready.stop("data-b", "veto", proposal, reason="Not\nthis."), "data-b")
    found = stands(ready, proposal)
    first = found.acts[0].index
    words: dict[str, str | None] = {found.document: "Not\nthis.", found.acts[1].document: None}
    lines = explain_standing(replace(found, words=words))
    when = "2027-01-15 08:00:00 UTC"
    assert lines == [
        f"The proposal is vetoed, since {when} (entry {first + 4}), by data-b.",
        "Uses taken: 0 of 1.",
        "Propose again if the council still wants it.",
        f"Entry {first}, {when}: lab proposed it.",
        f"Entry {first + 1}, {when}: chair-a said placet.",
        "The host does not show what was signed for it.",
        f"Entry {first + 2}, {when}: data-b said placet.",
        f"Entry {first + 3}, {when}: ethics-c said placet.",
        f"Entry {first + 4}, {when}: data-b vetoed it.",
        "The reason of data-b, in its author's words:",
        "| Not",
        "| this.",
    ]
    assert stopped_by(replace(found, words=words)).endswith(': "Not\\nthis.".')
    assert replace(found, words=words).to_dict()["reason"] == "Not\nthis."
