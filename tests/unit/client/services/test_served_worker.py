# SPDX-License-Identifier: Apache-2.0
"""What a host tells of a worker is believed at no step without proof. One thing is wrong in each
case."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from placet.client import Client, Keys
from placet.client.services.chain import OfferRefused
from placet.governance.codec import encode, parse_object
from placet.governance.documents import Lease, Offer, Seen
from placet.governance.documents.serving import Field
from placet.governance.envelope import inspect, payload_type, sign, sign_payload
from placet.governance.keys import SigningKey
from placet.proto.v1 import common_pb2, inference_pb2

Start = Callable[..., str]
ROW = np.zeros((1, 4), "f4")
# What is told instead of the truth, by field of the description.
Lie = Callable[[Any, Any], dict[str, Any]]


def other_leaf(host: Any, worker: Any) -> dict[str, Any]:
    logged = host.services.logged(worker.leased)
    entry = parse_object(logged.entry)
    forged = encode({**entry, "deadline": entry["deadline"] + 1})
    return {"lease_entry": inference_pb2.LoggedEntry(entry=forged, proof=logged.proof)}


def other_boot(host: Any, worker: Any) -> dict[str, Any]:
    identity = replace(host.identity, signing=SigningKey.generate().public.text)
    return {"authority_identity": identity.to_bytes()}


def other_evidence(host: Any, worker: Any) -> dict[str, Any]:
    return {"worker_evidence": host.boot_evidence}


def lease_of_another_key(host: Any, worker: Any) -> dict[str, Any]:
    lease = inspect(worker.lease_envelope, Lease)
    return {"lease": sign(lease, SigningKey.generate())}


def lease_that_is_not_logged(host: Any, worker: Any) -> dict[str, Any]:
    lease = inspect(worker.lease_envelope, Lease)
    return {"lease": sign(replace(lease, attempt=2), host.boot_key)}


def offer_of_another_key(host: Any, worker: Any) -> dict[str, Any]:
    offer = inspect(host.services._offer, Offer)
    return {"offer": sign(offer, SigningKey.generate())}


def offer_for_another_lease(host: Any, worker: Any) -> dict[str, Any]:
    offer = replace(inspect(host.services._offer, Offer), lease="sha256:" + "77" * 32)
    return {"offer": sign(offer, worker.signing)}


def offer_of_other_outputs(host: Any, worker: Any) -> dict[str, Any]:
    offer = inspect(host.services._offer, Offer)
    more = (*offer.answers, Field("hidden", "float32", (0, 3)))
    return {"offer": sign(replace(offer, answers=more), worker.signing)}


def no_ballots(host: Any, worker: Any) -> dict[str, Any]:
    return {"ticket": common_pb2.Ticket(proposal=host.services._ticket.proposal)}


def joined_for_something_else(host: Any, worker: Any) -> dict[str, Any]:
    """A worker that was launched for other terms, and a lease for this one."""
    return rejoined(host, worker, launched_for="sha256:" + "55" * 32)


def stale_nonce(host: Any, worker: Any) -> dict[str, Any]:
    return rejoined(host, worker, nonce=os.urandom(32).hex())


def rejoined(host: Any, worker: Any, **changes: Any) -> dict[str, Any]:
    """The log itself has another join of the worker, before another lease: only evidence tells."""
    join = {**parse_object(host.entries[worker.joined]), **changes}
    lease = parse_object(host.entries[worker.leased])
    host.append_unjudged(join)
    host.append_unjudged(lease)
    size = len(host.entries)
    logged = host.services.logged
    return {"join": logged(size - 2), "lease_entry": logged(size - 1)}


def join_after_the_lease(host: Any, worker: Any) -> dict[str, Any]:
    host.append_unjudged(parse_object(host.entries[worker.joined]))
    return {"join": host.services.logged(len(host.entries) - 1)}


def entry_of_another_kind(host: Any, worker: Any) -> dict[str, Any]:
    return {"boot": host.services.logged(0)}


def no_form(host: Any, worker: Any) -> dict[str, Any]:
    return {"worker_identity": b"{}"}


def offer_with_an_id_of_its_own(host: Any, worker: Any) -> dict[str, Any]:
    offer = inspect(host.services._offer, Offer)
    header = replace(offer.header, nonce=os.urandom(16).hex())
    return {"offer": sign(replace(offer, header=header), worker.signing)}


def offer_that_has_seen_more(host: Any, worker: Any) -> dict[str, Any]:
    offer = inspect(host.services._offer, Offer)
    header = replace(offer.header, seen=Seen(*host.ledger.head()))
    return {"offer": sign(replace(offer, header=header), worker.signing)}


def offer_laid_out_otherwise(host: Any, worker: Any) -> dict[str, Any]:
    payload = b" " + encode(inspect(host.services._offer, Offer))
    return {"offer": sign_payload(payload, payload_type(Offer), worker.signing)}


LIES: list[tuple[str, Lie]] = [
    ("proposal", lambda host, worker: {"ticket": common_pb2.Ticket()}),
    ("authority", other_boot),
    ("authority", entry_of_another_kind),
    ("lease", lease_of_another_key),
    ("lease", lease_that_is_not_logged),
    ("lease", other_leaf),
    ("ticket", no_ballots),
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


@pytest.mark.parametrize(("step", "lie"), LIES)
def test_what_does_not_hold_is_refused_at_its_step(
    founded: Client, serve: Start, host: Any, people: dict[str, Keys], step: str, lie: Lie
) -> None:
    service = serve()
    host.services.forged = lie(host, host.services.worker)
    with pytest.raises(OfferRefused) as refused:
        founded.services.verify(service)
    assert refused.value.details["claim"] == step
    assert all(check.passed for check in refused.value.checks)
    with pytest.raises(OfferRefused):
        founded.services.open(service, user=people["analyst"])
    assert not host.services.asked


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


def test_a_measurement_that_the_council_does_not_want_is_refused(
    founded: Client, serve: Start, host: Any
) -> None:
    service = serve()
    host.services.measurement = "cc" * 32
    host.services.launch()
    with pytest.raises(OfferRefused, match="worker") as refused:
        founded.services.verify(service)
    assert refused.value.details["claim"] == "worker"


def test_a_service_that_was_not_voted_for_is_refused(
    founded: Client, serve: Start, host: Any
) -> None:
    with pytest.raises(OfferRefused) as refused:
        founded.services.verify(serve(votes=("alice",)))
    assert refused.value.details["claim"] == "ticket"


def test_another_service_s_worker_is_refused(founded: Client, serve: Start, host: Any) -> None:
    first = serve()
    host.services.worker = None
    serve()
    with pytest.raises(OfferRefused) as refused:
        founded.services.verify(first)
    assert refused.value.details["claim"] == "proposal"


@pytest.mark.parametrize(
    "lie", [offer_of_another_key, offer_for_another_lease, lease_that_is_not_logged]
)
def test_a_renewed_offer_is_verified_too(
    founded: Client, serve: Start, host: Any, people: dict[str, Keys], lie: Lie
) -> None:
    host.services.seconds = 0
    service = serve()
    with founded.services.open(service, user=people["analyst"]) as model:
        host.services.renew()
        host.services.forged = lie(host, host.services.worker)
        with pytest.raises(OfferRefused) as refused:
            model.predict(ROW)
    assert refused.value.details["claim"] == "offer"


def test_an_older_offer_is_refused(
    founded: Client, serve: Start, host: Any, people: dict[str, Keys]
) -> None:
    host.services.seconds = 0
    service = serve()
    old = host.services._offer
    host.services.renew()
    with founded.services.open(service, user=people["analyst"]) as model:
        host.services.forged = {"offer": old}
        with pytest.raises(OfferRefused, match="number"):
            model.predict(ROW)
