# SPDX-License-Identifier: Apache-2.0
"""A ticket on paper: which ballots count, which rules apply, and what is said of it."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.envelope import digest_of, sign
from placet.governance.evaluate import (
    MAX_BALLOTS,
    InForce,
    Ticket,
    evaluate,
    judge_ticket,
    verify_ballots,
    verify_proposal,
)
from placet.governance.rules import Approvals, Demand, Independence, Organisations, Rationale, Role
from placet.refusals import (
    DocumentMalformed,
    OtherConstitution,
    OtherLog,
    Refusal,
    SeatUnknown,
    SignatureInvalid,
    SignerUnknown,
)

T0 = 1_800_000_000
DAY = 86400
NOW = Times(T0, T0)


@dataclass(frozen=True)
class Case:
    """Ballots as (seat, vote, changes), what else is changed, and the refusals that come out."""

    ballots: list[tuple[str, str, dict[str, Any]]]
    refusals: list[str] = field(default_factory=list[str])
    proposal: dict[str, Any] = field(default_factory=dict[str, Any])
    times: Times = NOW
    revoked: frozenset[str] = frozenset()
    constitution: Callable[[Any], Any] = lambda constitution: constitution


def yes(seat: str, **changes: Any) -> tuple[str, str, dict[str, Any]]:
    return seat, "placet", changes


def no(seat: str, **changes: Any) -> tuple[str, str, dict[str, Any]]:
    return seat, "non placet", changes


def _demand(*demands: Demand, without: tuple[type, ...] = ()) -> Callable[[Any], Any]:
    """The rule on health data with these demands, and without others of some kinds."""

    def change(constitution: Any) -> Any:
        health, amend = constitution.rules
        replaced = (*without, *map(type, demands))
        kept = tuple(d for d in health.demands if not isinstance(d, replaced))
        return replace(constitution, rules=(replace(health, demands=(*kept, *demands)), amend))

    return change


def _only_for(*actions: Any) -> Callable[[Any], Any]:
    """Every rule, for these actions alone."""

    def change(constitution: Any) -> Any:
        rules = [replace(r, when=replace(r.when, actions=actions)) for r in constitution.rules]
        return replace(constitution, rules=tuple(rules))

    return change


def _term(seat: str, start: int, end: int) -> Callable[[Any], Any]:
    def change(constitution: Any) -> Any:
        seats = [
            replace(s, term_start=start, term_end=end) if s.id == seat else s
            for s in constitution.seats
        ]
        return replace(constitution, seats=tuple(seats))

    return change


ENOUGH = [yes("chair-a"), yes("ethics-c")]

CASES: dict[str, Case] = {
    "enough": Case(ENOUGH),
    "nobody": Case([], ["RULE_NOT_MET"] * 3),
    "one seat": Case([yes("ethics-c")], ["RULE_NOT_MET"] * 2),
    "one organisation": Case([yes("chair-a"), yes("second-a")], ["RULE_NOT_MET"] * 2),
    "a role is missing": Case([yes("chair-a"), yes("data-b")], ["RULE_NOT_MET"]),
    "abstaining approves nothing": Case(
        [yes("ethics-c"), ("chair-a", "abstain", {}), ("data-b", "recuse", {})],
        ["RULE_NOT_MET"] * 2,
    ),
    "no rationale": Case([yes("chair-a", rationale=" \n"), yes("ethics-c")], ["RULE_NOT_MET"] * 2),
    "no rationale where none is demanded": Case(
        [yes("chair-a", rationale=""), yes("ethics-c", rationale="")],
        constitution=_demand(without=(Rationale,)),
    ),
    "a no of a seat without a veto": Case([*ENOUGH, no("second-a")]),
    "a veto": Case([*ENOUGH, no("data-b")], ["VETOED"]),
    "a veto without a rationale": Case([*ENOUGH, no("data-b", rationale="")], ["VETOED"]),
    "a veto that was lifted": Case([*ENOUGH, no("data-b"), yes("data-b", sequence=2)]),
    "a veto after a yes": Case([*ENOUGH, yes("data-b"), no("data-b", sequence=2)], ["VETOED"]),
    "an approval that was taken back": Case(
        [*ENOUGH, ("ethics-c", "abstain", {"sequence": 5})], ["RULE_NOT_MET"] * 3
    ),
    "two contents of one number": Case(
        [*ENOUGH, yes("ethics-c", interests="other")], ["RULE_NOT_MET"] * 3
    ),
    "two contents of one number by a veto": Case(
        [*ENOUGH, yes("data-b"), yes("data-b")], ["VETOED"]
    ),
    "two contents of one number, one of them expired": Case(
        [*ENOUGH, yes("data-b", expires=1), yes("data-b")], ["VETOED"]
    ),
    "two contents of a number that was passed": Case(
        [*ENOUGH, yes("data-b"), no("data-b"), yes("data-b", sequence=2)]
    ),
    "an approval that expires now": Case([yes("chair-a", expires=T0), yes("ethics-c")]),
    "an approval that has expired": Case(
        [yes("chair-a", expires=T0 - 1), yes("ethics-c")], ["RULE_NOT_MET"] * 2
    ),
    "an approval that may have expired": Case(
        [yes("chair-a", expires=T0 + 4), yes("ethics-c")],
        ["RULE_NOT_MET"] * 2,
        times=Times(T0, T0 + 5),
    ),
    "an expired approval hides an older one": Case(
        [*ENOUGH, yes("chair-a", sequence=2, expires=1)], ["RULE_NOT_MET"] * 2
    ),
    "a veto does not expire": Case(
        [*(yes(seat, expires=T0 + 99 * DAY) for seat in ("chair-a", "ethics-c")), no("data-b")],
        ["VETOED"],
        {"not_before": T0 + 60 * DAY, "not_after": T0 + 61 * DAY},
        Times(T0 + 60 * DAY, T0 + 61 * DAY),
    ),
    "a placet that lifted a veto and has expired": Case(
        [*ENOUGH, no("data-b"), yes("data-b", sequence=2, expires=1)]
    ),
    "a term that has not begun": Case(
        ENOUGH, ["RULE_NOT_MET"] * 2, constitution=_term("chair-a", T0 + 1, T0 + 9)
    ),
    "a term that begins now": Case(ENOUGH, constitution=_term("chair-a", T0, T0 + 9)),
    "a term that may not have begun": Case(
        ENOUGH,
        ["RULE_NOT_MET"] * 2,
        times=Times(T0, T0 + 5),
        constitution=_term("chair-a", T0 + 1, T0 + 9),
    ),
    "a term that ends now": Case(ENOUGH, constitution=_term("chair-a", 0, T0)),
    "a term that has ended": Case(
        ENOUGH, ["RULE_NOT_MET"] * 2, constitution=_term("chair-a", 0, T0 - 1)
    ),
    "a veto by a term that has ended": Case(
        [*ENOUGH, no("data-b")], ["VETOED"], constitution=_term("data-b", 0, T0 - 1)
    ),
    "a veto by a term that may not have ended": Case(
        [*ENOUGH, no("data-b")],
        ["VETOED"],
        times=Times(T0, T0 + 5),
        constitution=_term("data-b", 0, T0 + 2),
    ),
    "a revoked seat does not approve": Case(
        ENOUGH, ["RULE_NOT_MET"] * 2, revoked=frozenset({"chair-a"})
    ),
    "a revoked seat still vetoes": Case(
        [*ENOUGH, no("data-b")], ["VETOED"], revoked=frozenset({"data-b"})
    ),
    "the window opens now": Case(ENOUGH, proposal={"not_before": T0}),
    "the window has not opened": Case(ENOUGH, ["TICKET_NOT_YET_VALID"], {"not_before": T0 + 1}),
    "the window may not have opened": Case(
        ENOUGH, ["TICKET_NOT_YET_VALID"], {"not_before": T0 + 1}, Times(T0, T0 + 5)
    ),
    "the window closes now": Case(ENOUGH, proposal={"not_after": T0}),
    "the window has closed": Case(ENOUGH, ["TICKET_EXPIRED"], {"not_after": T0 - 1}),
    "the window may have closed": Case(
        ENOUGH, ["TICKET_EXPIRED"], {"not_after": T0 + 4}, Times(T0, T0 + 5)
    ),
    "the longest window": Case(ENOUGH, proposal={"not_before": T0, "not_after": T0 + 7 * DAY}),
    "too long a window": Case(
        ENOUGH, ["RULE_NOT_MET"], {"not_before": T0, "not_after": T0 + 7 * DAY + 1}
    ),
    "the most uses": Case(ENOUGH, proposal={"uses": 3}),
    "too many uses": Case(ENOUGH, ["RULE_NOT_MET"], {"uses": 4}),
    "no rule for the purpose": Case(ENOUGH, ["NO_RULE"], {"purpose": "advertising"}),
    "no rule for the action": Case(ENOUGH, ["NO_RULE"], constitution=_only_for("serve")),
    "the proposer's own organisation": Case(
        ENOUGH, ["RULE_NOT_MET"] * 2, {"proposer": "second-a"}
    ),
    "the owner's own organisation": Case(
        [yes("ethics-c"), yes("data-b")],
        ["RULE_NOT_MET"] * 2,
        constitution=_demand(Independence("owner")),
    ),
    "the owner's own organisation where that is no conflict": Case(
        [yes("ethics-c"), yes("data-b")], constitution=_demand(without=(Independence,))
    ),
    "a conflicted seat still vetoes": Case(
        [*ENOUGH, no("data-b")], ["VETOED"], constitution=_demand(Independence("owner"))
    ),
    "one organisation where two seats do": Case(
        [yes("chair-a"), yes("second-a")],
        constitution=_demand(Organisations(1), without=(Role,)),
    ),
}  # fmt: skip


def build(world: Any, case: Case) -> tuple[Ticket, InForce]:
    world.constitution = case.constitution(world.constitution)
    proposal = world.proposal(**case.proposal)
    digest = digest_of(encode(proposal))
    ballots = [
        world.signed(world.ballot(seat, digest, vote, **changes), seat)
        for seat, vote, changes in case.ballots
    ]
    in_force = replace(world.in_force(), revoked_seats=case.revoked)
    return Ticket(world.signed(proposal, proposal.proposer), tuple(ballots)), in_force


@pytest.mark.parametrize("name", CASES)
def test_which_refusals_come_out(world: Any, name: str) -> None:
    case = CASES[name]
    ticket, in_force = build(world, case)
    account = evaluate(ticket, in_force, case.times)
    assert [refusal.reason for refusal in account.refusals] == case.refusals
    proposal = verify_proposal(ticket.proposal, in_force)
    ballots = verify_ballots(ticket.ballots, proposal, in_force)
    if case.refusals:
        with pytest.raises(Refusal) as refusal:
            judge_ticket(proposal, ballots, in_force, case.times, None)
        assert refusal.value.reason == case.refusals[0]
    else:
        assert judge_ticket(proposal, ballots, in_force, case.times, None).account == account


@pytest.mark.parametrize(
    "name", ["two contents of one number, one of them expired", "a veto", "enough"]
)
def test_the_order_of_the_bundle_does_not_matter(world: Any, name: str) -> None:
    case = CASES[name]
    ticket, in_force = build(world, case)
    orders = itertools.permutations(ticket.ballots)
    accounts = [evaluate(replace(ticket, ballots=order), in_force, case.times) for order in orders]
    assert {repr(account.ballots) for account in accounts} == {repr(accounts[0].ballots)}
    assert {repr(account.rules) for account in accounts} == {repr(accounts[0].rules)}
    assert len({tuple(map(str, account.refusals)) for account in accounts}) == 1


def test_one_seat_with_two_keys_has_one_vote(world: Any) -> None:
    proposal = world.proposal()
    digest = digest_of(encode(proposal))
    first = sign(world.ballot("chair-a", digest), world.key("chair-a"))
    second = sign(world.ballot("chair-a", digest, sequence=2), world.key("chair-a/2"))
    ticket = Ticket(world.signed(proposal, "lab"), (first, second))
    account = evaluate(ticket, world.in_force(), Times(T0, T0))
    approvals = account.rules[0].demands[0]
    assert (approvals.demand, approvals.found, approvals.by) == ("approvals", "1", ("chair-a",))


def test_the_same_ballot_many_times_is_one_ballot(world: Any) -> None:
    proposal = world.proposal()
    ballots = world.vote("ethics-c", proposal=digest_of(encode(proposal))) * 50
    account = evaluate(
        Ticket(world.signed(proposal, "lab"), ballots), world.in_force(), Times(T0, T0)
    )
    assert [ballot.vote for ballot in account.ballots] == ["placet"]
    assert account.rules[0].demands[0].found == "1"


def test_an_account_says_who_counts_and_who_does_not(world: Any) -> None:
    case = Case([yes("chair-a", rationale=""), yes("ethics-c"), no("second-a")])
    ticket, in_force = build(world, case)
    account = evaluate(ticket, in_force, case.times)
    (rule,) = account.rules
    assert rule.rule == "health"
    assert rule.not_counted == (
        ("chair-a", "it gives no rationale"),
        ("second-a", "it said non placet"),
    )
    assert [(d.demand, d.required, d.found, d.met) for d in rule.demands] == [
        ("approvals", "at least 2", "1", False),
        ("distinct organisations", "at least 2", "1", False),
        ("approvals of role ethics", "at least 1", "1", True),
        ("seconds of ticket lifetime", f"at most {7 * DAY}", str(DAY + 10), True),
        ("uses", "at most 3", "1", True),
    ]
    with pytest.raises(TypeError):
        bool(account)


def test_every_rule_that_applies_has_to_hold(world: Any) -> None:
    health, amend = world.constitution.rules
    strict = replace(health, id="all-data", when=replace(health.when, labels="any"))
    strict = world.varied(strict, Approvals(3))
    world.constitution = replace(world.constitution, rules=(health, strict, amend))
    account = evaluate(world.ticket(seats=("chair-a", "ethics-c")), world.in_force(), Times(T0, T0))
    assert [rule.rule for rule in account.rules] == ["health", "all-data"]
    assert [refusal.details["rule"] for refusal in account.refusals] == ["all-data"]


def test_a_label_that_the_constitution_does_not_list_is_not_slipped_past_its_rules(
    world: Any,
) -> None:
    health, _ = world.constitution.rules
    lax = replace(health, id="lax", when=replace(health.when, labels="any"))
    world.constitution = replace(world.constitution, rules=(lax,))
    misspelt = replace(world.job().inputs["train"], object=world.descriptor(labels=("Health",)))
    proposal = world.proposal(body=world.job(inputs={"train": misspelt}))
    account = evaluate(world.ticket(proposal), world.in_force(), Times(T0, T0))
    assert [refusal.reason for refusal in account.refusals] == ["NO_RULE"]


def test_a_bundle_with_anything_else_in_it_is_refused_whole(world: Any) -> None:
    proposal = world.proposal()
    digest, other = digest_of(encode(proposal)), "sha256:" + "00" * 32
    good = world.vote("chair-a", "ethics-c", proposal=digest)
    log = replace(world.header(), charter="sha256:" + "c5" * 32)
    junk: dict[type[Refusal], bytes] = {
        DocumentMalformed: world.signed(world.ballot("data-b", other), "data-b"),
        OtherConstitution: world.signed(
            world.ballot("data-b", digest, constitution=other), "data-b"
        ),
        OtherLog: world.signed(world.ballot("data-b", digest, header=log), "data-b"),
        SeatUnknown: world.signed(world.ballot("lab", digest), "lab"),
        SignatureInvalid: world.signed(world.ballot("data-b", digest), "ethics-c"),
        Refusal: b"{}",
    }
    for refusal, ballot in junk.items():
        ticket = Ticket(world.signed(proposal, "lab"), (*good, ballot))
        with pytest.raises(refusal):
            evaluate(ticket, world.in_force(), Times(T0, T0))
    with pytest.raises(DocumentMalformed):
        Ticket(world.signed(proposal, "lab"), good * (MAX_BALLOTS // 2 + 1))


def test_a_proposal_has_to_be_its_proposers_for_this_log_and_constitution(world: Any) -> None:
    log = replace(world.header(), charter="sha256:" + "c5" * 32)
    cases: list[tuple[type[Refusal], Any, str]] = [
        (SignatureInvalid, world.proposal(), "owner-b"),
        (SignerUnknown, world.proposal(proposer="stranger"), "lab"),
        (OtherLog, world.proposal(header=log), "lab"),
        (OtherConstitution, world.proposal(constitution="sha256:" + "00" * 32), "lab"),
    ]
    for refusal, proposal, signer in cases:
        with pytest.raises(refusal):
            evaluate(Ticket(world.signed(proposal, signer), ()), world.in_force(), Times(T0, T0))
