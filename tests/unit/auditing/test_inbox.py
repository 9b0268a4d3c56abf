# SPDX-License-Identifier: Apache-2.0
"""What waits for whom, as the log has it."""

import json
from typing import Any

from placet.auditing.grants import grant_records, grant_standing
from placet.auditing.inbox import (
    Viewer,
    Waiting,
    open_proposals,
    waits_at_grants,
    waits_at_proposal,
)
from placet.governance.account import Times
from placet.governance.documents import Card, Input, Roster, Rule, When
from placet.governance.rules import Approvals, Lifetime, Organisations, Uses
from tests.support import documents
from tests.support.world import AMEND, DAY, HEALTH, T0, World

SERVING = Rule(
    "serving",
    "Serving models",
    When(("serve",), "any", "any"),
    (Approvals(2), Organisations(2), Lifetime(60 * DAY), Uses(10)),
)


def inbox(world: World, who: str, at: int = T0, soon: int = 14 * DAY) -> list[Waiting]:
    viewer = Viewer(who, Times(at, at), soon)
    found: list[Waiting] = []
    for digest in open_proposals(world.ledger.state):
        found += waits_at_proposal(world.ledger, digest, viewer)
    records = grant_records(map(json.loads, world.entries))
    standings = [grant_standing(world.ledger, one, viewer.times) for one in records.values()]
    return found + waits_at_grants(standings, viewer)


def kinds(world: World, who: str, **given: Any) -> list[str]:
    return [one.waits for one in inbox(world, who, **given)]


def test_a_proposal_waits_for_the_seats_that_have_not_voted(ready: World) -> None:
    proposal = ready.proposal()
    digest = ready.record(proposal, "lab")["proposal"]
    (waits,) = inbox(ready, "chair-a")
    assert (waits.waits, waits.digest, waits.until) == ("ballot", digest, proposal.not_after)
    assert waits.sentence == "lab proposes the action job for the purpose research."
    assert kinds(ready, "lab") == []
    ready.record(ready.ballot("chair-a", digest), "chair-a")
    assert kinds(ready, "chair-a") == []
    assert kinds(ready, "data-b") == ["ballot"]
    assert kinds(ready, "data-b", at=proposal.not_after + 1) == []


def test_a_placet_that_has_ended_is_asked_for_again(ready: World) -> None:
    digest = ready.record(ready.proposal(), "lab")["proposal"]
    ready.record(ready.ballot("chair-a", digest, expires=T0 + 60), "chair-a")
    (waits,) = inbox(ready, "chair-a", at=T0 + 61)
    assert waits.sentence.endswith("Your placet no longer counts: the ballot has expired.")


def test_nothing_waits_at_what_was_stopped_or_vetoed(ready: World) -> None:
    stopped = ready.record(ready.proposal(), "lab")["proposal"]
    vetoed = ready.record(ready.proposal(), "lab")["proposal"]
    ready.record(ready.stop("chair-a", "pause", stopped), "chair-a")
    ready.record(ready.ballot("data-b", vetoed, "non placet"), "data-b")
    assert kinds(ready, "ethics-c") == []


def test_an_approved_proposal_waits_for_its_proposer(ready: World) -> None:
    ready.admitted(ready.ticket())
    (waits,) = inbox(ready, "lab")
    assert waits.waits == "start"
    assert waits.sentence == (
        "Your proposal of the action job for the purpose research can be started."
    )
    assert kinds(ready, "second-a") == []  # it is let through without that seat
    (granted,) = ready.ledger.state.grants
    ready.record(ready.stop("owner-b", "withdraw", granted), "owner-b")
    (waits,) = inbox(ready, "lab")
    assert waits.waits == "blocked"
    assert "The owner owner-b has withdrawn the grant." in waits.sentence


def test_a_used_up_proposal_waits_for_nobody(ready: World) -> None:
    ready.lease(ready.ticket(), ready.join())
    assert kinds(ready, "lab") == []


def test_grants_that_end_soon_or_are_suspended_wait_for_their_owner(ready: World) -> None:
    assert kinds(ready, "owner-b") == []
    (waits,) = inbox(ready, "owner-b", at=T0 + 20 * DAY)
    assert waits.sentence.endswith("(labels health) ends at 2027-02-14 08:00:00 UTC.")
    rule = ready.varied(HEALTH, Approvals(3))
    ready.amend(rules=(rule, *ready.constitution.rules[1:]))
    (waits,) = inbox(ready, "owner-b")
    assert "is suspended" in waits.sentence
    ready.give()
    assert kinds(ready, "owner-b") == []
    assert kinds(ready, "owner-b", at=T0 + 100 * DAY) == []  # it was let go


def test_a_service_waits_for_its_review(world: World) -> None:
    """The placets last to the review, and no longer: seats, proposer and owner are told."""
    world.constitution = world.make_constitution(rules=(HEALTH, AMEND, SERVING))
    world.found().boot()
    anything: Any = "any"
    model = Input(world.descriptor("model", kind="model"), "owner-b")
    world.give(
        object=model.object, purposes=anything, programs=anything, parameters=anything,
        recipients=anything, combine_with=anything, approvals=(), uses=anything,
        expires=T0 + 300 * DAY,
    )  # fmt: skip
    body = documents.serve(
        model,
        Roster("roster", ("lab",)),
        card=Card("A net", ("health",), "", None, T0 + 300 * DAY),
        review=T0 + 20 * DAY,
    )
    proposal = world.proposal(action="serve", body=body, uses=10, not_after=T0 + 50 * DAY)
    ticket = world.ticket(proposal)
    world.lease(ticket, world.join("server", body.launch_digest))
    assert kinds(world, "ethics-c") == []
    (waits,) = inbox(world, "ethics-c", at=T0 + 10 * DAY)
    assert (waits.waits, waits.until) == ("review", T0 + 20 * DAY)
    assert "The service of lab for the purpose research has its review at" in waits.sentence
    assert kinds(world, "lab", at=T0 + 10 * DAY) == ["review"]
    assert kinds(world, "owner-b", at=T0 + 10 * DAY) == ["review"]
    (digest,) = open_proposals(world.ledger.state)
    for seat in ("chair-a", "ethics-c"):
        again = world.ballot(seat, digest, sequence=2, expires=T0 + 50 * DAY)
        world.record(again, seat)
    assert kinds(world, "ethics-c", at=T0 + 10 * DAY) == []
