# SPDX-License-Identifier: Apache-2.0
"""A no stands until its author says otherwise: neither time nor a revocation takes it back."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from placet.governance.account import Times
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import admit
from placet.refusals import Refusal

T0 = 1_800_000_000
DAY = 86400
FAR = 2**40


def told(call: Callable[[], object]) -> str:
    """The reason for which a call is refused, or ""."""
    try:
        call()
    except Refusal as refusal:
        return str(refusal.reason)
    return ""


def proposed(world: Any, opens: int = T0) -> tuple[str, Ticket]:
    """A proposal in the log whose window opens then, with approvals that never end; its ticket."""
    proposal = world.proposal(not_before=opens, not_after=opens + DAY)
    digest = world.record(proposal, "lab")["proposal"]
    for seat in ("chair-a", "ethics-c"):
        world.record(world.ballot(seat, digest, expires=FAR), seat)
    return digest, Ticket(world.signed(proposal, "lab"), ())


def at(world: Any, now: int) -> Any:
    world.times = Times(now, now)
    return world


NOS: dict[str, Callable[[Any, str], object]] = {
    "non placet": lambda w, p: w.record(w.ballot("data-b", p, "non placet"), "data-b"),
    "two contents of one number": lambda w, p: [
        w.record(w.ballot("data-b", p, expires=T0 + 1), "data-b") for _ in range(2)
    ],
    "a yes, then its opposite": lambda w, p: [
        w.record(w.ballot("data-b", p, vote), "data-b") for vote in ("placet", "non placet")
    ],
    "a veto": lambda w, p: w.record(w.stop("data-b", "veto", p), "data-b"),
}


@pytest.mark.parametrize("case", NOS)
@pytest.mark.parametrize("days", [0, 31, 364])
def test_a_window_that_opens_later_finds_the_no_as_it_was(
    founded: Any, case: str, days: int
) -> None:
    """Whether time passes, or a host sets its clock there."""
    founded.give(approvals=(), expires=FAR)
    digest, ticket = proposed(founded, T0 + days * DAY)
    NOS[case](founded, digest)
    at(founded, T0 + days * DAY + 60)
    assert told(lambda: admit(founded.ledger, ticket, "j", founded.times)) == "VETOED"


@pytest.mark.parametrize("case", NOS)
def test_no_end_of_a_term_and_no_revocation_takes_it_back(world: Any, case: str) -> None:
    seats = world.constitution.seats
    short = [replace(s, term_end=T0 + DAY) if s.id == "data-b" else s for s in seats]
    world.constitution = replace(world.constitution, seats=tuple(short))
    world.found().boot()
    world.give(approvals=(), expires=FAR)
    digest, ticket = proposed(world, T0 + 3 * DAY)
    NOS[case](world, digest)
    world.record(world.stop("chair-a", "revoke-seat", "data-b"), "chair-a")
    at(world, T0 + 3 * DAY + 60)
    assert told(lambda: admit(world.ledger, ticket, "j", world.times)) == "VETOED"


def test_its_author_lifts_it(founded: Any) -> None:
    founded.give(approvals=())
    digest, ticket = proposed(founded)
    founded.record(founded.ballot("data-b", digest, "non placet"), "data-b")
    assert told(lambda: admit(founded.ledger, ticket, "j", founded.times)) == "VETOED"
    founded.record(founded.ballot("data-b", digest, "abstain", sequence=2), "data-b")
    admit(founded.ledger, ticket, "j", founded.times)


@pytest.mark.parametrize("vote", ["placet", "abstain", "recuse"])
@pytest.mark.parametrize("case", ["non placet", "two contents of one number"])
def test_whoever_holds_the_key_of_a_revoked_seat_lifts_nothing(
    founded: Any, case: str, vote: str
) -> None:
    """By no ballot, whether it is sent alone or comes with a ticket."""
    founded.give(approvals=())
    digest, ticket = proposed(founded)
    NOS[case](founded, digest)
    founded.record(founded.stop("chair-a", "revoke-seat", "data-b"), "chair-a")
    lifting = founded.ballot("data-b", digest, vote, sequence=2)
    assert told(lambda: founded.record(lifting, "data-b")) == "SEAT_EXPIRED"
    bundle = replace(ticket, ballots=(founded.signed(lifting, "data-b"),))
    assert told(lambda: admit(founded.ledger, bundle, "j", founded.times)) == "VETOED"
    founded.record(founded.ballot("data-b", digest, "non placet", sequence=3), "data-b")


@pytest.mark.parametrize("vote", ["abstain", "recuse", "non placet"])
def test_a_revoked_seat_still_takes_its_yes_back(founded: Any, vote: str) -> None:
    founded.give(approvals=())
    digest, _ = proposed(founded)
    founded.record(founded.ballot("data-b", digest), "data-b")
    founded.record(founded.stop("chair-a", "revoke-seat", "data-b"), "chair-a")
    founded.record(founded.ballot("data-b", digest, vote, sequence=2), "data-b")


@pytest.mark.parametrize("vote", ["abstain", "recuse"])
def test_a_yes_that_was_taken_back_does_not_come_again(founded: Any, vote: str) -> None:
    founded.give(approvals=(), expires=FAR)
    digest, ticket = proposed(founded, T0 + 100 * DAY)
    founded.record(founded.ballot("ethics-c", digest, vote, sequence=2), "ethics-c")
    at(founded, T0 + 100 * DAY)
    assert told(lambda: admit(founded.ledger, ticket, "j", founded.times)) == "RULE_NOT_MET"


def test_a_withdrawal_outlasts_amendments_and_times(founded: Any) -> None:
    grant = founded.give(expires=FAR)["grant"]
    founded.record(founded.stop("owner-b", "withdraw", grant), "owner-b")
    founded.amend(name="Another name")
    at(founded, T0 + 300 * DAY)
    digest, ticket = proposed(founded, T0 + 300 * DAY)
    founded.record(founded.ballot("data-b", digest, expires=FAR), "data-b")
    assert told(lambda: admit(founded.ledger, ticket, "j", founded.times)) == "GRANT_WITHDRAWN"


# Who may withdraw.


def test_a_key_that_was_replaced_withdraws_nothing(founded: Any) -> None:
    """It may have been stolen. The owner withdraws with the keys that were listed last."""
    grant = founded.give()["grant"]
    owner, lab = founded.constitution.parties
    founded.amend(parties=(replace(owner, keys=(founded.key("owner-b/2").public,)), lab))
    stop = founded.stop("owner-b", "withdraw", grant)
    for _ in range(2):
        assert told(partial(founded.record, stop, "owner-b")) == "SIGNATURE_INVALID"
        # Left out since: what counts is who they were last.
        founded.amend(parties=(lab,))
    founded.record(founded.stop("owner-b", "withdraw", grant), "owner-b/2")
    assert founded.ledger.state.grants[grant].withdrawn


def test_what_a_replaced_key_has_signed_is_read_again_after_a_restart(founded: Any) -> None:
    grant = founded.give()["grant"]
    owner, lab = founded.constitution.parties
    founded.amend(parties=(replace(owner, keys=(founded.key("owner-b/2").public,)), lab))
    founded.forget()
    assert founded.ledger.grant(grant).digest == grant
