# SPDX-License-Identifier: Apache-2.0
"""What a service may still do, and from its review on only as if it were admitted anew."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.governance.codec import encode
from placet.governance.documents import Members, Party, Roster
from placet.governance.envelope import digest_of
from placet.governance.evaluate import Ticket
from placet.governance.judgements.standing import check_in_force
from placet.refusals import Refusal

DAY = 86400
SEATS = ("chair-a", "data-b", "ethics-c")


def voted(service: Any, **expiries: int) -> Ticket:
    """The ticket, with a ballot of each seat in the log that expires then."""
    world = service.world
    world.record(service.proposal, "lab")
    for seat, expires in expiries.items():
        name = seat.replace("_", "-")
        world.record(world.ballot(name, service.digest, expires=expires), name)
    return Ticket(world.signed(service.proposal, "lab"), ())


@pytest.fixture
def reviewed(world: Any, make_service: Callable[..., Any]) -> Any:
    """A service whose review is in a day; nothing is granted yet."""
    return make_service(world, review=world.times.at_most + DAY)


def served_until(service: Any, when: int) -> str:
    """A lease that was renewed all the while."""
    lease: str = service.lease()
    while service.now < when:
        service.later(min(250, when - service.now))
        service.world.renew(lease)
    return lease


def after(service: Any, lease: str) -> dict[str, str]:
    """What is told a worker that renews and draws, another worker, and whoever asks at all."""
    asked: dict[str, Callable[[], object]] = {
        "renewal": lambda: service.world.renew(lease),
        "draw": lambda: service.draw(lease),
        "lease": service.lease,
        "admission": lambda: service.admit(service.ticket),
    }
    return {name: reason(call) for name, call in asked.items()}


def reason(call: Callable[[], object]) -> str:
    try:
        call()
    except Refusal as refusal:
        return str(refusal.reason)
    return ""


def test_a_veto_does_not_end_at_the_review(reviewed: Any) -> None:
    """That was the fault: it had the review's date, and the approvals a later one."""
    reviewed.grant(approvals=())
    later = reviewed.terms.review + DAY
    reviewed.ticket = voted(reviewed, chair_a=later, ethics_c=later)
    world = reviewed.world
    world.record(world.ballot("data-b", reviewed.digest, "non placet"), "data-b")
    for _ in range(2):
        reviewed.refused("VETOED", lambda: reviewed.admit(reviewed.ticket))
        reviewed.refused("VETOED", reviewed.lease)
        reviewed.later(DAY + 1)


def test_after_the_review_the_owner_s_own_approvals_are_counted_anew(reviewed: Any) -> None:
    reviewed.grant(approvals=("data-b",))
    review = reviewed.terms.review
    reviewed.ticket = voted(reviewed, chair_a=review + DAY, data_b=review, ethics_c=review + DAY)
    lease = served_until(reviewed, review)
    reviewed.draw(lease, rows=1)
    reviewed.later(1)
    assert after(reviewed, lease) == dict.fromkeys(after(reviewed, lease), "GRANT_FORBIDS")
    world = reviewed.world
    world.record(world.ballot("data-b", reviewed.digest, sequence=2), "data-b")
    assert set(after(reviewed, lease).values()) == {""}
    reviewed.audited()


def test_until_the_review_approvals_may_have_expired(reviewed: Any) -> None:
    reviewed.grant(approvals=("data-b",))
    soon = reviewed.now + 100
    reviewed.ticket = voted(reviewed, chair_a=soon, data_b=soon, ethics_c=soon)
    lease = served_until(reviewed, soon + 1)
    assert after(reviewed, lease) == {
        "renewal": "",
        "draw": "",
        "lease": "RULE_NOT_MET",
        "admission": "RULE_NOT_MET",
    }


@pytest.mark.parametrize(
    ("seat", "told"), [("ethics-c", "RULE_NOT_MET"), ("data-b", "GRANT_FORBIDS")]
)
def test_a_seat_that_was_revoked_ends_what_needs_it(service: Any, seat: str, told: str) -> None:
    lease, world = service.lease(), service.world
    world.record(world.stop("second-a", "revoke-seat", seat), "second-a")
    assert after(service, lease) == dict.fromkeys(after(service, lease), told)


def test_an_approval_that_was_taken_back_ends_it(service: Any) -> None:
    lease, world = service.lease(), service.world
    world.record(world.ballot("ethics-c", service.digest, "recuse", sequence=2), "ethics-c")
    assert after(service, lease) == dict.fromkeys(after(service, lease), "RULE_NOT_MET")


def test_under_an_earlier_constitution_a_service_ends_at_its_review(reviewed: Any) -> None:
    reviewed.grant()
    later = reviewed.terms.review + DAY
    reviewed.ticket = voted(reviewed, chair_a=later, data_b=later, ethics_c=later)
    lease = reviewed.lease()
    reviewed.world.end_proposals()
    while reviewed.now < reviewed.terms.review:
        reviewed.later(min(250, reviewed.terms.review - reviewed.now))
        reviewed.world.renew(lease)
    reviewed.later(1)
    assert after(reviewed, lease) == dict.fromkeys(after(reviewed, lease), "OTHER_CONSTITUTION")


@pytest.mark.parametrize(
    ("users", "ended"),
    [
        (Roster("roster", ("lab",)), ""),
        (Members("organisations", ("org-d",)), "OTHER_CONSTITUTION"),
        (Members("organisations", ("org-c",)), ""),
    ],
)
def test_a_service_rests_on_who_may_ask(service: Any, users: Any, ended: str) -> None:
    world = service.world
    proposal = service.propose(replace(service.terms, users=users))
    world.record(proposal, "lab")
    party = Party("more", "org-d", (world.key("more").public,))
    world.amend(parties=(*world.constitution.parties, party))
    signed = world.ledger.proposal(digest_of(encode(proposal)))
    assert reason(lambda: check_in_force(world.ledger, signed)) == ended
