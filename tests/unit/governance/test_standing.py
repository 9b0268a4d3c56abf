# SPDX-License-Identifier: Apache-2.0
"""Would it be let through now: one answer for whoever asks the log, or has replayed it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from placet.governance.account import Times
from placet.governance.documents import Receipt
from placet.governance.envelope import inspect
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import Admission, admit, readmit
from placet.governance.judgements.leasing import check_running
from placet.governance.judgements.standing import check_stands
from placet.governance.ledger import Ledger
from placet.refusals import Refusal

T0 = 1_800_000_000
DAY = 86400
PROGRAM = "sha256:" + "ab" * 32
SEATS = ("chair-a", "data-b", "ethics-c")


@dataclass
class Scene:
    """A job that runs, an admission for another use of it, and a worker that waits for that."""

    world: Any
    ticket: Ticket
    lease: str
    admission: Admission
    spare: str

    @property
    def proposal(self) -> str:
        return self.admission.ticket.proposal.digest

    def told(self) -> dict[str, str]:
        """What each of those who ask is told: the reason of its refusal, or ""."""
        world, proposal = self.world, self.admission.ticket.proposal
        job = world.job_of(self.ticket, "job-2")
        replayed = Ledger(world)
        replayed.replay_all(world.entries, world.head())
        return {
            "admission": told(lambda: admit(world.ledger, self.ticket, job, world.times)),
            "readmission": told(lambda: readmit(world.ledger, proposal, job, world.times)),
            "lease": told(lambda: world.lease_admitted(self.admission, self.spare, job)),
            "client, of a use": told(lambda: check_stands(replayed, proposal, "", world.times)),
            "client, of a lease": told(lambda: check_running(replayed, self.lease, world.times)),
            "renewal": told(lambda: world.renew(self.lease)),
            "release": told(lambda: world.release(self.lease)),
        }


def told(call: Callable[[], object]) -> str:
    """The reason for which a call is refused, or ""."""
    try:
        call()
    except Refusal as refusal:
        return str(refusal.reason)
    return ""


@pytest.fixture
def scene(ready: Any) -> Scene:
    ticket = ready.ticket(ready.proposal(uses=3))
    lease = ready.lease(ticket, ready.join("worker 1"))["lease"]
    return Scene(
        ready,
        ticket,
        lease,
        ready.admitted(ticket, ready.job_of(ticket, "job-2")),
        ready.join("worker 2"),
    )


Stop = Callable[[Any, str], object]

STOPS: dict[str, tuple[str, Stop]] = {
    "a pause": ("STOPPED", lambda w, p: w.record(w.stop("second-a", "pause", p), "second-a")),
    "a cancellation": ("STOPPED", lambda w, p: w.record(w.stop("lab", "cancel", p), "lab")),
    "a veto": ("VETOED", lambda w, p: w.record(w.stop("data-b", "veto", p), "data-b")),
    "a ballot of a seat with a veto": (
        "VETOED",
        lambda w, p: w.record(w.ballot("data-b", p, "non placet", sequence=2), "data-b"),
    ),
    "two contents of one number by a seat with a veto": (
        "VETOED",
        lambda w, p: w.record(w.ballot("data-b", p, interests="others"), "data-b"),
    ),
    "a withdrawal": (
        "GRANT_WITHDRAWN",
        lambda w, _: w.record(
            w.stop("owner-b", "withdraw", next(iter(w.ledger.state.grants))), "owner-b"
        ),
    ),
    "a revoked program": (
        "STOPPED",
        lambda w, _: w.record(w.stop("chair-a", "revoke-program", PROGRAM), "chair-a"),
    ),
    "a revoked seat that a rule needs": (
        "RULE_NOT_MET",
        lambda w, _: w.record(w.stop("data-b", "revoke-seat", "ethics-c"), "data-b"),
    ),
    "a revoked seat that the grant needs": (
        "GRANT_FORBIDS",
        lambda w, _: w.record(w.stop("chair-a", "revoke-seat", "data-b"), "chair-a"),
    ),
    "an approval that a rule needs, taken back": (
        "RULE_NOT_MET",
        lambda w, p: w.record(w.ballot("ethics-c", p, "abstain", sequence=2), "ethics-c"),
    ),
    "an approval that the grant needs, taken back": (
        "GRANT_FORBIDS",
        lambda w, p: w.record(w.ballot("data-b", p, "recuse", sequence=2), "data-b"),
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_whoever_asks_is_told_the_same(scene: Scene, case: str) -> None:
    reason, stop = STOPS[case]
    world = scene.world
    stop(world, scene.proposal)
    before = repr(world.ledger.state), world.ledger.head(), len(world.entries)
    assert scene.told() == dict.fromkeys(scene.told(), reason)
    assert (repr(world.ledger.state), world.ledger.head(), len(world.entries)) == before
    world.close(scene.lease)  # what ends an attempt is always let through


def test_without_a_stop_everybody_is_let_through(scene: Scene) -> None:
    assert set(scene.told().values()) == {""}


def test_a_measurement_that_was_revoked_runs_nothing(scene: Scene) -> None:
    world = scene.world
    world.record(world.stop("chair-a", "revoke-measurement", "cd" * 32), "chair-a")
    found = scene.told()
    stopped = {name for name, reason in found.items() if reason == "STOPPED"}
    assert stopped == {"lease", "client, of a lease", "renewal", "release"}


def test_a_grant_that_has_expired_allows_nothing_that_runs(founded: Any) -> None:
    founded.give(expires=T0 + 100)
    lease = founded.lease(founded.ticket(), founded.join())["lease"]
    founded.times = Times(T0 + 101, T0 + 101)
    assert told(lambda: founded.renew(lease)) == "GRANT_EXPIRED"
    assert told(lambda: founded.release(lease)) == "GRANT_EXPIRED"


def test_no_receipt_names_fewer_than_the_rules_demand(ready: Any) -> None:
    """Revoked while the job ran, and released all the same by one approval: that was the fault."""
    lease = ready.lease(ready.ticket(seats=("chair-a", "data-b", "ethics-c")), ready.join())[
        "lease"
    ]
    ready.record(ready.stop("data-b", "revoke-seat", "ethics-c"), "data-b")
    for call in (ready.renew, ready.release):
        assert told(partial(call, lease)) == "RULE_NOT_MET"
    assert not any(b'"kind":"release"' in entry for entry in ready.entries)


# The exceptions: each holds for what runs, and for nothing else.


def _window(world: Any) -> dict[str, Any]:
    return {"proposal": {"not_after": T0 + 100}}


def _approvals(world: Any) -> dict[str, Any]:
    return {"ballot": {"expires": T0 + 100}}


def _terms(world: Any) -> dict[str, Any]:
    seats = tuple(replace(s, term_end=T0 + 100) for s in world.constitution.seats)
    world.constitution = replace(world.constitution, seats=seats)
    return {}


OVER: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "the window": ("TICKET_EXPIRED", _window),
    "the approvals": ("RULE_NOT_MET", _approvals),
    "the terms of those who approved": ("RULE_NOT_MET", _terms),
}


@pytest.mark.parametrize("case", OVER)
def test_what_time_alone_has_ended_does_not_end_what_runs(world: Any, case: str) -> None:
    reason, make = OVER[case]
    changes = make(world)
    world.found().boot()
    world.give()
    proposed = world.proposal(**{"uses": 3, **changes.get("proposal", {})})
    proposal = world.record(proposed, "lab")["proposal"]
    for seat in SEATS:
        world.record(world.ballot(seat, proposal, **changes.get("ballot", {})), seat)
    ticket = Ticket(world.signed(proposed, "lab"), ())
    lease = world.lease(ticket, world.join("worker 1"))["lease"]
    lost = world.lease(ticket, world.join("worker 2"), "job-2")["lease"]
    world.close(lost)
    world.times = Times(T0 + 101, T0 + 101)
    world.renew(lease)
    receipt = inspect(world.store[world.release(lease)["receipt"]], Receipt).predicate
    assert receipt.approved_by == SEATS  # those who let it through, whom the rules demand
    spare = world.join("worker 3")
    for job in ("job-2", "job-3"):  # another attempt, another use
        assert told(partial(admit, world.ledger, ticket, job, world.times)) == reason
        assert told(partial(world.lease, ticket, spare, job)) == reason


def test_what_is_said_after_the_lease_counts(scene: Scene) -> None:
    """An approval in place of one that was taken back counts as if it had always been there."""
    world = scene.world
    world.record(world.ballot("chair-a", scene.proposal, "abstain", sequence=2), "chair-a")
    world.record(world.ballot("data-b", scene.proposal, "recuse", sequence=2), "data-b")
    assert told(lambda: world.renew(scene.lease)) == "RULE_NOT_MET"
    world.record(world.ballot("second-a", scene.proposal), "second-a")
    assert told(lambda: world.renew(scene.lease)) == "GRANT_FORBIDS"  # which names data-b
    world.record(world.ballot("data-b", scene.proposal, sequence=3), "data-b")
    world.renew(scene.lease)
    receipt = inspect(world.store[world.release(scene.lease)["receipt"]], Receipt).predicate
    assert receipt.approved_by == ("data-b", "ethics-c", "second-a")


def test_an_amendment_that_ends_a_proposal_does_not_end_what_runs(scene: Scene) -> None:
    world, proposal = scene.world, scene.admission.ticket.proposal
    world.end_proposals()
    world.renew(scene.lease)
    assert (
        told(lambda: readmit(world.ledger, proposal, "job-2", world.times)) == "OTHER_CONSTITUTION"
    )
    world.release(scene.lease)
