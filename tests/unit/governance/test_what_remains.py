# SPDX-License-Identifier: Apache-2.0
"""What the threat model says that seats, owners and others can still do, done
(docs/threat-model-tests.md)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from placet.governance.codec import encode, to_plain
from placet.governance.documents import Budget, Declared, Input, Proposal, Receipt
from placet.governance.envelope import inspect, payload_type, sign_payload, verify_signed
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import admit, judge_document
from placet.governance.rules import Approvals, Organisations, Role, Veto
from placet.refusals import Refusal


def told(call: Callable[[], object]) -> str:
    """The reason for which a call is refused, or ""."""
    try:
        call()
    except Refusal as refusal:
        return str(refusal.reason)
    return ""


def admitted(world: Any, ticket: Any, job: str = "j") -> str:
    return told(partial(admit, world.ledger, ticket, job, world.times))


# One seat.


def test_a_pause_is_lifted_by_nobody(ready: Any) -> None:
    proposal = ready.proposal()
    digest = ready.record(proposal, "lab")["proposal"]
    ready.record(ready.stop("second-a", "pause", digest), "second-a")
    assert admitted(ready, ready.ticket(proposal)) == "STOPPED"
    for seat in ("chair-a", "data-b", "ethics-c", "second-a"):
        ready.record(ready.ballot(seat, digest), seat)
    resume = encode({**to_plain(ready.proposal()), "action": "resume"})
    envelope = sign_payload(resume, payload_type(Proposal), ready.key("lab"))
    recorded = partial(judge_document, ready.ledger, envelope, ready.times)
    assert told(recorded) == "DOCUMENT_MALFORMED"
    voted = Ticket(ready.signed(proposal, "lab"), ())
    assert admitted(ready, voted) == "STOPPED"
    ready.amend(name="Renamed")
    assert ready.ledger.state.proposals[digest].stopped == "pause"


def test_one_seat_revokes_all_others_and_nobody_can_amend(ready: Any) -> None:
    for seat in ("data-b", "ethics-c", "second-a"):
        ready.record(ready.stop("chair-a", "revoke-seat", seat), "chair-a")
    assert admitted(ready, ready.ticket()) == "RULE_NOT_MET"
    assert told(lambda: ready.amend(name="Saved")) == "RULE_NOT_MET"


def test_a_revocation_outlasts_an_amendment(founded: Any) -> None:
    founded.record(founded.stop("chair-a", "revoke-seat", "second-a"), "chair-a")
    founded.amend(name="Renamed")
    founded.give(approvals=())
    ticket = founded.ticket(seats=("second-a", "ethics-c"))
    assert admitted(founded, ticket) == "RULE_NOT_MET"
    assert admitted(founded, founded.ticket(seats=("chair-a", "ethics-c"))) == ""


# Owners and labels.


def test_a_narrower_grant_does_not_end_a_wider_one(founded: Any) -> None:
    wide = founded.give()["grant"]
    founded.give(purposes=("training",), uses=1)
    assert admitted(founded, founded.ticket()) == ""
    founded.record(founded.stop("owner-b", "withdraw", wide), "owner-b")
    assert admitted(founded, founded.ticket()) == "GRANT_FORBIDS"


def test_what_was_made_of_labelled_data_has_no_labels(world: Any) -> None:
    """The rule for health data says nothing of a job on what a job on health data has released."""
    health, amend = world.constitution.rules
    public = replace(
        world.varied(health, Approvals(1), Organisations(1), without=(Role,)),
        id="public",
        when=replace(health.when, labels=("public",)),
    )
    world.constitution = replace(world.constitution, rules=(health, public, amend))
    world.found().boot()
    world.give(approvals=())
    assert admitted(world, world.ticket(seats=("chair-a",))) == "RULE_NOT_MET"
    lease = world.lease(world.ticket(), world.join())["lease"]
    receipt = inspect(world.store[world.release(lease)["receipt"]], Receipt).predicate
    result = receipt.outputs["weights"]
    assert result.labels == ()
    # Its recipient seals it again, and says which labels it has.
    sealed = world.descriptor("again", ("public",), result.length)
    world.give(owner="lab", object=sealed, approvals=())
    body = world.job(inputs={"weights": Input(sealed, "lab")})
    assert admitted(world, world.ticket(world.proposal(body=body), ("chair-a",))) == ""


# The quorum.


def test_the_quorum_approves_whatever_the_grants_allow(founded: Any) -> None:
    anything = ("purposes", "programs", "parameters", "recipients", "combine_with")
    founded.give(**dict.fromkeys(anything, "any"), approvals=(), uses="any")
    body = founded.job(program="sha256:" + "66" * 32, parameters={"copy": "everything"})
    assert admitted(founded, founded.ticket(founded.proposal(body=body))) == ""


def test_the_quorum_amends_the_rules(ready: Any) -> None:
    health, amend = ready.constitution.rules
    lax = ready.varied(health, Approvals(1), Organisations(1), without=(Role, Veto))
    ready.amend(rules=(lax, amend))
    with pytest.raises(Refusal) as refusal:  # until the owner agrees to the new rules
        admit(ready.ledger, ready.ticket(seats=("data-b",)), "j", ready.times)
    assert (refusal.value.reason, refusal.value.details["claim"]) == (
        "GRANT_FORBIDS",
        "constitution",
    )
    ready.give(approvals=())
    assert admitted(ready, ready.ticket(seats=("chair-a",))) == ""


# Without witnesses.


def test_a_grant_may_demand_witnesses_and_nothing_satisfies_it(founded: Any) -> None:
    founded.give(witnesses="demanded")
    assert admitted(founded, founded.ticket()) == "GRANT_FORBIDS"


def test_every_receipt_says_that_nobody_witnessed_it(ready: Any) -> None:
    lease = ready.lease(ready.ticket(), ready.join())["lease"]
    envelope = ready.store[ready.release(lease)["receipt"]]
    signed = verify_signed(envelope, Receipt, lambda _: [ready.log_key.public])
    assert "UNWITNESSED" in signed.document.predicate.marks


def test_an_earlier_state_forgets_what_was_spent(founded: Any) -> None:
    founded.give(privacy=Budget("1", "1e-6"))
    body = founded.job(privacy=Declared("1", "1e-7"))
    ticket = founded.ticket(founded.proposal(uses=2, body=body))
    before = list(founded.entries)
    founded.release(founded.lease(ticket, founded.join("worker 1"))["lease"])
    assert admitted(founded, ticket, "job-2") == "PRIVACY_BUDGET"
    founded.entries = before
    founded.forget()
    founded.release(founded.lease(ticket, founded.join("worker 2"))["lease"])
