# SPDX-License-Identifier: Apache-2.0
"""Judging what comes into the log from people: the charter, proposals, ballots, stops, grants,
amendments, tickets.

Each `judge_...` is a pure function of ledger, documents and times. It raises a refusal, or returns
the entry that the log shall get; an audit calls it again and compares. `admit` judges a ticket over
the ballots of the log together with those of its bundle.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from placet.governance.account import Times
from placet.governance.ballot_state import BallotState, StandingBallots
from placet.governance.checks import check_distinct
from placet.governance.codec import malformed
from placet.governance.documents import (
    Ballot,
    Constitution,
    Grant,
    Header,
    Proposal,
    Seat,
    Stop,
)
from placet.governance.entries.council import BALLOT, CHARTER, CONSTITUTION, GRANT, PROPOSAL, STOP
from placet.governance.entries.kind import Entry
from placet.governance.envelope import Signed, inspect, parse_envelope, payload_type, verify_signed
from placet.governance.evaluate import (
    InForce,
    Ticket,
    ValidTicket,
    check_ballots,
    may_stop,
    seat_refusal,
    verify_ballot,
    verify_proposal,
)
from placet.governance.judgements.founding import verify_founding, verify_successor
from placet.governance.judgements.rates import check_rate
from placet.governance.judgements.standing import (
    check_in_force,
    check_stands,
    standing_ballots,
)
from placet.governance.ledger import (
    Ledger,
    missing_document,
)
from placet.governance.state import ProposalState
from placet.governance.text import brief
from placet.refusals import (
    AlreadyFounded,
    BallotStale,
    GrantExpired,
    GrantMissing,
    NotPermitted,
    OtherConstitution,
    OtherLog,
    PayloadType,
    SeatExpired,
    SeatUnknown,
    TooManyDocuments,
)


def judge_charter(
    ledger: Ledger, constitution: bytes, charter: bytes, log: str, times: Times
) -> Entry:
    """Entry 0: genesis constitution and charter, each signed by every genesis seat, for the log
    that the authority keeps for this constitution (the verifier key's text). Raises
    `AlreadyFounded`, `OtherLog`, and what `verify_founding` raises."""
    if ledger.state.charter or ledger.tree.size:
        raise AlreadyFounded(
            "The log has its charter. Amend the constitution instead.", claim="charter"
        )
    founding = verify_founding(constitution, charter)
    if founding.log != log:
        raise OtherLog(
            "The charter is for another log than this authority keeps for its constitution. Draft "
            "it anew.",
            claim="log",
            expected=log,
            actual=founding.log,
        )
    return CHARTER.new(
        times,
        {
            "log": log,
            "constitution": founding.constitution.digest,
            "charter": founding.charter.digest,
            "nonce": founding.charter.document.nonce,
        },
    )


def judge_document(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A proposal, ballot or stop, by what its envelope says that it is."""
    found = parse_envelope(envelope).payload_type
    judges = {
        payload_type(Proposal): judge_proposal,
        payload_type(Ballot): judge_ballot,
        payload_type(Stop): judge_stop,
    }
    if found not in judges:
        raise PayloadType(
            "A proposal, a ballot or a stop was expected.",
            claim="payloadType",
            expected=" or ".join(judges),
            actual=brief(found, 80),
        )
    return judges[found](ledger, envelope, times)


def says_no(envelope: bytes) -> bool:
    """Whether it is a stop, or a ballot other than a placet, as whoever sent it says: its signature
    is not looked at."""
    found = parse_envelope(envelope).payload_type
    if found == payload_type(Ballot):
        return inspect(envelope, Ballot).vote != "placet"
    return found == payload_type(Stop)


def judge_proposal(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A proposal enters the log; that says nothing yet about its merits."""
    return enter_proposal(ledger, verify_proposal(envelope, ledger.in_force()), times)


def enter_proposal(ledger: Ledger, signed: Signed[Proposal], times: Times) -> Entry:
    """The entry of a proposal whose signature has been verified."""
    proposal = signed.document
    ledger.check_header(proposal.header)
    check_rate(ledger, proposal.proposer, times)
    proposal.body.check_named(ledger)
    ledger.remember(signed)
    return PROPOSAL.new(
        times,
        {
            "proposal": signed.digest,
            "nonce": proposal.header.nonce,
            "proposer": proposal.proposer,
        },
    )


def judge_ballot(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A ballot enters the log: of a seat in office, for a proposal that the log has, not older than
    the seat's last."""
    return enter_ballot(ledger, verify_ballot(envelope, ledger.in_force()), times)


def enter_ballot(ledger: Ledger, signed: Signed[Ballot], times: Times) -> Entry:
    """The entry of a ballot whose signature has been verified."""
    in_force, ballot = ledger.in_force(), signed.document
    ledger.check_header(ballot.header)
    known = _known_proposal(ledger, ballot.proposal)
    check_in_force(ledger, ledger.proposal(ballot.proposal))
    _check_ballot(ballot, known.standing, in_force, times)
    if not known.standing.says_no(ballot.seat, ballot.sequence, ballot.vote):
        check_rate(ledger, ballot.seat, times)
    ledger.remember(signed)
    return BALLOT.new(
        times,
        {
            "ballot": signed.digest,
            "nonce": ballot.header.nonce,
            "proposal": ballot.proposal,
            "seat": ballot.seat,
            "sequence": ballot.sequence,
            "vote": ballot.vote,
        },
    )


def _check_ballot(ballot: Ballot, logged: StandingBallots, in_force: InForce, times: Times) -> None:
    """Whether a ballot may enter a log where these stand for its proposal.

    To say no takes less than to say yes.
    """
    seat = in_force.constitution.seat(ballot.seat)
    own = logged.of(ballot.seat)
    last = own[0].sequence if own else 0
    standing = [one.vote for one in own]
    # Two contents of one number are a non placet; a third would add nothing to it.
    full = ballot.sequence == last and len(standing) > 1
    says_no = len(standing) > 1 or standing == ["non placet"]
    lifts = says_no and ballot.sequence > last and ballot.vote != "non placet"
    # To lift a no enables: whoever has the key of a revoked seat shall not, by abstaining say.
    if ballot.vote == "placet" or lifts or not may_stop(seat, times):
        check_in_office(seat, in_force, times)
    if ballot.sequence < last or full or ballot.has_expired(times.at_most):
        raise BallotStale(
            "The ballot is expired, or the seat has voted since: its last sequence number is "
            f"{last}. Vote again with a higher one and a later expiry.",
            claim="sequence",
            expected=f"at least {last + full}, expiring at or after {times.at_most} or not at all",
            actual=f"{ballot.sequence}, expiring {ballot.expires or 'never'}",
        )


def judge_stop(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A stop takes one who may: a seat, an owner for what is theirs, a proposer for what they
    asked."""
    in_force = ledger.in_force()
    # An owner whom an amendment has left out since still owns what they granted, and withdraws it
    # with the keys that they were listed with last.
    withdraws = inspect(envelope, Stop).action == "withdraw"
    keys_of = ledger.last_keys_of if withdraws else in_force.constitution.keys_of
    signed = verify_signed(envelope, Stop, lambda d: keys_of(d.by))
    ledger.check_header(signed.document.header)
    if withdraws:
        _check_owner(ledger, signed.document)
    else:
        _check_power(ledger, signed.document, in_force, times)
    return STOP.new(
        times,
        {
            "stop": signed.digest,
            "nonce": signed.document.header.nonce,
            "by": signed.document.by,
            "action": signed.document.action,
            "target": signed.document.target,
        },
    )


def _check_owner(ledger: Ledger, stop: Stop) -> None:
    grant = ledger.state.grants.get(stop.target)
    if grant is None:
        raise GrantMissing("The log has no such grant.", claim="target", actual=stop.target)
    if grant.owner != stop.by:
        raise _not_permitted(stop, "the grant's owner")


def _check_power(ledger: Ledger, stop: Stop, in_force: InForce, times: Times) -> None:
    """Who may stop what of the council's, and whether it exists."""
    principal = in_force.constitution.principal(stop.by)
    if stop.action in ("pause", "veto", "cancel"):
        _known_proposal(ledger, stop.target)
    if stop.action == "cancel" and not isinstance(principal, Seat):
        if ledger.proposal(stop.target).document.proposer != stop.by:
            raise _not_permitted(stop, "a seat or the proposer")
        return
    if not isinstance(principal, Seat):
        raise _not_permitted(stop, "a seat")
    # A revoked seat still says no, but takes no other seat, program or measurement away.
    if stop.action.startswith("revoke-") or not may_stop(principal, times):
        check_in_office(principal, in_force, times)
    if stop.action == "revoke-seat":
        in_force.constitution.seat(stop.target)
    if stop.action == "veto":
        vetoing = _veto_roles(ledger.proposal(stop.target).document, in_force)
        if principal.role not in vetoing:
            roles = ", ".join(sorted(vetoing)) or "no role has one"
            raise _not_permitted(stop, f"a seat with a veto ({roles})")


def _not_permitted(stop: Stop, who: str) -> NotPermitted:
    return NotPermitted(
        f"To {stop.action} this takes {who}; {stop.by} is not.",
        claim="by",
        expected=who,
        actual=stop.by,
    )


def _veto_roles(proposal: Proposal, in_force: InForce) -> frozenset[str]:
    return frozenset(
        role
        for rule in in_force.constitution.rules
        if rule.when.applies(proposal.action, proposal.purpose, proposal.labels)
        for role in rule.veto_roles
    )


def judge_grant(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A grant enters the log together with its key; that the key is the right one is checked by
    whoever holds it."""
    constitution = ledger.in_force().constitution
    signed = verify_signed(envelope, Grant, lambda d: constitution.keys_of(d.owner))
    ledger.check_header(signed.document.header)
    check_labels(signed.document, constitution)
    if times.at_most > signed.document.expires:
        raise GrantExpired(
            "The grant's time is over before it begins.",
            claim="expires",
            expected=f"after {times.at_most}",
            actual=str(signed.document.expires),
        )
    check_rate(ledger, signed.document.owner, times)
    ledger.remember(signed)
    return GRANT.new(
        times,
        {
            "grant": signed.digest,
            "expires": signed.document.expires,
            "nonce": signed.document.header.nonce,
            "object": signed.document.object.digest,
            "owner": signed.document.owner,
        },
    )


def check_labels(grant: Grant, constitution: Constitution) -> None:
    """Refuse labels that no rule could name: one is misspelt, say. Raises `DocumentMalformed`."""
    check_listed_labels(grant.object.labels, constitution)


def check_listed_labels(labels: Iterable[str], constitution: Constitution) -> None:
    """The same of labels alone."""
    unlisted = sorted(set(labels) - set(constitution.labels))
    if unlisted:
        listed = ", ".join(constitution.labels)
        raise malformed("object.labels", f"among the constitution's ({listed})", unlisted[0])


@dataclass(frozen=True, slots=True)
class Admission:
    """A ticket that may have a lease now, with what of its bundle the log does not have yet, in an
    order it can enter."""

    ticket: ValidTicket
    grants: tuple[str, ...]
    new_proposal: bool
    new_ballots: tuple[Signed[Ballot], ...]
    # Set where it was judged over the log alone: the size of the log then, the job, and the times.
    over_log: tuple[int, str, Times] | None = None


def admit(ledger: Ledger, ticket: Ticket, job: str, times: Times) -> Admission:
    """Judge a ticket over the ballots of the log together with those of the bundle. Changes
    nothing.

    It is judged by what the log would have: a ballot that could not enter it (its seat has voted
    since, say) decides nothing. Raises what `check_stands` raises, and for what the bundle holds.
    """
    proposal = ledger.open_proposal(ticket.proposal)
    known = ledger.state.proposals.get(proposal.digest)
    logged = known.ballots if known else {}
    bundle = check_ballots(tuple(map(ledger.open_ballot, ticket.ballots)), proposal)
    new = tuple({b.digest: b for b in bundle if b.digest not in logged}.values())
    _check_headers(ledger, [] if known else [proposal.document.header], new)
    if known is None:
        check_rate(ledger, proposal.document.proposer, times)
    else:
        check_in_force(ledger, proposal)  # by the ballots that the log had
    entering = _entering(ledger, new, proposal, times)
    ballots = _replaced(standing_ballots(ledger, proposal.digest), entering)
    found = check_stands(ledger, proposal, job, times, ballots=ballots)
    # A bundle that brings nothing new was judged over what the log alone has.
    over_log = None if entering or known is None else (ledger.tree.size, job, times)
    return Admission(found.ticket, found.grants, known is None, entering, over_log)


def readmit(ledger: Ledger, proposal: Signed[Proposal], job: str, times: Times) -> Admission:
    """Judge a ticket over what the log alone has, which is all that an audit will see. Raises as
    `admit`."""
    found = check_stands(ledger, proposal, job, times)
    return Admission(found.ticket, found.grants, False, ())


def in_log(ledger: Ledger, admission: Admission) -> bool:
    """Whether the log has everything of the bundle that could enter it."""
    known = ledger.state.proposals.get(admission.ticket.proposal.digest)
    new = {ballot.digest for ballot in admission.new_ballots}
    return known is not None and new <= known.ballots.keys()


def _replaced(
    standing: tuple[Signed[Ballot], ...], entering: tuple[Signed[Ballot], ...]
) -> tuple[Signed[Ballot], ...]:
    """The ballots that stand once these have entered."""
    newest = {ballot.document.seat: ballot.document.sequence for ballot in entering}
    kept = [b for b in standing if newest.get(b.document.seat, 0) <= b.document.sequence]
    return (*kept, *entering)


def _check_headers(
    ledger: Ledger, headers: list[Header], ballots: tuple[Signed[Ballot], ...]
) -> None:
    """Every document of a bundle is new to the log, and no two of them have one id."""
    headers = [*headers, *(ballot.document.header for ballot in ballots)]
    for header in headers:
        ledger.check_header(header)
    check_distinct("header.nonce", [header.nonce for header in headers])


def _entering(
    ledger: Ledger, new: tuple[Signed[Ballot], ...], proposal: Signed[Proposal], times: Times
) -> tuple[Signed[Ballot], ...]:
    """Those of the new ballots that the log can take in and that would stand then, in an order it
    can take them in; what a newer ballot of its seat replaces does not enter.

    Each seat's are tried in the order of its numbers, so that a no stays where what follows it may
    not lift it, or comes too often.
    """
    in_force, known = ledger.in_force(), ledger.state.proposals.get(proposal.digest)
    logged = known.standing if known else StandingBallots()
    standing = logged.copy()
    ordered = sorted(new, key=lambda b: (b.document.seat, b.document.sequence, b.digest))
    for said, digest in ((ballot.document, ballot.digest) for ballot in ordered):
        # A proposal that comes with its bundle is entered first.
        beside = int(known is None and said.seat == proposal.document.proposer)
        second = any(own.sequence == said.sequence for own in standing.of(said.seat))
        try:
            _check_ballot(said, standing, in_force, times)
            if not second and not logged.says_no(said.seat, said.sequence, said.vote):
                check_rate(ledger, said.seat, times, beside)
        except (BallotStale, SeatExpired, SeatUnknown, TooManyDocuments):
            continue
        standing.cast(BallotState(digest, said.seat, said.sequence, said.vote))
    stand = {ballot.digest for ballot in standing.ballots()}
    return tuple(ballot for ballot in ordered if ballot.digest in stand)


def judge_amendment(
    ledger: Ledger, admission: Admission, constitution: bytes, times: Times
) -> Entry:
    """A new constitution comes into force under the admitted ticket of an amend proposal that names
    it.

    The quorum for the proposal lets it in; one of its own seats has to have signed it.
    """
    if in_log(ledger, admission):
        admission = readmit(ledger, admission.ticket.proposal, "amend", times)
    body = admission.ticket.proposal.document.body
    current = ledger.in_force()
    successor = verify_successor(constitution, current.digest, current.constitution)
    if body.puts_into_force != successor.digest:
        raise OtherConstitution(
            "The proposal names another constitution than the one that came with it.",
            claim="body.constitution",
            expected=successor.digest,
        )
    digest = admission.ticket.proposal.digest
    return CONSTITUTION.new(times, {"constitution": successor.digest, "proposal": digest})


def check_in_office(seat: Seat, in_force: InForce, times: Times) -> None:
    """Raises `SeatExpired` where the seat may not act now."""
    why = seat_refusal(seat, in_force, times)
    if why:
        raise SeatExpired(
            f"The seat {seat.id} may not act: {why}.",
            claim="seat",
            expected=f"a term from {seat.term_start} to {seat.term_end}",
            actual=f"{times.at_least} to {times.at_most}",
        )


def _known_proposal(ledger: Ledger, digest: str) -> ProposalState:
    known = ledger.state.proposals.get(digest)
    if known is None:
        raise missing_document(digest)
    return known
