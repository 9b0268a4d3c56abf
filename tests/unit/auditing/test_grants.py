# SPDX-License-Identifier: Apache-2.0
"""Grants of a log: how each stands, what is left of it, and who used it."""

import json
from typing import Any

from placet.auditing.grants import (
    GrantStanding,
    UsedBy,
    explain_grant_standing,
    grant_records,
    grant_standing,
    used_by,
)
from placet.governance.account import Times
from placet.governance.documents import Budget
from placet.governance.rules import Approvals
from tests.support.world import DAY, HEALTH, PROGRAM, T0, World


def standings(world: World, times: Times | None = None) -> list[GrantStanding]:
    records = grant_records(map(json.loads, world.entries))
    return [grant_standing(world.ledger, one, times or world.times) for one in records.values()]


def only(world: World, **times: Any) -> GrantStanding:
    (found,) = standings(world, **times)
    return found


def test_a_grant_that_nobody_has_used(ready: World) -> None:
    found = only(ready)
    assert (found.stands, found.why, found.left, found.record.used) == ("live", "", 5, 0)
    assert explain_grant_standing(found, []) == [
        "The log took it in at 2027-01-15 08:00:00 UTC, as entry 2.",
        "It is live.",
        "Of 5 uses 0 are taken, and 5 are left.",
    ]


def test_who_used_a_grant_for_what(ready: World) -> None:
    """A second attempt of one job is no second use."""
    ticket = ready.ticket(ready.proposal(uses=2))
    lease = ready.lease(ticket, ready.join("one"))["lease"]
    ready.close(lease)
    ready.times = Times(T0 + 60, T0 + 60)
    ready.lease(ticket, ready.join("two"))
    ready.lease(ticket, ready.join("three"), "job-2")
    found = only(ready)
    (uses,) = found.record.uses.values()
    user = used_by(ready.ledger, uses)
    assert (user.proposer, user.action, user.purpose) == ("lab", "job", "research")
    assert (found.record.used, found.left) == (2, 3)
    first, last = "2027-01-15 08:00:00 UTC", "2027-01-15 08:01:00 UTC"
    assert explain_grant_standing(found, [user])[2:] == [
        "Of 5 uses 2 are taken, and 3 are left.",
        (
            f"lab used it for the purpose research 2 times, first at {first} and last at {last}, "
            f"by the proposal {uses.proposal}."
        ),
        f"The action was job, with the program {PROGRAM}.",
    ]
    assert "does not give that proposal" in explain_grant_standing(found, [UsedBy(uses)])[-1]


def test_a_grant_that_is_used_up(world: World) -> None:
    world.found().boot()
    world.give(uses=1)
    world.lease(world.ticket(), world.join())
    found = only(world)
    assert (found.stands, found.left) == ("used up", 0)
    assert "may go on" in found.why


def test_a_grant_that_was_withdrawn(ready: World) -> None:
    digest = only(ready).record.digest
    ready.times = Times(T0 + 60, T0 + 60)
    ready.record(ready.stop("owner-b", "withdraw", digest), "owner-b")
    found = only(ready)
    assert (found.stands, found.record.withdrawn) == ("withdrawn", T0 + 60)
    assert explain_grant_standing(found, [])[1] == (
        "owner-b withdrew it at 2027-01-15 08:01:00 UTC, by entry 3."
    )


def test_a_grant_that_has_expired(ready: World) -> None:
    later = T0 + 31 * DAY
    assert only(ready, times=Times(later, later)).stands == "expired"


def test_a_grant_that_an_amendment_suspends(ready: World) -> None:
    rule = ready.varied(HEALTH, Approvals(3))
    ready.amend(rules=(rule, *ready.constitution.rules[1:]))
    found = only(ready)
    assert found.stands == "suspended"
    assert "Ask the owner to grant again" in found.why
    ready.give()
    assert [one.stands for one in standings(ready)] == ["suspended", "live"]


def test_a_budget_says_what_was_charged(world: World) -> None:
    world.found().boot()
    world.give(privacy=Budget("3", "1e-6"), uses="any")
    found = only(world)
    assert found.left is None
    assert explain_grant_standing(found, [])[-2:] == [
        "It was used 0 times, and may be used any number more.",
        "owner-b has been charged epsilon 0 so far, of epsilon 3 at delta 1e-6 in all.",
    ]
