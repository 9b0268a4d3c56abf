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
see admission.py. A demand that takes such a fact is judged where the log is at hand; elsewhere the
account names it among those that were not judged.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from placet.governance.account import (
    Account,
    BallotAccount,
    DemandAccount,
    Logged,
    NotJudged,
    RuleAccount,
    Times,
)
from placet.governance.codec import malformed
from placet.governance.documents import (
    Ballot,
    Constitution,
    Proposal,
    Rule,
    Seat,
)
from placet.governance.envelope import Named, Signed, verify_signed
from placet.governance.rules.facts import Facts
from placet.refusals import (
    NoRule,
    OtherConstitution,
    OtherLog,
    Refusal,
    RuleNotMet,
    TicketExpired,
    TicketNotYetValid,
    Vetoed,
)

# Two of each seat that a constitution can have: a ticket carries those that stand, and two contents
# of one number are a non placet.
MAX_BALLOTS = 2 * Seat.MOST


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


def judge_ticket(
    proposal: Signed[Proposal],
    ballots: tuple[Signed[Ballot], ...],
    in_force: InForce,
    times: Times,
    logged: Logged | None,
) -> ValidTicket:
    """The ticket of documents that have been verified; `logged` is None on paper.

    Raises the account's first refusal. On paper the demands of `account.not_judged` are open: they
    take what only the log shows.
    """
    account = judge(proposal, ballots, in_force, times, logged)
    if account.refusals:
        raise account.refusals[0]
    return ValidTicket(proposal, ballots, account)


def evaluate(
    ticket: Ticket, in_force: InForce, times: Times, logged: Logged | None = None
) -> Account:
    """The account of a ticket. Raises where the bundle holds what is not a proposal and ballots for
    it (steps 1, 2)."""
    proposal = verify_proposal(ticket.proposal, in_force)
    ballots = verify_ballots(ticket.ballots, proposal, in_force)
    return judge(proposal, ballots, in_force, times, logged)


def verify_proposal(envelope: bytes, in_force: InForce) -> Signed[Proposal]:
    """Step 1. Raises what `verify_signed` raises, `SignerUnknown`, `OtherLog` or
    `OtherConstitution`."""
    signed = verify_signed(
        envelope, Proposal, lambda document: in_force.constitution.keys_of(document.proposer)
    )
    check_charter(signed.document.header.charter, in_force.charter)
    _check_constitution(signed.document.constitution, in_force)
    return signed


def verify_ballots(
    envelopes: Iterable[bytes], proposal: Signed[Proposal], in_force: InForce
) -> tuple[Signed[Ballot], ...]:
    """Step 2. Raises what `verify_ballot` and `check_ballots` raise."""
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
    """A ballot of a seat of this constitution, for this log. Raises what `verify_signed` raises,
    `SeatUnknown`, `OtherLog` or `OtherConstitution`."""
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
    proposal: Named[Proposal],
    ballots: Iterable[Named[Ballot]],
    in_force: InForce,
    times: Times,
    logged: Logged | None,
) -> Account:
    """Steps 3 to 6. Whoever lets something through by it has verified the documents before."""
    standing = tuple(_ballot_account(b, in_force, times) for b in _standing(ballots))
    document, constitution = proposal.document, in_force.constitution
    action, purpose, labels = document.action, document.purpose, document.labels
    matching = [rule for rule in constitution.rules if rule.when.applies(action, purpose, labels)]
    facts = Facts(document, constitution, times, standing, logged)
    rules = tuple(_rule_account(rule, facts) for rule in matching)
    vetoes = _vetoes(matching, standing)
    refusals = [*_window(document, times), *vetoes, *_unmet(rules)]
    # A label that the constitution does not list, a misspelt one say, would slip through its rules.
    if not matching or not labels.issubset(constitution.labels):
        refusals.append(_no_rule(document, constitution))
    accounts = tuple(account for account, _ in standing)
    return Account(proposal.digest, in_force.digest, times, accounts, rules, tuple(refusals))


def _standing(ballots: Iterable[Named[Ballot]]) -> list[tuple[Ballot, str]]:
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


def _rule_account(rule: Rule, facts: Facts) -> RuleAccount:
    """Step 6 for one rule, demand by demand."""
    left_out: dict[str, str] = {}
    for demand in rule.demands:
        for seat, why in demand.leaves_out(facts).items():
            left_out.setdefault(seat, why)
    counted: list[BallotAccount] = []
    not_counted: list[tuple[str, str]] = []
    for ballot, _ in facts.standing:
        why = ballot.why or left_out.get(ballot.seat, "")
        if not why and ballot.vote != "placet":
            why = f"it said {ballot.vote}"
        if why:
            not_counted.append((ballot.seat, why))
        else:
            counted.append(ballot)
    facts = replace(facts, counted=tuple(counted))
    accounts = [demand.account(facts) for demand in rule.demands]
    return RuleAccount(
        rule.id,
        rule.title,
        tuple(account for account in accounts if isinstance(account, DemandAccount)),
        tuple(account for account in accounts if isinstance(account, NotJudged)),
        tuple(not_counted),
    )


def _window(proposal: Proposal, times: Times) -> list[Refusal]:
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


def _vetoes(rules: list[Rule], standing: Iterable[tuple[BallotAccount, Ballot]]) -> list[Refusal]:
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
        if account.vote == "non placet" and account.role in rule.veto_roles
    ]


def _unmet(rules: tuple[RuleAccount, ...]) -> list[Refusal]:
    refusals: list[Refusal] = []
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


def _no_rule(proposal: Proposal, constitution: Constitution) -> NoRule:
    unlisted = sorted(proposal.labels - set(constitution.labels))
    why = "No rule of the constitution covers this action, purpose and data."
    if unlisted:
        why = (
            f"The constitution does not list the label {', '.join(unlisted)}. It lists "
            f"{', '.join(constitution.labels) or 'none'}."
        )
    return NoRule(
        f"{why} What no rule covers is refused: propose within the constitution, or amend it.",
        claim="rules",
        expected="a rule that applies, and listed labels",
        actual=f"action {proposal.action}, purpose {proposal.purpose}, labels "
        f"{sorted(proposal.labels)}",
    )
