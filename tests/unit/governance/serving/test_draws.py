# SPDX-License-Identifier: Apache-2.0
"""Rations: drawn by workers a tranche at a time, spent as they are drawn, never given twice."""

import json
from functools import partial
from typing import Any

import pytest

from placet.auditing.audit import audit
from placet.governance.codec import encode
from placet.governance.documents import Bearers, Budget, Cost, Members
from placet.governance.documents.serving import token_digest
from placet.refusals import LogEntryInvalid

COST = Cost(epsilon=10**9, delta=10**8)


def test_a_draw_gives_a_tranche_until_the_ration_is_used_up(service: Any) -> None:
    lease = service.lease()
    assert [service.draw(lease, rows=1000), service.draw(lease, rows=25)] == [40, 25]
    assert service.draw(lease, rows=1000) == 35
    refusal = service.refused("ANSWERS_USED_UP", lambda: service.draw(lease))
    assert refusal.details["actual"] == "0 left, and 50 for everybody"
    assert service.draw(lease, "chair-a") == 40
    assert service.draw(lease, "chair-a") == 10  # the total
    service.refused("ANSWERS_USED_UP", lambda: service.draw(lease, "chair-a"))
    assert service.audited().size == len(service.world.entries)


def test_another_worker_and_a_lost_one_give_nothing_more(service: Any) -> None:
    first, second = service.lease(), service.lease()
    assert [service.draw(first), service.draw(second)] == [40, 40]
    service.world.close(first)
    assert service.draw(second) == 20
    third = service.lease()
    service.refused("ANSWERS_USED_UP", lambda: service.draw(third))
    service.refused("LEASE_CLOSED", lambda: service.draw(first, "chair-a"))
    service.audited()


def test_only_users_of_the_terms_draw(service: Any) -> None:
    lease = service.lease()
    service.refused("USER_NOT_ALLOWED", lambda: service.draw(lease, "data-b"))
    service.refused("USER_NOT_ALLOWED", lambda: service.draw(lease, "nobody"))
    service.refused("DOCUMENT_MALFORMED", lambda: service.draw(lease, rows=0))
    service.world.record(service.world.stop("data-b", "revoke-seat", "chair-a"), "data-b")
    service.refused("USER_NOT_ALLOWED", lambda: service.draw(lease, "chair-a"))
    assert service.draw(lease) == 40


@pytest.mark.parametrize(
    ("users", "good", "bad"),
    [
        (Members("organisations", ("org-d",)), "lab", "owner-b"),
        (Bearers("tokens", {"phone": token_digest(bytes(32))}), "phone", "lab"),
    ],
)
def test_organisations_and_tokens(service: Any, users: Any, good: str, bad: str) -> None:
    terms = service.make_terms(users=users)
    lease = service.lease(service.world.ticket(service.propose(terms)), terms)
    assert service.draw(lease, good) == 40
    service.refused("USER_NOT_ALLOWED", lambda: service.draw(lease, bad))
    service.audited()


def test_the_first_draw_charges_the_owner_once(service: Any) -> None:
    lease = service.lease()
    assert service.world.ledger.state.charged("owner-b") == Cost()
    service.draw(lease)
    assert service.world.ledger.state.charged("owner-b") == COST
    service.draw(lease)
    service.draw(service.lease(), "chair-a")
    assert service.world.ledger.state.charged("owner-b") == COST
    assert service.audited().privacy["owner-b"].spent == COST


def test_a_budget_that_another_draw_used_up_meanwhile(world: Any, make_service: Any) -> None:
    service = make_service(world)
    service.grant(privacy=Budget("1.5", "1e-6"))
    ticket = world.ticket(service.propose(service.terms, reason="Another one."))
    first, second = service.lease(), service.lease(ticket)
    service.draw(first)
    service.refused("PRIVACY_BUDGET", lambda: service.draw(second))
    service.refused("PRIVACY_BUDGET", lambda: service.lease(ticket))
    service.lease()  # what has been charged is not charged again
    service.audited()


def test_an_audit_refuses_a_draw_that_nobody_may(service: Any) -> None:
    lease = service.lease()
    service.draw(lease)
    world = service.world
    entry = json.loads(world.entries[-1])
    tampered: tuple[dict[str, Any], ...] = (
        {"rows": 41},
        {"rows": 0},
        {"user": "data-b"},
        {"charges": {}},
    )
    for changes in tampered:
        forged = [*world.entries[:-1], encode({**entry, **changes})]
        with pytest.raises(LogEntryInvalid):
            audit(forged, world, world.name, world.checkpoint(), attest=world.attest)


def test_a_service_releases_nothing_not_even_an_empty_release(service: Any) -> None:
    lease = service.lease()
    for outputs in ({}, {"model": service.world.output(lease, "model", 1024)}):
        release = partial(service.world.release, lease, outputs=outputs)
        assert service.refused("DOCUMENT_MALFORMED", release).details["claim"] == "action"
