# SPDX-License-Identifier: Apache-2.0
"""What a host tells of a worker is believed at no step without proof. One thing is wrong in each
case."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from placet.attestation import Identity
from placet.client import CharterDraft, Client, Keys
from placet.client.services.chain import OfferRefused
from placet.enclave.worker.inference.offers import Offers
from placet.governance.codec import encode, parse_object
from placet.governance.documents import Amendment, Constitution, Evidence, Lease, Offer, Seen
from placet.governance.documents.serving import Field
from placet.governance.envelope import digest_of, inspect, payload_type, sign, sign_payload
from placet.governance.keys import SigningKey
from placet.proto.v1 import common_pb2, inference_pb2
from tests.support.inside.hosted import Hosted, OwnLog
from tests.support.inside.questions import Questions, brief
from tests.support.inside.relay import Call

Start = Callable[..., str]
ROW = np.zeros((1, 4), "f4")
Told = inference_pb2.Description
# What is told instead of the truth, by field of the description; the truth is given.
Lie = Callable[[Hosted, Told], dict[str, Any]]


def other_leaf(host: Hosted, told: Told) -> dict[str, Any]:
    entry = parse_object(told.lease_entry.entry)
    forged = encode({**entry, "deadline": entry["deadline"] + 1})
    proof = told.lease_entry.proof
    return {"lease_entry": inference_pb2.LoggedEntry(entry=forged, proof=proof)}


def other_boot(host: Hosted, told: Told) -> dict[str, Any]:
    identity = Identity.from_bytes(told.authority_identity)
    other = replace(identity, signing=SigningKey.generate().public.text)
    return {"authority_identity": other.to_bytes()}


def other_evidence(host: Hosted, told: Told) -> dict[str, Any]:
    return {"worker_evidence": told.authority_evidence}


def lease_of_another_key(host: Hosted, told: Told) -> dict[str, Any]:
    return {"lease": sign(inspect(told.lease, Lease), SigningKey.generate())}


def lease_that_is_not_logged(host: Hosted, told: Told) -> dict[str, Any]:
    lease = inspect(told.lease, Lease)
    return {"lease": sign(replace(lease, attempt=2), host.core.keys.signing)}


def offer_of_another_key(host: Hosted, told: Told) -> dict[str, Any]:
    return {"offer": sign(inspect(told.offer, Offer), SigningKey.generate())}


def offer_for_another_lease(host: Hosted, told: Told) -> dict[str, Any]:
    return changed_offer(host, told, lease="sha256:" + "77" * 32)


def offer_of_other_outputs(host: Hosted, told: Told) -> dict[str, Any]:
    answers = inspect(told.offer, Offer).answers
    return changed_offer(host, told, answers=(*answers, Field("hidden", "float32", (0, 3))))


def changed_offer(host: Hosted, told: Told, **changes: Any) -> dict[str, Any]:
    """Another offer that the worker has signed."""
    offer = replace(inspect(told.offer, Offer), **changes)
    return {"offer": sign(offer, host.workers[-1].member.keys.signing)}


def no_ballots(host: Hosted, told: Told) -> dict[str, Any]:
    return {"ticket": common_pb2.Ticket(proposal=told.ticket.proposal)}


def one_ballot(host: Hosted, told: Told) -> dict[str, Any]:
    """As if the service had been started before everybody had voted."""
    ticket = common_pb2.Ticket(proposal=told.ticket.proposal, ballots=told.ticket.ballots[:1])
    return {"ticket": ticket}


def joined_for_something_else(host: Hosted, told: Told) -> dict[str, Any]:
    """A worker that was launched for other terms, and a lease for this one."""
    return rejoined(host, told, launched_for="sha256:" + "55" * 32)


def stale_nonce(host: Hosted, told: Told) -> dict[str, Any]:
    return rejoined(host, told, nonce=os.urandom(32).hex())


def rejoined(host: Hosted, told: Told, **changes: Any) -> dict[str, Any]:
    """The log itself has another join of the worker, before another lease: only evidence tells."""
    log = OwnLog(host.entries)
    join = log.append({**parse_object(told.join.entry), **changes})
    lease = log.append(parse_object(told.lease_entry.entry))
    return {"join": logged(host, log, join), "lease_entry": logged(host, log, lease)}


def join_after_the_lease(host: Hosted, told: Told) -> dict[str, Any]:
    log = OwnLog(host.entries)
    return {"join": logged(host, log, log.append(parse_object(told.join.entry)))}


def logged(host: Hosted, log: OwnLog, index: int) -> inference_pb2.LoggedEntry:
    """An entry with its proof, of a log that is shown to everybody."""
    host.show_log(log.entries, log.note(host.signer))
    return inference_pb2.LoggedEntry(entry=log.entries[index], proof=log.proof(index, host.signer))


def entry_of_another_kind(host: Hosted, told: Told) -> dict[str, Any]:
    return {"boot": logged(host, OwnLog(host.entries), 0)}


def no_form(host: Hosted, told: Told) -> dict[str, Any]:
    return {"worker_identity": b"{}"}


def offer_with_an_id_of_its_own(host: Hosted, told: Told) -> dict[str, Any]:
    header = inspect(told.offer, Offer).header
    return changed_offer(host, told, header=replace(header, nonce=os.urandom(16).hex()))


def offer_that_has_seen_more(host: Hosted, told: Told) -> dict[str, Any]:
    header = inspect(told.offer, Offer).header
    seen = Seen(*host.core.ledger.head())
    return changed_offer(host, told, header=replace(header, seen=seen))


def offer_laid_out_otherwise(host: Hosted, told: Told) -> dict[str, Any]:
    payload = b" " + encode(inspect(told.offer, Offer))
    key = host.workers[-1].member.keys.signing
    return {"offer": sign_payload(payload, payload_type(Offer), key)}


LIES: list[tuple[str, Lie]] = [
    ("proposal", lambda host, told: {"ticket": common_pb2.Ticket()}),
    ("authority", other_boot),
    ("authority", entry_of_another_kind),
    ("lease", lease_of_another_key),
    ("lease", lease_that_is_not_logged),
    ("lease", other_leaf),
    ("ticket", no_ballots),
    ("ticket", one_ballot),
    ("worker", other_evidence),
    ("worker", joined_for_something_else),
    ("worker", stale_nonce),
    ("worker", join_after_the_lease),
    ("worker", no_form),
    ("offer", offer_of_another_key),
    ("offer", offer_for_another_lease),
    ("offer", offer_of_other_outputs),
    ("offer", offer_with_an_id_of_its_own),
    ("offer", offer_that_has_seen_more),
    ("offer", offer_laid_out_otherwise),
]


def describe(founded: Client, questions: Questions, service: str) -> Told:
    """The true description."""
    founded.services.verify(service)
    assert questions.told is not None
    return questions.told


@pytest.mark.parametrize(("step", "lie"), LIES)
def test_what_does_not_hold_is_refused_at_its_step(
    founded: Client, serve: Start, host: Hosted, questions: Questions, people: dict[str, Keys],
    step: str, lie: Lie,
) -> None:  # fmt: skip
    service = serve()
    questions.forged = lie(host, describe(founded, questions, service))
    with pytest.raises(OfferRefused) as refused:
        founded.services.verify(service)
    assert refused.value.details["claim"] == step
    assert all(check.passed for check in refused.value.checks)
    with pytest.raises(OfferRefused):
        founded.services.open(service, user=people["analyst"])
    assert not questions.sent


def test_every_check_is_shown(founded: Client, serve: Start) -> None:
    found = founded.services.verify(serve())
    names = [check.name for check in found.checks]
    for wanted in (
        "boot in the log",
        "authority measurement",
        "lease",
        "ticket",
        "join in the log",
    ):
        assert any(name.startswith(wanted) for name in names), wanted
    assert names[-1] == "offer" and all(check.passed for check in found.checks)
    (bound,) = [c for c in found.checks if c.name == "worker launched_for"]
    assert bound.found == found.terms.launch_digest != found.service


def test_a_measurement_that_the_council_does_not_want_any_more_is_refused(
    founded: Client, serve: Start, questions: Questions, constitution: Constitution,
    people: dict[str, Keys],
) -> None:  # fmt: skip
    """The host goes on describing a worker of before an amendment."""
    service = serve()
    questions.kept = describe(founded, questions, service)
    evidence, before = constitution.evidence, founded.council.verify().newest.digest
    other = Evidence(evidence.authority, {**evidence.worker, "measurements": ["cc" * 32]})
    changes: dict[str, Any] = {"nonce": "02" * 16, "version": 2, "predecessor": before}
    successor, now = replace(constitution, evidence=other, **changes), int(time.time())
    proposal = founded.council.propose(
        people["alice"],
        Amendment(digest_of(CharterDraft.payload_of(successor))),
        purpose="order",
        reason="Another build.",
        not_before=now - 10,
        not_after=now + 1000,
    ).digest
    for seat in ("alice", "bob"):
        founded.council.vote(people[seat], proposal, "placet")
    founded.council.amend(people["alice"], proposal, successor)
    with pytest.raises(OfferRefused, match="worker") as refused:
        founded.services.verify(service)
    assert refused.value.details["claim"] == "worker"


def test_another_service_s_worker_is_refused(founded: Client, serve: Start, host: Hosted) -> None:
    first, second = serve(), serve()

    async def lie(call: Call) -> Any:
        call.request.service = second
        return await call.answer()

    host.relay.lie("Inference.Describe", lie)
    with pytest.raises(OfferRefused) as refused:
        founded.services.verify(first)
    assert refused.value.details["claim"] == "proposal"


@pytest.mark.parametrize(
    "lie", [offer_of_another_key, offer_for_another_lease, lease_that_is_not_logged]
)
def test_a_renewed_offer_is_verified_too(
    founded: Client, serve: Start, host: Hosted, questions: Questions, people: dict[str, Keys],
    lie: Lie, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Offers, "renew", brief(Offers.renew))
    with founded.services.open(serve(), user=people["analyst"]) as model:
        host.workers[-1].renew()
        questions.forged = lie(host, describe(founded, questions, model.worker.service))
        with pytest.raises(OfferRefused) as refused:
            model.predict(ROW)
    assert refused.value.details["claim"] == "offer"


def test_an_older_offer_is_refused(
    founded: Client, serve: Start, host: Hosted, questions: Questions, people: dict[str, Keys],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Offers, "renew", brief(Offers.renew))
    service = serve()
    old = describe(founded, questions, service).offer
    host.workers[-1].renew()
    with founded.services.open(service, user=people["analyst"]) as model:
        questions.forged = {"offer": old}
        with pytest.raises(OfferRefused, match="number"):
            model.predict(ROW)
