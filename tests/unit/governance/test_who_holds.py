# SPDX-License-Identifier: Apache-2.0
"""What an owner agreed to includes who is behind the names: a change suspends the grant."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from placet.governance.documents import Party, Seat
from placet.governance.envelope import parse_envelope
from placet.governance.judgements.admission import admit
from placet.refusals import Refusal

T0 = 1_800_000_000
DAY = 86400

Change = Callable[[Any], dict[str, Any]]


def seat(id_: str, **changes: Any) -> Change:
    """An amendment by which a seat is held by another, or otherwise."""

    def change(world: Any) -> dict[str, Any]:
        named = {k: (world.key(v).public,) if k == "keys" else v for k, v in changes.items()}
        seats = world.constitution.seats
        return {"seats": tuple(replace(s, **named) if s.id == id_ else s for s in seats)}

    return change


def party(id_: str, **changes: Any) -> Change:
    """The same of a party."""

    def change(world: Any) -> dict[str, Any]:
        named = {k: (world.key(v).public,) if k == "keys" else v for k, v in changes.items()}
        parties = world.constitution.parties
        return {"parties": tuple(replace(p, **named) if p.id == id_ else p for p in parties)}

    return change


def one_more(world: Any) -> dict[str, Any]:
    key = world.key("new-d").public
    more = Seat("new-d", "org-d", "ethics", (key,), T0 - DAY, T0 + DAY)
    return {"seats": (*world.constitution.seats, more)}


def another_party(world: Any) -> dict[str, Any]:
    key = world.key("new-lab").public
    return {"parties": (*world.constitution.parties, Party("new-lab", "org-d", (key,)))}


def another_worker(world: Any) -> dict[str, Any]:
    evidence = world.constitution.evidence
    measured = [*evidence.worker["measurements"], f"{'33' * 32}=sha256:{'cd' * 32}"]
    return {"evidence": replace(evidence, worker={**evidence.worker, "measurements": measured})}


def other_keys_first(world: Any) -> dict[str, Any]:
    first, *rest = world.constitution.seats
    return {"seats": (replace(first, keys=tuple(reversed(first.keys))), *rest)}


SUSPENDING: dict[str, Change] = {
    "other keys of the seat that the grant names": seat("data-b", keys="thief"),
    "another organisation of the seat that the grant names": seat("data-b", organisation="org-d"),
    "other keys of a seat whose role a rule names": seat("ethics-c", keys="thief"),
    "another organisation of a seat that a rule counts": seat("second-a", organisation="org-d"),
    "another role of a seat that a rule counts": seat("second-a", role="ethics"),
    "a key less of a seat that a rule counts": seat("chair-a", keys="chair-a"),
    "a seat more": one_more,
    "a seat less": lambda w: {"seats": w.constitution.seats[:-1]},
    "other keys of the owner": party("owner-b", keys="thief"),
    "another organisation of the owner": party("owner-b", organisation="org-d"),
    "an owner who is left out": lambda w: {"parties": w.constitution.parties[1:]},
    "other keys of whose data may be in the job": party("lab", keys="thief"),
    "another organisation of whose data may be in the job": party("lab", organisation="org-a"),
    "whose data may be in the job is left out": lambda w: {"parties": w.constitution.parties[:1]},
}
NOT_SUSPENDING: dict[str, Change] = {
    "a longer term": seat("data-b", term_end=T0 + 999 * DAY),
    "seats in another order": lambda w: {"seats": tuple(reversed(w.constitution.seats))},
    "parties in another order": lambda w: {"parties": tuple(reversed(w.constitution.parties))},
    "keys in another order": other_keys_first,
    "a party more, whom the grant does not name": another_party,
    "a worker for a program that the grant does not list": another_worker,
}


def told(call: Callable[[], object]) -> str:
    """The reason for which a call is refused, or ""."""
    try:
        call()
    except Refusal as refusal:
        return str(refusal.reason)
    return ""


def lease_of(world: Any) -> str:
    """A job that runs under a grant that names a seat and whose data may be in the same job."""
    world.give(approvals=("data-b",), combine_with=("lab",))
    lease: str = world.lease(world.ticket(), world.join())["lease"]
    return lease


@pytest.mark.parametrize("case", SUSPENDING)
def test_another_behind_a_name_suspends_what_runs(founded: Any, case: str) -> None:
    lease = lease_of(founded)
    founded.amend(**SUSPENDING[case](founded))
    for call in (founded.renew, founded.release):
        assert told(partial(call, lease)) == "GRANT_FORBIDS"


@pytest.mark.parametrize("case", NOT_SUSPENDING)
def test_what_says_nothing_of_who_suspends_nothing(founded: Any, case: str) -> None:
    lease = lease_of(founded)
    founded.amend(**NOT_SUSPENDING[case](founded))
    founded.renew(lease)
    founded.release(lease)


def test_a_suspended_grant_lets_nothing_new_through_until_its_owner_renews_it(founded: Any) -> None:
    founded.give()
    founded.amend(**seat("data-b", keys="thief")(founded))

    def asked() -> object:
        ticket = founded.ticket(seats=("chair-a", "ethics-c"))
        vote = founded.ballot("data-b", parse_envelope(ticket.proposal).digest)
        ballots = (*ticket.ballots, founded.signed(vote, "thief"))
        return admit(founded.ledger, replace(ticket, ballots=ballots), "j", founded.times)

    assert told(asked) == "GRANT_FORBIDS"
    founded.give()
    assert told(asked) == ""


def test_whom_no_name_of_the_grant_means_is_nothing_to_it(founded: Any) -> None:
    founded.give(combine_with="any", approvals=())
    lease = founded.lease(founded.ticket(), founded.join())["lease"]
    founded.amend(**party("lab", keys="another")(founded))
    founded.release(lease)
