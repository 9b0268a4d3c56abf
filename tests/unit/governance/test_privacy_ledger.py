# SPDX-License-Identifier: Apache-2.0
"""An owner's ledger: reserved by a lease, spent by a release, given back by a close, and held
against budgets."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placet.auditing.audit import AuditReport, audit
from placet.governance.codec import decode, encode
from placet.governance.documents import UNBOUNDED, Budget, Charged, Cost, Declared, Input, Receipt
from placet.governance.envelope import verify_signed
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import admit
from placet.governance.ledger import Ledger
from placet.governance.state import PrivacyState
from placet.refusals import LogEntryInvalid, Refusal

ONE = Declared("1", "1e-7")
COST = Cost(epsilon=10**9, delta=10**8)
THREE = Budget("3", "1e-6")


def refused(reason: str, call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        call()
    assert refusal.value.reason == reason
    return refusal.value


def ticket(world: Any, terms: Declared | None = ONE, **job: Any) -> Ticket:
    """A ticket for three uses of a job with these terms."""
    found: Ticket = world.ticket(world.proposal(uses=3, body=world.job(privacy=terms, **job)))
    return found


def lease(world: Any, given: Ticket, job: str) -> str:
    digest: str = world.lease(given, world.join(f"worker {len(world.entries)}"), job)["lease"]
    return digest


def audited(world: Any) -> AuditReport:
    return audit(world.entries, world, world.name, world.checkpoint(), attest=world.attest)


def total(world: Any, owner: str = "owner-b") -> Cost:
    cost: Cost = world.ledger.state.charged(owner)
    return cost


@pytest.fixture
def bounded(founded: Any) -> Any:
    """A log whose one grant allows epsilon 3 in all."""
    founded.give(privacy=THREE)
    return founded


def test_a_lease_reserves_and_a_release_spends(bounded: Any) -> None:
    given = ticket(bounded)
    digest = lease(bounded, given, "job-1")
    state = bounded.ledger.state.privacy["owner-b"]
    assert json.loads(bounded.entries[-1])["charges"] == {"owner-b": [0, 10**9, 10**8]}
    assert (state.spent, state.reserved) == (Cost(), {digest: COST})
    bounded.renew(digest)
    assert state.reserved == {digest: COST}
    bounded.release(digest)
    assert (state.spent, state.reserved) == (COST, {})


def test_only_a_close_gives_back_and_the_next_attempt_is_charged(bounded: Any) -> None:
    given = ticket(bounded)
    first = lease(bounded, given, "job-1")
    bounded.boot("boot 2")
    assert (
        total(bounded) == COST
    )  # the lease can release nothing any more, but nothing has closed it
    bounded.close(first)
    assert total(bounded) == Cost()
    lease(bounded, given, "job-1")
    assert total(bounded) == COST


def test_what_is_open_counts_and_the_last_unit_does(bounded: Any) -> None:
    given = ticket(bounded)
    for number in range(2):
        lease(bounded, given, f"job-{number}")
    more = ticket(bounded, Declared("1.000000001", "1e-7"))
    refusal = refused("PRIVACY_BUDGET", lambda: lease(bounded, more, "job-2"))
    assert refusal.details == {
        "claim": "privacy",
        "expected": "epsilon at most 3 at delta 1e-6",
        "actual": "epsilon 3.001 (so far epsilon 2)",
    }
    refused("PRIVACY_BUDGET", lambda: admit(bounded.ledger, more, "job-2", bounded.times))
    last = lease(bounded, given, "job-2")
    assert total(bounded) == COST + COST + COST
    least = ticket(bounded, Declared("1e-9", "0"))
    refused("PRIVACY_BUDGET", lambda: lease(bounded, least, "job-3"))
    bounded.close(last)
    lease(bounded, least, "job-3")


def test_delta_is_used_up_as_well(bounded: Any) -> None:
    given = ticket(bounded, Declared("0.1", "6e-7"))
    bounded.release(lease(bounded, given, "job-1"))
    refusal = refused("PRIVACY_BUDGET", lambda: lease(bounded, given, "job-2"))
    assert refusal.details["actual"].startswith("without bound at delta 1e-6")


def test_one_ledger_for_all_grants_objects_and_tickets_of_an_owner(bounded: Any) -> None:
    other = bounded.descriptor("other")
    bounded.give(object=other, privacy=Budget("1.5", "1e-6"))
    bounded.release(lease(bounded, ticket(bounded), "job-1"))
    inputs = {"train": Input(other, "owner-b")}
    refused("PRIVACY_BUDGET", lambda: lease(bounded, ticket(bounded, inputs=inputs), "job-2"))
    # Both grants in one job: it is charged once, and the narrower bound decides.
    half = Declared("0.5", "0")
    both = {"a": Input(bounded.descriptor(), "owner-b"), "b": Input(other, "owner-b")}
    given = ticket(bounded, half, inputs=both)
    bounded.release(lease(bounded, given, "job-3"))
    assert total(bounded) == COST + half.cost
    refused("PRIVACY_BUDGET", lambda: lease(bounded, given, "job-4"))
    bounded.release(lease(bounded, ticket(bounded), "job-5"))  # the wider grant still allows it


def test_every_owner_of_an_input_is_charged_and_asked(bounded: Any) -> None:
    train, of_lab = bounded.descriptor(), bounded.descriptor("lab's")
    bounded.give(combine_with=("lab",), privacy=THREE)
    bounded.give(object=of_lab, owner="lab", combine_with=("owner-b",), privacy=Budget("1", "1e-6"))
    inputs = {"a": Input(train, "owner-b"), "b": Input(of_lab, "lab")}
    given = ticket(bounded, inputs=inputs)
    lease(bounded, given, "job-1")
    assert total(bounded) == total(bounded, "lab") == COST
    refusal = refused("PRIVACY_BUDGET", lambda: lease(bounded, given, "job-2"))
    assert str(refusal).startswith("lab allows epsilon 1 at delta 1e-6 in all.")
    lease(bounded, ticket(bounded), "job-3")  # without the lab's data


def test_a_job_without_terms_is_for_grants_without_bounds(bounded: Any) -> None:
    without = ticket(bounded, None)
    refusal = refused("PRIVACY_BUDGET", lambda: lease(bounded, without, "job-1"))
    assert refusal.details["actual"] == "without bound (so far epsilon 0)"
    bounded.give(privacy="any")
    digest = lease(bounded, without, "job-1")
    assert total(bounded) == UNBOUNDED
    # While it is open, and for ever once it is released, no bounded grant of this owner lets
    # anything through.
    other = bounded.descriptor("other")
    bounded.give(object=other, privacy=Budget("1000000", "0.5"))
    later = ticket(bounded, inputs={"train": Input(other, "owner-b")})
    refused("PRIVACY_BUDGET", lambda: lease(bounded, later, "job-2"))
    bounded.close(digest)
    bounded.close(lease(bounded, later, "job-2"))
    bounded.release(lease(bounded, without, "job-1"))
    refused("PRIVACY_BUDGET", lambda: lease(bounded, later, "job-2"))
    lease(bounded, without, "job-3")


def test_a_grant_of_none_lets_nothing_through_that_costs(founded: Any) -> None:
    founded.give(privacy="none")
    for terms in (ONE, None):
        refused("PRIVACY_BUDGET", partial(lease, founded, ticket(founded, terms), "job-1"))


def test_a_job_without_inputs_is_charged_to_nobody(bounded: Any) -> None:
    bounded.amend(
        rules=tuple(
            replace(rule, when=replace(rule.when, labels="any"))
            for rule in bounded.constitution.rules
        )
    )
    lease(bounded, ticket(bounded, None, inputs={}), "job-1")
    assert json.loads(bounded.entries[-1])["charges"] == {}
    assert bounded.ledger.state.privacy == {}


@pytest.mark.parametrize("terms", [ONE, None])
def test_the_receipt_says_what_was_charged_and_by_whose_word(founded: Any, terms: Any) -> None:
    founded.give()
    entry = founded.release(lease(founded, ticket(founded, terms), "job-1"))
    signed = verify_signed(
        founded.store[entry["receipt"]], Receipt, lambda _: [founded.log_key.public]
    )
    charged = Charged({"owner-b": COST if terms else UNBOUNDED}, declared=terms is not None)
    assert signed.document.predicate.privacy == charged
    assert decode(Receipt, encode(signed.document)) == signed.document


def test_an_authority_that_forgets_what_was_spent_is_caught(bounded: Any) -> None:
    given = ticket(bounded, Declared("2", "1e-7"))
    bounded.release(lease(bounded, given, "job-1"))
    bounded.ledger.state.privacy.clear()
    lease(bounded, given, "job-2")
    with pytest.raises(LogEntryInvalid, match="owner-b allows epsilon 3 at delta 1e-6") as refusal:
        audited(bounded)
    assert refusal.value.details["claim"] == f"entry {len(bounded.entries) - 1}"


STEPS = st.lists(
    st.tuples(st.sampled_from(["lease", "release", "close"]), st.integers(0, 5)), max_size=12
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_replay_and_an_audit_give_the_same_ledger(
    founded: Any, steps: list[tuple[str, int]]
) -> None:
    """Whatever is leased, released and closed: nothing beyond the budget, and every judge has the
    same sums."""
    world = founded.__class__().found()
    world.boot()
    world.give(privacy=Budget("2", "1e-6"))
    terms = [Declared("0.7", "1e-7"), Declared("0.4", "0")]
    tickets = [ticket(world, one) for one in terms]
    expected = PrivacyState(Cost(), dict[str, Cost]())
    for step, number in steps:
        leases = list(expected.reserved)
        if step == "lease":
            try:
                digest = lease(world, tickets[number % 2], f"job-{number}")
            except Refusal:
                continue
            expected.reserved[digest] = terms[number % 2].cost
        elif leases:
            digest = leases[number % len(leases)]
            cost = expected.reserved.pop(digest)
            if step == "release":
                world.release(digest)
                expected.spent += cost
            else:
                world.close(digest)
        assert world.ledger.state.privacy.get("owner-b", PrivacyState()) == expected
        assert total(world).epsilon <= 2 * 10**9
    replayed = Ledger(world)
    replayed.replay_all(world.entries, world.head())
    assert replayed.state == world.ledger.state
    report = audited(world)
    assert (report.complete, report.privacy) == (True, world.ledger.state.privacy)
