# SPDX-License-Identifier: Apache-2.0
"""Judging a ticket on paper: a function of ticket, constitution and time that anyone can compute
offline.

Steps of `evaluate`:
  1. the proposal has its form, is for this log, under this constitution, signed by its proposer;
  2. every ballot in the bundle has its form, is for this proposal, constitution and log, signed by
     its seat (a bundle with anything else in it is refused whole: a submitter has no business
     sending it);
  3. of each seat the highest sequence number stands; one number with two contents stands as non
     placet;
  4. a standing ballot does not approve where its seat is out of term or revoked, or it has expired;
     a non placet stands until its seat says otherwise: it has no expiry, and neither the end of a
     term nor a revocation takes it back. The log takes in only what was cast in office; and to
     revoke takes one seat, which shall not take away another's veto;
  5. the window is open;
  6. every rule that applies holds; there is at least one, and the constitution lists every label of
     the data.
What no paper shows (stops, uses, grants, ballots left out of the bundle) is judged at admission:
see admission.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from placet.governance.account import (
    Account,
    BallotAccount,
    DemandAccount,
    RuleAccount,
    Times,
)
from placet.governance.codec import malformed
from placet.governance.documents import (
    Ballot,
    Constitution,
    Federate,
    Proposal,
    Rule,
    Seat,
    Serve,
)
from placet.governance.envelope import Signed, verify_signed
from placet.governance.errors import (
    GovernanceError,
    NoRule,
    OtherConstitution,
    OtherLog,
    RuleNotMet,
    TicketExpired,
    TicketNotYetValid,
    Vetoed,
)
from placet.governance.terms import terms_digest

MAX_BALLOTS = 1000


@dataclass(frozen=True, slots=True)
class Ticket:
    """A proposal and ballots for it as envelopes, as they came: nothing in it has been verified."""

    proposal: bytes
    ballots: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.ballots) > MAX_BALLOTS:
            raise malformed("ballots", f"at most {MAX_BALLOTS}", str(len(self.ballots)))


@dataclass(frozen=True, slots=True)
class InForce:
    """A constitution with its digest, the charter of the council whose it is, and the seats revoked
    since."""

    constitution: Constitution
    digest: str
    charter: str
    revoked_seats: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ValidTicket:
    """A ticket that was judged and let through at `account.times`."""

    proposal: Signed[Proposal]
    ballots: tuple[Signed[Ballot], ...]
    account: Account


def verify_ticket(ticket: Ticket, in_force: InForce, times: Times) -> ValidTicket:
    """Judge a ticket on paper and return it verified. Raises the account's first refusal."""
    proposal = verify_proposal(ticket.proposal, in_force)
    ballots = verify_ballots(ticket.ballots, proposal, in_force)
    return judge_ticket(proposal, ballots, in_force, times)


def judge_ticket(
    proposal: Signed[Proposal],
    ballots: tuple[Signed[Ballot], ...],
    in_force: InForce,
    times: Times,
) -> ValidTicket:
    """The ticket of documents that have been verified. Raises the account's first refusal."""
    account = judge(proposal, ballots, in_force, times)
    if account.refusals:
        raise account.refusals[0]
    return ValidTicket(proposal, ballots, account)


def evaluate(ticket: Ticket, in_force: InForce, times: Times) -> Account:
    """The account of a ticket. Raises where the bundle holds what is not a proposal and ballots for
    it (steps 1, 2)."""
    proposal = verify_proposal(ticket.proposal, in_force)
    return judge(proposal, verify_ballots(ticket.ballots, proposal, in_force), in_force, times)


def verify_proposal(envelope: bytes, in_force: InForce) -> Signed[Proposal]:
    """Step 1. Raises `DocumentRefused`."""
    signed = verify_signed(
        envelope, Proposal, lambda document: in_force.constitution.keys_of(document.proposer)
    )
    check_charter(signed.document.header.charter, in_force.charter)
    _check_constitution(signed.document.constitution, in_force)
    return signed


def verify_ballots(
    envelopes: Iterable[bytes], proposal: Signed[Proposal], in_force: InForce
) -> tuple[Signed[Ballot], ...]:
    """Step 2. Raises `DocumentRefused` or `SeatUnknown`."""
    ballots = tuple(verify_ballot(envelope, in_force) for envelope in envelopes)
    return check_ballots(ballots, proposal)


def check_ballots(
    ballots: tuple[Signed[Ballot], ...], proposal: Signed[Proposal]
) -> tuple[Signed[Ballot], ...]:
    """Ballots that are all for this proposal. Raises `DocumentMalformed`."""
    for ballot in ballots:
        if ballot.document.proposal != proposal.digest:
            raise malformed("ballot.proposal", proposal.digest, ballot.document.proposal)
    return ballots


def verify_ballot(envelope: bytes, in_force: InForce) -> Signed[Ballot]:
    """A ballot of a seat of this constitution, for this log. Raises `DocumentRefused` or
    `SeatUnknown`."""
    signed = verify_signed(
        envelope, Ballot, lambda document: in_force.constitution.seat(document.seat).keys
    )
    check_charter(signed.document.header.charter, in_force.charter)
    _check_constitution(signed.document.constitution, in_force)
    return signed


def check_charter(named: str, charter: str) -> None:
    """A document is for one council, by the digest of its charter. Raises `OtherLog`."""
    if named != charter:
        raise OtherLog(
            "The document is for another council. Sign one that names the charter of this one.",
            claim="header.charter",
            expected=charter,
            actual=named,
        )


def bound_digest(proposal: Signed[Proposal]) -> str:
    """What a worker has to be launched for: a job's program; else the terms, since the program is
    built in.

    Raises `DocumentMalformed` for an amendment.
    """
    body = proposal.document.body
    return (
        terms_digest(body) if isinstance(body, Federate | Serve) else proposal.document.job.program
    )


def _check_constitution(named: str, in_force: InForce) -> None:
    if named != in_force.digest:
        raise OtherConstitution(
            "The document is under another constitution than the one in force. Sign one that names "
            "this one.",
            claim="constitution",
            expected=in_force.digest,
            actual=named,
        )


def judge(
    proposal: Signed[Proposal], ballots: Iterable[Signed[Ballot]], in_force: InForce, times: Times
) -> Account:
    """Steps 3 to 6, over documents that have been verified."""
    standing = [_ballot_account(b, in_force, times) for b in _standing(ballots)]
    document = proposal.document
    matching = [
        rule
        for rule in in_force.constitution.rules
        if rule.when.applies(document.action, document.purpose, document.labels)
    ]
    conflicted = {rule.id: _conflicted(rule, document, in_force.constitution) for rule in matching}
    rules = tuple(_rule_account(rule, standing, conflicted[rule.id], document) for rule in matching)
    vetoes = _vetoes(matching, standing)
    refusals = [*_window(document, times), *vetoes, *_unmet(rules)]
    # A label that the constitution does not list, a misspelt one say, would slip through its rules.
    if not matching or not document.labels.issubset(in_force.constitution.labels):
        refusals.append(_no_rule(document))
    accounts = tuple(account for account, _ in standing)
    return Account(proposal.digest, in_force.digest, times, accounts, rules, tuple(refusals))


def _standing(ballots: Iterable[Signed[Ballot]]) -> list[tuple[Ballot, str]]:
    """Step 3: for each seat its ballot of the highest number, and the vote that it stands for."""
    by_seat: dict[str, dict[str, Ballot]] = {}
    for ballot in ballots:
        by_seat.setdefault(ballot.document.seat, {})[ballot.digest] = ballot.document
    standing: list[tuple[Ballot, str]] = []
    for seat in sorted(by_seat):
        highest = max(ballot.sequence for ballot in by_seat[seat].values())
        last = [ballot for ballot in by_seat[seat].values() if ballot.sequence == highest]
        # Two contents of one number are one non placet.
        standing.append((last[0], last[0].vote if len(last) == 1 else "non placet"))
    return standing


def _ballot_account(
    standing: tuple[Ballot, str], in_force: InForce, times: Times
) -> tuple[BallotAccount, Ballot]:
    """Step 4, for approvals."""
    ballot, vote = standing
    seat = in_force.constitution.seat(ballot.seat)
    why = seat_refusal(seat, in_force, times)
    if not why and vote == "placet" and ballot.has_expired(times.at_most):
        why = "the ballot has expired"
    return BallotAccount(seat.id, seat.organisation, seat.role, vote, why), ballot


def seat_refusal(seat: Seat, in_force: InForce, times: Times) -> str:
    """Why a seat may not act now; empty where it may."""
    if seat.id in in_force.revoked_seats:
        return "the seat has been revoked"
    if times.at_least < seat.term_start:
        return "the seat's term has not begun"
    if times.at_most > seat.term_end:
        return "the seat's term has ended"
    return ""


def may_stop(seat: Seat, times: Times) -> bool:
    """Whether a seat may say no now: revoked seats too, and both readings of the time lean to it.

    Asked when a no enters the log, and never after: what was said in office stands.
    """
    return seat.term_start <= times.at_most and times.at_least <= seat.term_end


def _conflicted(rule: Rule, proposal: Proposal, constitution: Constitution) -> dict[str, str]:
    """Organisations whose approval the rule does not count, with the reason."""
    found: dict[str, str] = {}
    if "submitter" in rule.demand.conflicts:
        organisation = constitution.principal(proposal.proposer).organisation
        found[organisation] = "its organisation proposes this"
    if "owner" in rule.demand.conflicts:
        for owner in sorted(proposal.owners):
            found.setdefault(
                constitution.principal(owner).organisation, "its organisation owns data in this"
            )
    return found


def _rule_account(
    rule: Rule,
    standing: list[tuple[BallotAccount, Ballot]],
    conflicted: dict[str, str],
    proposal: Proposal,
) -> RuleAccount:
    counted: list[BallotAccount] = []
    left_out: list[tuple[str, str]] = []
    for account, ballot in standing:
        why = account.why or conflicted.get(account.organisation, "")
        if not why and account.vote != "placet":
            why = f"it said {account.vote}"
        if not why and rule.demand.rationale and not ballot.rationale.strip():
            why = "it gives no rationale"
        if why:
            left_out.append((account.seat, why))
        else:
            counted.append(account)
    return RuleAccount(rule.id, rule.title, _demands(rule, counted, proposal), tuple(left_out))


def _demands(
    rule: Rule, counted: list[BallotAccount], proposal: Proposal
) -> tuple[DemandAccount, ...]:
    """Step 6 for one rule, demand by demand."""
    demand = rule.demand
    seats = tuple(account.seat for account in counted)
    organisations = sorted({account.organisation for account in counted})
    lifetime = proposal.not_after - proposal.not_before
    found = [
        _at_least("approvals", demand.approvals, len(seats), seats),
        _at_least(
            "distinct organisations", demand.organisations, len(organisations), tuple(organisations)
        ),
    ]
    for role, number in sorted(demand.roles.items()):
        holders = tuple(account.seat for account in counted if account.role == role)
        found.append(_at_least(f"approvals of role {role}", number, len(holders), holders))
    found.append(_at_most("seconds of ticket lifetime", demand.lifetime_seconds, lifetime))
    found.append(_at_most("uses", demand.uses, proposal.uses))
    return tuple(found)


def _at_least(demand: str, required: int, found: int, by: tuple[str, ...]) -> DemandAccount:
    return DemandAccount(demand, f"at least {required}", str(found), found >= required, by)


def _at_most(demand: str, required: int, found: int) -> DemandAccount:
    return DemandAccount(demand, f"at most {required}", str(found), found <= required, ())


def _window(proposal: Proposal, times: Times) -> list[GovernanceError]:
    """Step 5."""
    if times.at_least < proposal.not_before:
        return [
            TicketNotYetValid(
                "The ticket's window has not opened. Submit it later.",
                claim="not_before",
                expected=f"at or after {proposal.not_before}",
                actual=str(times.at_least),
            )
        ]
    if times.at_most > proposal.not_after:
        return [
            TicketExpired(
                "The ticket's window has closed. Propose again and have it voted on.",
                claim="not_after",
                expected=f"at or before {proposal.not_after}",
                actual=str(times.at_most),
            )
        ]
    return []


def _vetoes(
    rules: list[Rule], standing: list[tuple[BallotAccount, Ballot]]
) -> list[GovernanceError]:
    """Step 4, for vetoes."""
    return [
        Vetoed(
            f"The seat {account.seat} ({account.role}) said non placet, and rule {rule.id} gives "
            "its role a veto. Only that seat can lift it, by a later ballot while it is in office.",
            claim="veto",
            expected="no non placet of a veto role",
            actual=f"non placet by {account.seat}",
            rule=rule.id,
        )
        for rule in rules
        for account, _ in standing
        if account.role in rule.demand.veto and account.vote == "non placet"
    ]


def _unmet(rules: tuple[RuleAccount, ...]) -> list[GovernanceError]:
    refusals: list[GovernanceError] = []
    for rule in rules:
        for demand in rule.demands:
            if demand.met:
                continue
            left_out = "; ".join(f"{seat}: {why}" for seat, why in rule.not_counted)
            refusals.append(
                RuleNotMet(
                    f"Rule {rule.rule} demands {demand.required} {demand.demand}; found "
                    f"{demand.found}" + (f" (not counted: {left_out})." if left_out else "."),
                    claim=demand.demand,
                    expected=demand.required,
                    actual=demand.found,
                    rule=rule.rule,
                    remedy="Have the missing seats vote, or propose within the rule's bounds.",
                )
            )
    return refusals


def _no_rule(proposal: Proposal) -> NoRule:
    return NoRule(
        "No rule of the constitution covers this action, purpose and data, or it does not list one "
        "of the labels; what no rule covers is refused. Amend the constitution, or propose within "
        "it.",
        claim="rules",
        expected="a rule that applies, and listed labels",
        actual=f"action {proposal.action}, purpose {proposal.purpose}, labels "
        f"{sorted(proposal.labels)}",
    )
