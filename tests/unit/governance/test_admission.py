# SPDX-License-Identifier: Apache-2.0
"""What enters the log, and which tickets are admitted: each refusal by its reason, and nothing
changed by any."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from placet.governance.account import Times
from placet.governance.codec import encode, to_plain
from placet.governance.documents import Ballot, Charter, Delete, Evidence, Exactly, Input, Proposal
from placet.governance.documents.grant import Between
from placet.governance.envelope import digest_of, inspect, payload_type, sign, sign_payload
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import (
    admit,
    enter_ballot,
    enter_proposal,
    judge_amendment,
    judge_charter,
    judge_document,
    judge_grant,
    readmit,
)
from placet.governance.rules import Role
from placet.refusals import LogEntryInvalid, Refusal

T0 = 1_800_000_000
DAY = 86400
DIGEST = "sha256:" + "00" * 32


def refused(reason: str, call: Callable[[], object], world: Any) -> Refusal:
    """The refusal of a call, which has this reason and has changed neither state nor tree."""
    before = repr(world.ledger.state), world.ledger.head()
    with pytest.raises(Refusal) as refusal:
        call()
    assert refusal.value.reason == reason
    assert (repr(world.ledger.state), world.ledger.head()) == before
    return refusal.value


# The charter.


def test_a_log_is_founded_once_by_every_seat(world: Any) -> None:
    seats = [seat.id for seat in world.constitution.seats]
    constitution = world.signed(world.constitution, *seats)
    charter = Charter(world.nonce(), world.log, world.digest)

    def found(constitution: bytes, charter: bytes) -> Callable[[], object]:
        return lambda: judge_charter(world.ledger, constitution, charter, world.log, world.times)

    whole = world.signed(charter, *seats)
    later = replace(world.constitution, version=2, predecessor=DIGEST)
    elsewhere = replace(charter, log="other.example+00000000+AA")
    about_other = world.signed(replace(charter, constitution=DIGEST), *seats)
    refused("SIGNATURE_INVALID", found(world.signed(world.constitution, *seats[1:]), whole), world)
    refused("SIGNATURE_INVALID", found(constitution, world.signed(charter, *seats[:-1])), world)
    # Two keys of one seat are one seat.
    two_keys = world.signed(charter, "chair-a", "chair-a/2", *seats[2:])
    refused("SIGNATURE_INVALID", found(constitution, two_keys), world)
    refused("CONSTITUTION_NOT_SUCCESSOR", found(world.signed(later, *seats), whole), world)
    refused("OTHER_CONSTITUTION", found(constitution, about_other), world)
    refused("OTHER_LOG", found(constitution, world.signed(elsewhere, *seats)), world)
    refused("NOT_FOUNDED", lambda: world.ledger.in_force(), world)
    world.found()
    refused("ALREADY_FOUNDED", found(constitution, whole), world)


# Documents.


def test_a_document_of_any_other_kind_is_not_recorded(founded: Any) -> None:
    envelope = founded.signed(Delete(founded.header(), "00" * 16), "lab")
    refused(
        "PAYLOAD_TYPE", lambda: judge_document(founded.ledger, envelope, founded.times), founded
    )


def test_a_document_is_recorded_once_for_this_log_by_who_has_seen_this_log(founded: Any) -> None:
    head = founded.header().seen
    for reason, header in (
        ("OTHER_LOG", founded.header(charter="sha256:" + "c5" * 32)),
        ("SEEN_UNKNOWN", founded.header(seen=replace(head, size=head.size + 1))),
        ("SEEN_UNKNOWN", founded.header(seen=replace(head, size=head.size - 1))),
        ("SEEN_UNKNOWN", founded.header(seen=replace(head, root=DIGEST))),
        ("SEEN_UNKNOWN", founded.header(seen=replace(head, size=0))),
    ):
        document = founded.proposal(header=header)
        refused(reason, partial(founded.record, document, "lab"), founded)
    proposal = founded.proposal()
    founded.record(proposal, "lab")
    refused("DOCUMENT_REPLAYED", lambda: founded.record(proposal, "lab"), founded)
    again = founded.proposal(header=proposal.header, reason="Another one.")
    refused("DOCUMENT_REPLAYED", lambda: founded.record(again, "lab"), founded)


def test_an_action_that_nobody_carries_out_is_neither_recorded_nor_admitted(ready: Any) -> None:
    for action in ("resume", "recover", "retire"):
        plain = {**to_plain(ready.proposal()), "action": action}
        envelope = sign_payload(encode(plain), payload_type(Proposal), ready.key("lab"))
        recorded = partial(judge_document, ready.ledger, envelope, ready.times)
        admitted = partial(admit, ready.ledger, Ticket(envelope, ()), "j", ready.times)
        refused("DOCUMENT_MALFORMED", recorded, ready)
        refused("DOCUMENT_MALFORMED", admitted, ready)


def test_a_ballot_is_recorded_of_a_seat_in_office_not_older_than_its_last(founded: Any) -> None:
    proposal = founded.proposal()
    digest = digest_of(encode(proposal))

    def vote(vote: str = "placet", **changes: Any) -> Callable[[], object]:
        return lambda: founded.record(founded.ballot("chair-a", digest, vote, **changes), "chair-a")

    refused("DOCUMENT_NOT_FOUND", vote(), founded)
    founded.record(proposal, "lab")
    refused("BALLOT_STALE", vote(expires=T0 - 1), founded)
    vote(sequence=5)()
    refused("BALLOT_STALE", vote(sequence=4), founded)
    vote("non placet", sequence=5)()  # two contents of one number: that is on record
    refused("BALLOT_STALE", vote(sequence=5), founded)  # a third says nothing more
    vote(sequence=6)()
    founded.record(founded.stop("data-b", "revoke-seat", "chair-a"), "data-b")
    refused("SEAT_EXPIRED", vote(sequence=7), founded)
    vote("non placet", sequence=7)()  # a revoked seat may still say no
    founded.times = Times(T0 + 500 * DAY, T0 + 500 * DAY)
    refused("SEAT_EXPIRED", vote("non placet", sequence=8), founded)


def test_a_ballot_is_under_the_constitution_in_force(founded: Any) -> None:
    proposal = founded.proposal()
    digest = digest_of(encode(proposal))
    founded.record(proposal, "lab")
    ballot = founded.ballot("chair-a", digest)
    founded.amend(name="Another name")
    refused("OTHER_CONSTITUTION", lambda: founded.record(ballot, "chair-a"), founded)
    founded.record(founded.ballot("chair-a", digest), "chair-a")
    founded.end_proposals()
    ballot = founded.ballot("ethics-c", digest)
    refused("OTHER_CONSTITUTION", lambda: founded.record(ballot, "ethics-c"), founded)


# Stops.


def test_who_may_stop_what(ready: Any) -> None:
    proposal = ready.proposal()
    digest = digest_of(encode(proposal))
    ready.record(proposal, "lab")
    grant = next(iter(ready.ledger.state.grants))
    for reason, by, action, target in (
        ("NOT_PERMITTED", "lab", "pause", digest),
        ("NOT_PERMITTED", "lab", "veto", digest),
        ("NOT_PERMITTED", "chair-a", "veto", digest),
        ("NOT_PERMITTED", "owner-b", "cancel", digest),
        ("NOT_PERMITTED", "lab", "withdraw", grant),
        ("NOT_PERMITTED", "chair-a", "withdraw", grant),
        ("NOT_PERMITTED", "owner-b", "revoke-program", DIGEST),
        ("NOT_PERMITTED", "owner-b", "revoke-seat", "chair-a"),
        ("SEAT_UNKNOWN", "chair-a", "revoke-seat", "chair-b"),
        ("DOCUMENT_NOT_FOUND", "chair-a", "pause", DIGEST),
        ("GRANT_MISSING", "owner-b", "withdraw", DIGEST),
        ("SIGNER_UNKNOWN", "nobody", "pause", digest),
    ):
        stop = ready.stop(by, action, target)
        refused(reason, partial(ready.record, stop, stop.by), ready)
    stop = ready.stop("chair-a", "pause", digest)
    refused("SIGNATURE_INVALID", lambda: ready.record(stop, "data-b"), ready)
    for by, action, target in (
        ("chair-a", "pause", digest),
        ("data-b", "veto", digest),
        ("ethics-c", "cancel", digest),
        ("lab", "cancel", digest),
        ("owner-b", "withdraw", grant),
        ("chair-a", "revoke-program", DIGEST),
        ("chair-a", "revoke-measurement", "00" * 32),
    ):
        ready.record(ready.stop(by, action, target), by)
    assert ready.ledger.state.proposals[digest].stopped == "veto"  # nothing later hides a veto


def test_a_revoked_seat_stops_the_council_but_takes_nobody_away(ready: Any) -> None:
    proposal = ready.proposal()
    digest = digest_of(encode(proposal))
    ready.record(proposal, "lab")
    ready.record(ready.stop("chair-a", "revoke-seat", "data-b"), "chair-a")
    for action, target in (
        ("revoke-seat", "chair-a"),
        ("revoke-program", DIGEST),
        ("revoke-measurement", "00" * 32),
    ):
        stop = ready.stop("data-b", action, target)
        refused("SEAT_EXPIRED", partial(ready.record, stop, "data-b"), ready)
    ready.record(ready.stop("data-b", "veto", digest), "data-b")
    ready.times = Times(T0 + 500 * DAY, T0 + 500 * DAY)
    pause = ready.stop("chair-a", "pause", digest)
    refused("SEAT_EXPIRED", lambda: ready.record(pause, "chair-a"), ready)


def test_an_owner_whom_an_amendment_left_out_still_withdraws(ready: Any) -> None:
    _, lab = ready.constitution.parties
    ready.amend(parties=(lab,))
    grant = next(iter(ready.ledger.state.grants))
    ready.record(ready.stop("owner-b", "withdraw", grant), "owner-b")
    refused("GRANT_WITHDRAWN", lambda: admit(ready.ledger, ready.ticket(), "j", ready.times), ready)


# Grants.


def test_a_grant_is_its_owners_and_not_over_before_it_begins(founded: Any) -> None:
    unlisted = founded.descriptor(labels=("Health",))
    for reason, changes, signer in (
        ("SIGNATURE_INVALID", {}, "lab"),
        ("SIGNER_UNKNOWN", {"owner": "stranger"}, "lab"),
        ("GRANT_EXPIRED", {"expires": T0 - 1}, "owner-b"),
        ("DOCUMENT_MALFORMED", {"object": unlisted}, "owner-b"),
        ("OTHER_LOG", {"header": founded.header(charter="sha256:" + "c5" * 32)}, "owner-b"),
    ):
        envelope = founded.signed(founded.grant(**changes), signer)
        refused(reason, partial(judge_grant, founded.ledger, envelope, founded.times), founded)


def _parameters(epochs: Exactly | Between, model: Exactly | Between) -> dict[str, Any]:
    return {"parameters": {"epochs": epochs, "model": model}}


GRANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "another purpose": ("GRANT_FORBIDS", {"purposes": ("training",)}),
    "another program": ("GRANT_FORBIDS", {"programs": (DIGEST,)}),
    "a parameter out of bounds": ("GRANT_FORBIDS", _parameters(Between(4, 9), Exactly("linear"))),
    "a parameter of another value": ("GRANT_FORBIDS", _parameters(Exactly(3), Exactly("deep"))),
    "a parameter of another type": ("GRANT_FORBIDS", _parameters(Exactly("3"), Exactly("linear"))),
    "true is not 1": ("GRANT_FORBIDS", _parameters(Exactly(True), Exactly("linear"))),
    "a text where a number is bounded": ("GRANT_FORBIDS", _parameters(Exactly(3), Between(1, 2))),
    "a parameter too many": ("GRANT_FORBIDS", {"parameters": {"epochs": Exactly(3)}}),
    "a parameter too few": (
        "GRANT_FORBIDS",
        {"parameters": {"epochs": Exactly(3), "model": Exactly("linear"), "noise": Exactly(1)}},
    ),
    "an approval that is missing": ("GRANT_FORBIDS", {"approvals": ("second-a",)}),
    "witnesses": ("GRANT_FORBIDS", {"witnesses": "demanded"}),
    "privacy": ("PRIVACY_BUDGET", {"privacy": "none"}),
    "another object": ("GRANT_MISSING", {}),
    "another owner": ("GRANT_MISSING", {"owner": "lab"}),
}  # fmt: skip


@pytest.mark.parametrize("case", GRANTS)
def test_a_grant_allows_no_more_than_it_says(founded: Any, case: str) -> None:
    reason, changes = GRANTS[case]
    if case == "another object":
        changes = {"object": founded.descriptor("other")}
    founded.give(**changes)
    refused(reason, lambda: admit(founded.ledger, founded.ticket(), "j", founded.times), founded)


def test_a_grant_that_says_any_allows_any(founded: Any) -> None:
    words = ("purposes", "programs", "parameters", "recipients", "combine_with", "uses")
    founded.give(**dict.fromkeys(words, "any"), approvals=())
    assert len(admit(founded.ledger, founded.ticket(), "j", founded.times).grants) == 1


def test_the_first_grant_that_allows_it_is_taken(founded: Any) -> None:
    founded.give(purposes=("training",))
    second = founded.give()["grant"]
    founded.give()
    assert admit(founded.ledger, founded.ticket(), "j", founded.times).grants == (second,)


def test_which_grant_is_taken_does_not_depend_on_who_keeps_them(founded: Any) -> None:
    first = founded.give()["grant"]
    founded.give()
    del founded.store[first]
    founded.forget()
    refusal = refused(
        "DOCUMENT_NOT_FOUND",
        lambda: admit(founded.ledger, founded.ticket(), "j", founded.times),
        founded,
    )
    assert refusal.details["actual"] == first


def test_data_of_others_in_one_job_is_for_each_owner_to_allow(founded: Any) -> None:
    inputs = {
        "a": Input(founded.descriptor("a"), "owner-b"),
        "b": Input(founded.descriptor("b"), "lab"),
    }
    proposal = founded.proposal(body=founded.job(inputs=inputs))
    founded.give(object=founded.descriptor("a"), combine_with=("lab",))
    founded.give(object=founded.descriptor("b"), owner="lab", combine_with=())
    ticket = founded.ticket(proposal)
    refused("GRANT_FORBIDS", lambda: admit(founded.ledger, ticket, "j", founded.times), founded)
    founded.give(object=founded.descriptor("b"), owner="lab", combine_with=("owner-b",))
    assert len(admit(founded.ledger, ticket, "j", founded.times).grants) == 2


def test_a_grant_is_suspended_by_an_amendment_of_what_it_was_given_under(ready: Any) -> None:
    health, amend = ready.constitution.rules

    def try_it() -> Any:
        return admit(ready.ledger, ready.ticket(), "j", ready.times)

    other = replace(health, id="other", when=replace(health.when, labels=("public",)))
    ready.amend(name="Renamed", rules=(health, amend, other))
    try_it()  # neither the name nor a rule about other data concerns it
    lax = ready.varied(health, without=(Role,))
    ready.amend(rules=(lax, amend))
    refused("GRANT_FORBIDS", try_it, ready)
    ready.amend(rules=(health, amend))
    try_it()
    wider = {**ready.constitution.evidence.worker, "more": "x"}
    ready.amend(evidence=Evidence(ready.constitution.evidence.authority, wider))
    refused("GRANT_FORBIDS", try_it, ready)
    ready.give()
    try_it()


def test_uses_of_a_grant_are_jobs_of_proposals_whatever_the_host_calls_them(founded: Any) -> None:
    founded.give(uses=1)
    first = founded.ticket()
    founded.lease(first, founded.join(), "job-1")
    other, same = founded.ticket(), founded.job_of(first, "job-1")
    refused("GRANT_USED_UP", lambda: admit(founded.ledger, other, same, founded.times), founded)
    refused("GRANT_USED_UP", lambda: admit(founded.ledger, other, "job-2", founded.times), founded)


# Tickets.


def test_a_ticket_is_admitted_without_changing_anything(ready: Any) -> None:
    ticket = ready.ticket()
    before = repr(ready.ledger.state), ready.ledger.head()
    admission = admit(ready.ledger, ticket, "job-1", ready.times)
    assert (repr(ready.ledger.state), ready.ledger.head()) == before
    assert admission.new_proposal
    assert len(admission.new_ballots) == 3
    ready.enter(admission)
    again = admit(ready.ledger, ticket, "job-1", ready.times)
    assert not again.new_proposal and not again.new_ballots
    assert readmit(ready.ledger, again.ticket.proposal, "job-1", ready.times).grants == again.grants


def test_a_veto_that_was_left_out_of_the_bundle_counts(ready: Any) -> None:
    proposal = ready.proposal()
    digest = digest_of(encode(proposal))
    ready.record(proposal, "lab")
    ready.record(ready.ballot("data-b", digest, "non placet", sequence=2), "data-b")
    ticket = ready.ticket(proposal)  # with an older placet of data-b
    refused("VETOED", lambda: admit(ready.ledger, ticket, "j", ready.times), ready)


def test_a_stop_counts_whatever_the_ballots_say(ready: Any) -> None:
    for by, action, reason in (
        ("data-b", "veto", "VETOED"),
        ("chair-a", "pause", "STOPPED"),
        ("lab", "cancel", "STOPPED"),
    ):
        proposal = ready.proposal()
        ready.record(proposal, "lab")
        ready.record(ready.stop(by, action, digest_of(encode(proposal))), by)
        ticket = ready.ticket(proposal)
        refused(reason, partial(admit, ready.ledger, ticket, "j", ready.times), ready)
    ready.record(ready.stop("chair-a", "revoke-program", ready.job().program), "chair-a")
    refused("STOPPED", lambda: admit(ready.ledger, ready.ticket(), "j", ready.times), ready)


def test_a_withdrawn_or_expired_grant_is_none(ready: Any) -> None:
    grant = next(iter(ready.ledger.state.grants))
    later = Times(T0 + 31 * DAY, T0 + 31 * DAY)
    window = {"not_before": later.at_least, "not_after": later.at_most + DAY}
    proposal = ready.proposal(**window)
    ballots = tuple(
        ready.signed(ready.ballot(s, digest_of(encode(proposal)), expires=T0 + 99 * DAY), s)
        for s in ("chair-a", "data-b", "ethics-c")
    )
    ticket = Ticket(ready.signed(proposal, "lab"), ballots)
    refused("GRANT_EXPIRED", lambda: admit(ready.ledger, ticket, "j", later), ready)
    ready.record(ready.stop("owner-b", "withdraw", grant), "owner-b")
    refused("GRANT_WITHDRAWN", lambda: admit(ready.ledger, ready.ticket(), "j", ready.times), ready)


def test_a_used_up_ticket_stays_used_up_with_other_ballots(ready: Any) -> None:
    proposal = ready.proposal()
    ready.lease(ready.ticket(proposal), ready.join(), "job-1")
    digest = digest_of(encode(proposal))
    fresh = tuple(
        ready.signed(ready.ballot(seat, digest, sequence=9), seat)
        for seat in ("chair-a", "ethics-c", "data-b")
    )
    ticket = Ticket(ready.signed(proposal, "lab"), fresh)
    refused("TICKET_USED_UP", lambda: admit(ready.ledger, ticket, "job-2", ready.times), ready)
    same = ready.job_of(ticket, "job-1")
    admit(ready.ledger, ticket, same, ready.times)  # the same use, for a further attempt


def test_ballots_that_cannot_enter_are_judged_and_left_out(ready: Any) -> None:
    """Whatever a submitter gathers: what is admitted can be entered, one after the other."""
    proposal = ready.proposal()
    digest = digest_of(encode(proposal))
    ready.record(proposal, "lab")
    ready.record(ready.ballot("second-a", digest, sequence=7), "second-a")
    good = ready.vote("ethics-c", "data-b", proposal=digest)
    twice = ready.signed(ready.ballot("chair-a", digest, sequence=3), "chair-a")
    again = sign(json_of(twice), ready.key("chair-a/2"))
    junk = (
        twice,
        twice,
        again,  # the same ballot under another signature
        ready.signed(ready.ballot("chair-a", digest, sequence=2), "chair-a"),
        ready.signed(ready.ballot("second-a", digest, sequence=6), "second-a"),
        ready.signed(ready.ballot("second-a", digest, sequence=8, expires=1), "second-a"),
    )
    admission = admit(
        ready.ledger, Ticket(ready.signed(proposal, "lab"), (*junk, *good)), "j", ready.times
    )
    entered = [(b.document.seat, b.document.sequence) for b in admission.new_ballots]
    assert entered == [("chair-a", 3), ("data-b", 1), ("ethics-c", 1)]
    ready.enter(admission)


def json_of(envelope: bytes) -> Any:
    """The ballot in an envelope."""
    return inspect(envelope, Ballot)


def test_equivocation_in_a_bundle_enters_and_counts_as_no(ready: Any) -> None:
    proposal = ready.proposal()
    digest = digest_of(encode(proposal))
    many = tuple(ready.signed(ready.ballot("second-a", digest), "second-a") for _ in range(4))
    ticket = ready.ticket(proposal)
    admission = admit(
        ready.ledger, replace(ticket, ballots=(*ticket.ballots, *many)), "j", ready.times
    )
    assert len([b for b in admission.new_ballots if b.document.seat == "second-a"]) == 2
    ready.enter(admission)
    vetoes = tuple(
        ready.signed(ready.ballot("data-b", digest, sequence=2), "data-b") for _ in range(2)
    )
    ticket = replace(ticket, ballots=vetoes)
    refused("VETOED", lambda: admit(ready.ledger, ticket, "j", ready.times), ready)


def test_documents_of_a_bundle_are_new_and_have_ids_of_their_own(ready: Any) -> None:
    proposal = ready.proposal()
    digest = digest_of(encode(proposal))
    nonce = next(iter(ready.ledger.state.nonces))
    replayed = ready.proposal(header=ready.header(nonce=nonce))
    refused(
        "DOCUMENT_REPLAYED",
        lambda: admit(ready.ledger, ready.ticket(replayed), "j", ready.times),
        ready,
    )
    header = ready.header()
    ballots = tuple(
        ready.signed(ready.ballot(seat, digest, header=header), seat)
        for seat in ("chair-a", "ethics-c", "data-b")
    )
    ticket = Ticket(ready.signed(proposal, "lab"), ballots)
    refused("DOCUMENT_MALFORMED", lambda: admit(ready.ledger, ticket, "j", ready.times), ready)
    fork = replace(ready.header().seen, root=DIGEST)
    unseen = ready.signed(
        ready.ballot("chair-a", digest, header=ready.header(seen=fork)), "chair-a"
    )
    ticket = Ticket(ready.signed(proposal, "lab"), (unseen,))
    refused("SEEN_UNKNOWN", lambda: admit(ready.ledger, ticket, "j", ready.times), ready)


def test_what_paper_refuses_is_refused(ready: Any) -> None:
    for reason, ticket in (
        ("RULE_NOT_MET", ready.ticket(seats=("ethics-c",))),
        ("TICKET_EXPIRED", ready.ticket(ready.proposal(not_before=1, not_after=2))),
        ("NO_RULE", ready.ticket(ready.proposal(purpose="advertising"))),
        ("OTHER_CONSTITUTION", ready.ticket(ready.proposal(constitution=DIGEST))),
    ):
        refused(reason, partial(admit, ready.ledger, ticket, "j", ready.times), ready)


# Amendments.


def test_an_amendment_needs_its_quorum_and_follows_the_one_in_force(founded: Any) -> None:
    good = replace(founded.constitution, version=2, predecessor=founded.digest, name="Next")

    def amend(
        successor: Any,
        named: Any = None,
        seats: tuple[str, ...] = ("chair-a", "data-b", "ethics-c"),
    ) -> Any:
        body = founded.amendment(named or successor)
        proposal = founded.proposal(proposer="chair-a", action="amend", purpose="order", body=body)
        admission = admit(founded.ledger, founded.ticket(proposal, seats), "amend", founded.times)
        envelope = founded.signed(successor, "chair-a")
        return judge_amendment(founded.ledger, admission, envelope, founded.times)

    refused("RULE_NOT_MET", lambda: amend(good, seats=("chair-a", "data-b")), founded)
    refused("OTHER_CONSTITUTION", lambda: amend(good, named=founded.constitution), founded)
    for wrong in (
        replace(good, version=3),
        replace(good, predecessor=DIGEST),
        replace(good, version=1, predecessor=None),
    ):
        refused("CONSTITUTION_NOT_SUCCESSOR", partial(amend, wrong), founded)
    assert amend(good)["constitution"] == digest_of(encode(good))


def test_an_amendment_whose_proposal_the_log_does_not_have_changes_nothing(founded: Any) -> None:
    """Appending it would be a fault of the authority's; not even then is anything half done."""
    entry = {"kind": "constitution", "at": [T0, T0 + 1], "constitution": DIGEST, "proposal": DIGEST}
    before = repr(founded.ledger.state), founded.ledger.head()
    with pytest.raises(LogEntryInvalid):
        founded.ledger.append(entry)
    assert (repr(founded.ledger.state), founded.ledger.head()) == before


def test_a_constitution_that_only_says_that_it_is_of_this_log_is_not(founded: Any) -> None:
    """A proposal that the log does not have cannot bring a constitution of its own."""
    rogue = replace(founded.constitution, nonce="11" * 16)
    founded.store[digest_of(encode(rogue))] = founded.signed(rogue, "chair-a")
    proposal = founded.proposal(constitution=digest_of(encode(rogue)))
    founded.store[digest_of(encode(proposal))] = founded.signed(proposal, "lab")
    digest = digest_of(encode(proposal))
    refused("DOCUMENT_NOT_FOUND", lambda: founded.ledger.proposal(digest), founded)
    refused(
        "DOCUMENT_NOT_FOUND", lambda: founded.ledger.constitution(proposal.constitution), founded
    )


def test_entering_is_judged_as_recording_is(ready: Any) -> None:
    admission = admit(ready.ledger, ready.ticket(), "j", ready.times)
    ready.enter(admission)
    proposal, ballot = admission.ticket.proposal, admission.new_ballots[0]
    refused("DOCUMENT_REPLAYED", lambda: enter_proposal(ready.ledger, proposal, ready.times), ready)
    refused("DOCUMENT_REPLAYED", lambda: enter_ballot(ready.ledger, ballot, ready.times), ready)


def test_an_entry_too_long_for_a_log_is_not_appended(founded: Any) -> None:
    entry = {"kind": "close", "at": [T0, T0], "lease": DIGEST, "job": "j", "why": "x" * 70_000}
    refused("LOG_ENTRY_INVALID", lambda: founded.ledger.append(entry), founded)
    assert json.loads(founded.entries[0])["kind"] == "charter"
