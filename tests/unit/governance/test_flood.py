# SPDX-License-Identifier: Apache-2.0
"""One principal's flood of documents: what decides stays small, what may enter is bounded, and
nobody's no waits."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.governance.account import Times
from placet.governance.ballot_state import StandingBallots, stood_before
from placet.governance.codec import encode
from placet.governance.documents import Limits
from placet.governance.envelope import digest_of
from placet.governance.evaluate import MAX_BALLOTS, Ticket
from placet.governance.judgements.admission import (
    admit,
    judge_ballot,
    judge_grant,
    judge_proposal,
)
from placet.governance.judgements.standing import standing_ballots
from placet.refusals import TooManyDocuments, Vetoed
from tests.support.world import T0, World
from tests.unit.governance.test_work import work

FEW = Limits(300, 3600, documents=3, documents_seconds=100)
MANY = Limits(300, 3600, documents=10_000, documents_seconds=1)


def founded_with(limits: Limits) -> World:
    world = World()
    world.constitution = replace(world.constitution, limits=limits)
    world.found()
    world.boot()
    world.give()
    return world


def at(world: World, seconds: int) -> None:
    world.times = Times(T0 + seconds, T0 + seconds)


def too_many(call: Callable[[], object], taken_at: int) -> None:
    with pytest.raises(TooManyDocuments) as error:
        call()
    assert error.value.details["claim"] == "limits.documents"
    assert error.value.details["expected"] == f"at or after {taken_at}"


def cast(world: World, seat: str, proposal: str, sequence: int, vote: str = "placet") -> None:
    ballot = world.ballot(seat, proposal, vote, sequence=sequence)
    world.record(ballot, seat)


def proposed(world: World) -> tuple[bytes, str]:
    proposal = world.proposal()
    world.record(proposal, "lab")
    return world.signed(proposal, "lab"), digest_of(encode(proposal))


def test_each_kind_of_document_counts_and_the_refusal_says_when_the_next_is_taken() -> None:
    world = founded_with(FEW)  # owner-b's grant is one
    proposal = world.proposal(proposer="owner-b")
    world.record(proposal, "owner-b")
    at(world, 40)
    world.give()
    grant = world.signed(world.grant(), "owner-b")
    again = world.signed(world.proposal(proposer="owner-b"), "owner-b")
    too_many(lambda: judge_grant(world.ledger, grant, world.times), T0 + 100)
    too_many(lambda: judge_proposal(world.ledger, again, world.times), T0 + 100)
    world.record(world.proposal(), "lab")  # another principal's are its own
    at(world, 99)
    too_many(lambda: judge_grant(world.ledger, grant, world.times), T0 + 100)
    at(world, 100)
    world.add(judge_grant(world.ledger, grant, world.times), grant)
    world.add(judge_proposal(world.ledger, again, world.times), again)
    too_many(lambda: world.give(), T0 + 140)


def test_nobodys_no_waits() -> None:
    world = founded_with(FEW)
    _, digest = proposed(world)
    for sequence in (1, 2, 3):
        cast(world, "data-b", digest, sequence)
    one_more = world.signed(world.ballot("data-b", digest, sequence=4), "data-b")
    too_many(lambda: judge_ballot(world.ledger, one_more, world.times), T0 + 100)
    # What takes the yes back, a no, another no, a second content of one number, and stops.
    cast(world, "data-b", digest, 4, "abstain")
    for sequence in (5, 6, 6):
        cast(world, "data-b", digest, sequence, "non placet")
    for action in ("pause", "veto"):
        world.record(world.stop("data-b", action, digest), "data-b")
    # To lift the no enables, and waits.
    lift = world.signed(world.ballot("data-b", digest, "abstain", sequence=7), "data-b")
    too_many(lambda: judge_ballot(world.ledger, lift, world.times), T0 + 100)
    assert len(world.ledger.state.entered["data-b"]) == 3


def test_yes_and_no_in_turn_are_bounded() -> None:
    world = founded_with(FEW)
    _, digest = proposed(world)
    with pytest.raises(TooManyDocuments):
        for sequence in range(1, 20):
            cast(world, "data-b", digest, sequence, ("abstain", "placet")[sequence % 2])
    assert len(world.ledger.state.proposals[digest].ballots) == 6


def test_a_bundle_brings_no_more_than_its_signers_may_have_entered() -> None:
    """Its proposal is refused; a ballot too many decides nothing, and another seat's do."""
    world = founded_with(FEW)
    _, other = proposed(world)
    for sequence in (1, 2, 3):
        cast(world, "chair-a", other, sequence)
    ticket = world.ticket(seats=("chair-a", "data-b", "ethics-c", "second-a"))
    admitted = admit(world.ledger, ticket, "j", world.times)
    assert {b.document.seat for b in admitted.new_ballots} == {"data-b", "ethics-c", "second-a"}
    world.enter(admitted)
    proposed(world)
    too_many(lambda: admit(world.ledger, world.ticket(), "j", world.times), T0 + 100)


def test_a_seat_that_proposes_and_votes_in_one_bundle_has_two_documents() -> None:
    world = founded_with(replace(FEW, documents=1))
    proposal = world.proposal(proposer="second-a")
    seats = ("chair-a", "data-b", "ethics-c", "second-a")
    admitted = admit(world.ledger, world.ticket(proposal, seats), "j", world.times)
    assert "second-a" not in {b.document.seat for b in admitted.new_ballots}
    world.enter(admitted)


def test_a_no_in_a_bundle_stays_where_what_follows_it_comes_too_often() -> None:
    world = founded_with(FEW)
    _, other = proposed(world)
    for sequence in (1, 2, 3):
        cast(world, "data-b", other, sequence)
    envelope, digest = proposed(world)
    votes = tuple(
        world.signed(world.ballot("data-b", digest, vote, sequence=sequence), "data-b")
        for sequence, vote in ((1, "non placet"), (2, "abstain"))
    )
    others = world.vote("chair-a", "ethics-c", proposal=digest)
    with pytest.raises(Vetoed):
        admit(world.ledger, Ticket(envelope, (*votes, *others)), "j", world.times)


def test_an_amended_bound_counts_what_was_before_it() -> None:
    world = founded_with(MANY)
    _, digest = proposed(world)
    for sequence in range(1, 6):
        cast(world, "data-b", digest, sequence)
    world.amend(limits=FEW)
    late = world.signed(world.proposal(proposer="data-b"), "data-b")
    too_many(lambda: judge_proposal(world.ledger, late, world.times), T0 + 100)


@pytest.fixture(scope="module")
def flooded() -> Callable[[int], tuple[World, Ticket]]:
    """A proposal with so many ballots of one seat, and one of each other, and its ticket."""

    def flood(number: int) -> tuple[World, Ticket]:
        world = founded_with(MANY)
        envelope, digest = proposed(world)
        for sequence in range(1, number + 1):
            cast(world, "second-a", digest, sequence, ("placet", "recuse")[sequence % 2])
        for seat in ("chair-a", "data-b", "ethics-c"):
            cast(world, seat, digest, 1)
        stand = standing_ballots(world.ledger, digest)
        return world, Ticket(envelope, tuple(ballot.envelope for ballot in stand))

    return flood


def test_a_flood_leaves_a_ticket_as_it_was(flooded: Any) -> None:
    world, ticket = flooded(MAX_BALLOTS + 100)
    assert len(ticket.ballots) == 4
    known = next(iter(world.ledger.state.proposals.values()))
    assert len(known.ballots) == MAX_BALLOTS + 103
    assert admit(world.ledger, ticket, "j", world.times).ticket.ballots
    world.lease(ticket, world.join(), "job-1")


def test_a_ballot_and_a_ticket_cost_the_same_after_many_ballots(flooded: Any) -> None:
    def costs(number: int) -> tuple[int, int]:
        world, ticket = flooded(number)
        [digest] = world.ledger.state.proposals
        more = world.signed(world.ballot("second-a", digest, sequence=number + 1), "second-a")
        judged = work(lambda: judge_ballot(world.ledger, more, world.times))
        return judged, work(lambda: admit(world.ledger, ticket, "j", world.times))

    costs(10)  # caches and decoders are made
    for few, many in zip(costs(50), costs(400), strict=True):
        assert many <= 1.2 * few + 200


def test_twice_the_ballots_of_a_bundle_are_at_most_about_twice_the_work() -> None:
    def cost(number: int) -> int:
        world = founded_with(MANY)
        proposal = world.proposal()
        digest = digest_of(encode(proposal))
        many = tuple(
            world.signed(world.ballot("second-a", digest, sequence=sequence), "second-a")
            for sequence in range(1, number + 1)
        )
        ticket = world.ticket(proposal)
        whole = replace(ticket, ballots=(*ticket.ballots, *many))
        return work(lambda: admit(world.ledger, whole, "j", world.times))

    cost(10)
    assert cost(200) <= 2.3 * cost(100)


def test_what_stood_before_an_entry_is_what_decided_then() -> None:
    world = founded_with(FEW)
    _, digest = proposed(world)
    cast(world, "data-b", digest, 1, "non placet")
    cast(world, "data-b", digest, 1, "non placet")
    cast(world, "chair-a", digest, 1)
    before = world.ledger.state.size
    pair = [ballot.digest for ballot in standing_ballots(world.ledger, digest)]
    cast(world, "data-b", digest, 2)
    known = world.ledger.state.proposals[digest]
    assert stood_before(known.ballots.values(), before) == pair
    assert len(pair) == 3
    assert len(known.standing.ballots()) == 2
    assert StandingBallots().ballots() == []
