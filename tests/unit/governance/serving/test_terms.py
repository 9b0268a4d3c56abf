# SPDX-License-Identifier: Apache-2.0
"""What a serve proposal may say, who can be let ask, and when a service ends by itself."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.auditing.explain import explain_proposal
from placet.governance.codec import decode, encode
from placet.governance.documents import (
    Bearers,
    Card,
    Members,
    Output,
    Proposal,
    Roster,
    Rounded,
    TopClass,
)
from placet.governance.documents.serving import ONNX_INFERENCE, Sample, token_digest
from placet.governance.envelope import digest_of
from placet.governance.terms import decode_terms
from placet.refusals import DocumentMalformed

DAY = 86400


def test_a_proposal_is_read_as_it_was_written(service: Any) -> None:
    users = (
        Roster("roster", ("lab",)),
        Members("organisations", ("org-d",)),
        Bearers("tokens", {"phone": token_digest(b"t" * 32)}),
    )
    answers = {"label": TopClass("top-class"), "scores": Rounded("rounded", 2)}
    for allowed in users:
        proposal = service.propose(service.make_terms(users=allowed, answers=answers))
        assert decode(Proposal, encode(proposal)) == proposal


def test_terms_have_one_form_and_one_digest(service: Any) -> None:
    data = encode(service.terms)
    assert decode_terms(data) == service.terms
    assert service.terms.launch_digest == digest_of(data)
    laid_out = json.dumps(json.loads(data), indent=1).encode()
    for other in (data + b"\n", laid_out, b"{}", b"{", encode(service.proposal), b"[]"):
        with pytest.raises(DocumentMalformed):
            decode_terms(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"largest_request": 65},
        {"largest_question": 2**21},
        {"samples": {"x": Sample((2, 3), ("1", "-0.5"))}},
        {"batch": "apart"},
        {"card": Card("Another net", (), "", None, 2**40)},
        {"users": Roster("roster", ("lab",))},
        {"review": 2**39},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_terms_that_differ_in_one_field_are_another_binding(
    service: Any, changes: dict[str, Any]
) -> None:
    terms = service.make_terms(**changes)
    ticket = service.world.ticket(service.propose(terms))
    service.refused("LAUNCHED_FOR_MISMATCH", lambda: service.lease(ticket, service.terms))
    assert service.lease(ticket, terms)


@pytest.mark.parametrize(
    "changes",
    [
        {"answers": {}},
        {"largest_request": 0},
        {"largest_question": 1023},
        {"largest_question": 64 * 2**20 + 1},
        {"samples": {"x": {"shape": [2], "values": []}}},
        {"samples": {"x": {"shape": [2], "values": ["1", "2", "3"]}}},
        {"samples": {"x": {"shape": [0], "values": ["1"]}}},
        {"samples": {"x": {"shape": [2], "values": ["NaN"]}}},
        {"samples": {"x": {"shape": [2], "values": [1]}}},
        {"samples": {"x": {"shape": [1024, 1025], "values": ["1"]}}},
        {"batch_rows": 0},
        {"batch": "mixed"},
        {"not_finite": ""},
        {"deadline_seconds": 31 * DAY},
        {"users": {"who": "roster", "users": []}},
        {"users": {"who": "roster", "users": ["lab", "lab"]}},
        {"users": {"who": "tokens", "tokens": {"phone": "00"}}},
        {"users": {"who": "everybody"}},
        {"answers": {"scores": {"show": "rounded", "decimals": 7}}},
        {"answers": {"scores": {"show": "raw", "decimals": 2}}},
        {"rations": {"user": 10, "total": 5, "minute": 1, "tranche": 1}},
        {"rations": {"user": 10, "total": 50, "minute": 1, "tranche": 11}},
        {"rations": {"user": 10, "total": 50, "minute": 0, "tranche": 1}},
    ],
)
def test_what_a_proposal_may_not_say(service: Any, changes: dict[str, Any]) -> None:
    document = json.loads(encode(service.proposal))
    document["body"] |= changes
    with pytest.raises(DocumentMalformed):
        decode(Proposal, encode(document))


def test_window_review_and_retirement_agree(service: Any) -> None:
    with pytest.raises(DocumentMalformed, match=r"review"):
        service.propose(service.make_terms(review=service.now - 100))
    with pytest.raises(DocumentMalformed, match=r"retire_by"):
        service.propose(service.make_terms(), not_after=service.now + 91 * DAY)
    with pytest.raises(DocumentMalformed, match=r"body"):
        replace(service.proposal, action="job")


def test_users_and_receipt_have_to_exist(service: Any) -> None:
    world = service.world
    card = Card("A net", (), "sha256:" + "ab" * 32, None, service.now + 90 * DAY)
    for reason, changes in (
        ("SIGNER_UNKNOWN", {"users": Roster("roster", ("nobody",))}),
        ("USER_NOT_ALLOWED", {"users": Members("organisations", ("org-z",))}),
        ("RECEIPT_INVALID", {"card": card}),
    ):
        proposal = service.propose(service.make_terms(**changes))
        service.refused(reason, lambda given=proposal: world.record(given, "lab"))


def test_a_card_names_a_receipt_of_the_log(service: Any) -> None:
    world = service.world
    world.give()
    ticket = world.ticket(world.proposal(body=world.job(outputs={"weights": Output(5000)})))
    lease = world.lease(ticket, world.join("a trainer"))["lease"]
    world.release(lease)
    receipt = world.ledger.state.leases[lease].receipt
    card = Card("A net", (), receipt, None, service.now + 90 * DAY)
    world.record(service.propose(service.make_terms(card=card)), "lab")
    service.audited()


def test_labels_of_the_training_data_take_their_rules(service: Any) -> None:
    assert service.proposal.labels == {"health", "public"}
    assert service.proposal.owners == {"owner-b"}
    card = replace(service.terms.card, labels=("genomes",))
    ticket = service.world.ticket(service.propose(service.make_terms(card=card)))
    service.refused("NO_RULE", lambda: service.admit(ticket))


def test_the_owner_has_to_have_granted_it(world: Any, make_service: Any) -> None:
    service = make_service(world)
    service.refused("GRANT_MISSING", lambda: service.admit(service.ticket))
    service.grant(programs=("sha256:" + "12" * 32,))
    service.refused("GRANT_FORBIDS", lambda: service.admit(service.ticket))
    service.grant(recipients=(world.job().recipients[0].key,))
    service.refused("GRANT_FORBIDS", lambda: service.admit(service.ticket))
    service.grant(programs=(ONNX_INFERENCE,))
    service.admit(service.ticket)


def test_it_ends_with_its_window(service: Any) -> None:
    lease = service.lease()
    for _ in range(2):
        service.world.renew(lease)
        service.later(250)
    service.later(2 * DAY - 501)
    service.refused("LEASE_EXPIRED", lambda: service.world.renew(lease))


def test_leases_end_with_the_window(world: Any, make_service: Any) -> None:
    """However long they are else: a worker answers for as long as its lease holds."""
    service = make_service(world)
    service.grant()
    proposal = service.propose(service.make_terms(), not_after=service.now + 100)
    ticket = world.ticket(proposal)
    lease = service.lease(ticket, proposal.body)
    service.later(100)
    assert world.renew(lease)["deadline"] == proposal.not_after
    service.draw(lease)
    service.later(1)
    service.refused("LEASE_EXPIRED", lambda: world.renew(lease))
    service.refused("LEASE_EXPIRED", lambda: service.draw(lease))
    service.refused("TICKET_EXPIRED", lambda: service.lease(ticket, proposal.body))
    service.audited()


def test_after_the_review_only_ballots_count_that_have_not_expired(
    world: Any, make_service: Any
) -> None:
    service = make_service(world, review=world.times.at_most + 100)
    service.grant()
    envelope = world.signed(service.proposal, "lab")
    seats = ("chair-a", "data-b", "ethics-c")
    short = [
        world.signed(world.ballot(seat, service.digest, expires=service.now + 50), seat)
        for seat in seats
    ]
    lease = service.lease(type(service.ticket)(envelope, tuple(short)))
    service.later(100)
    world.renew(lease)  # at the review, not after it
    service.later(1)
    service.refused("RULE_NOT_MET", lambda: world.renew(lease))
    service.refused("RULE_NOT_MET", lambda: service.draw(lease))
    for seat in seats:
        world.record(world.ballot(seat, service.digest, sequence=2), seat)
    world.renew(lease)
    service.audited()


def test_a_veto_ends_it(service: Any) -> None:
    lease = service.lease()
    service.world.record(
        service.world.ballot("data-b", service.digest, "non placet", sequence=2), "data-b"
    )
    service.refused("VETOED", lambda: service.world.renew(lease))
    service.refused("VETOED", lambda: service.draw(lease))


def test_uses_bound_the_workers(service: Any) -> None:
    for _ in range(3):
        service.world.close(service.lease())
    service.refused("TICKET_USED_UP", service.lease)


def test_the_sentences_say_all_of_it(service: Any) -> None:
    text = "\n".join(explain_proposal(service.proposal, service.world.constitution))
    for words in ("owned by owner-b", "lab, chair-a", "100 rows", "150", "| A small net", "scores"):
        assert words in text


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_tokens_are_told_apart(one: bytes, other: bytes) -> None:
    assert (token_digest(one) == token_digest(other)) == (one == other)
