# SPDX-License-Identifier: Apache-2.0
"""Judging what comes into the log from people: the charter, proposals, ballots, stops, grants, amendments, tickets.

Each `judge_...` is a pure function of ledger, documents and times. It raises a refusal, or returns the entry that the
log shall get; an audit calls it again and compares. `admit` judges a ticket over the ballots of the log together with
those of its bundle.
"""

from dataclasses import dataclass

from placet.governance.account import Times
from placet.governance.documents import Ballot, Charter, Constitution, Grant, Proposal, Seat, Stop
from placet.governance.documents.proposal import Amendment, Job
from placet.governance.envelope import Signed, parse_envelope, payload_type, verify_signed
from placet.governance.errors import (
    ActionNotSupported,
    AlreadyFounded,
    BallotStale,
    GrantExpired,
    GrantMissing,
    NotPermitted,
    NotSuccessor,
    OtherConstitution,
    SeatExpired,
    Stopped,
    TicketUsedUp,
    Vetoed,
    WrongPayloadType,
)
from placet.governance.evaluate import (
    InForce,
    Ticket,
    ValidTicket,
    judge,
    seat_refusal,
    verify_ballot,
    verify_ballots,
    verify_proposal,
)
from placet.governance.grants import find_grants
from placet.governance.ledger import (
    Ledger,
    all_keys,
    missing_document,
    new_entry,
    verify_every_seat,
)
from placet.governance.state import Entry, ProposalState


def judge_charter(
    ledger: Ledger, constitution: bytes, charter: bytes, log: str, times: Times
) -> Entry:
    """Entry 0: genesis constitution and charter, each signed by every genesis seat. Raises `DocumentRefused`."""
    if ledger.state.charter:
        raise AlreadyFounded(
            "The log has its charter. Amend the constitution instead.", claim="charter"
        )
    genesis = verify_signed(constitution, Constitution, all_keys)
    if genesis.document.predecessor is not None:
        raise NotSuccessor("The first constitution has no predecessor; this one names one.")
    verify_every_seat(constitution, genesis.document)
    signed = verify_signed(charter, Charter, lambda _: all_keys(genesis.document))
    verify_every_seat(charter, genesis.document)
    if signed.document.constitution != genesis.digest:
        raise OtherConstitution(
            "The charter names another constitution than the one that came with it.",
            claim="constitution",
            expected=genesis.digest,
            actual=signed.document.constitution,
        )
    ledger.check_header(signed.document.header, log)
    return new_entry(
        "charter",
        times,
        log=log,
        constitution=genesis.digest,
        charter=signed.digest,
        nonce=signed.document.header.nonce,
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
        raise WrongPayloadType(
            "A proposal, a ballot or a stop was expected.",
            claim="payloadType",
            expected=" or ".join(judges),
            actual=found[:80] if found.isprintable() else "unprintable text",
        )
    return judges[found](ledger, envelope, times)


def judge_proposal(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A proposal enters the log; that says nothing yet about its merits."""
    return enter_proposal(ledger, verify_proposal(envelope, ledger.in_force()), times)


def enter_proposal(ledger: Ledger, signed: Signed[Proposal], times: Times) -> Entry:
    """The entry of a proposal whose signature has been verified."""
    ledger.check_header(signed.document.header)
    if not isinstance(signed.document.body, (Job, Amendment)) or signed.document.action not in (
        "job",
        "amend",
    ):
        raise ActionNotSupported(
            f"This version does not carry out {signed.document.action}. It knows job and amend.",
            claim="action",
            expected="job or amend",
            actual=signed.document.action,
        )
    ledger.remember(signed)
    nonce = signed.document.header.nonce
    return new_entry("proposal", times, proposal=signed.digest, nonce=nonce)


def judge_ballot(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A ballot enters the log: of a seat in office, for a proposal that the log has, not older than the seat's last."""
    return enter_ballot(ledger, verify_ballot(envelope, ledger.in_force()), times)


def enter_ballot(ledger: Ledger, signed: Signed[Ballot], times: Times) -> Entry:
    """The entry of a ballot whose signature has been verified."""
    in_force = ledger.in_force()
    ledger.check_header(signed.document.header)
    known = _known_proposal(ledger, signed.document.proposal)
    check_in_office(in_force.constitution.seat(signed.document.seat), in_force, times)
    last = max((b.sequence for b in known.ballots if b.seat == signed.document.seat), default=0)
    if signed.document.sequence < last or times.at_most > signed.document.expires:
        raise BallotStale(
            f"The ballot is expired, or the seat has voted since: its last sequence number is {last}. "
            "Vote again with a higher one and a later expiry.",
            claim="sequence",
            expected=f"at least {last}, expiring after {times.at_most}",
            actual=f"{signed.document.sequence}, expiring {signed.document.expires}",
        )
    ledger.remember(signed)
    return new_entry(
        "ballot",
        times,
        ballot=signed.digest,
        nonce=signed.document.header.nonce,
        proposal=signed.document.proposal,
        seat=signed.document.seat,
        sequence=signed.document.sequence,
        vote=signed.document.vote,
    )


def judge_stop(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A stop takes one who may: a seat, an owner for what is theirs, a proposer for what they asked."""
    in_force = ledger.in_force()
    constitution = in_force.constitution
    signed = verify_signed(envelope, Stop, lambda d: constitution.keys_of(d.by))
    ledger.check_header(signed.document.header)
    _check_power(ledger, signed.document, in_force, times)
    return new_entry(
        "stop",
        times,
        stop=signed.digest,
        nonce=signed.document.header.nonce,
        by=signed.document.by,
        action=signed.document.action,
        target=signed.document.target,
    )


def _check_power(ledger: Ledger, stop: Stop, in_force: InForce, times: Times) -> None:
    """Who may do which stop, and whether its target exists."""
    principal = in_force.constitution.principal(stop.by)
    if isinstance(principal, Seat):
        check_in_office(principal, in_force, times)
    seated = isinstance(principal, Seat)
    if stop.action == "withdraw":
        if stop.target not in ledger.state.grants:
            raise _no_grant(stop.target)
        allowed, who = ledger.state.grants[stop.target].owner == stop.by, "the grant's owner"
    elif stop.action in ("pause", "veto", "cancel"):
        _known_proposal(ledger, stop.target)
        proposal = ledger.proposal(stop.target).document
        allowed, who = seated, "a seat"
        if stop.action == "cancel":
            allowed, who = seated or proposal.proposer == stop.by, "a seat or the proposer"
        elif stop.action == "veto":
            vetoing = _veto_roles(proposal, in_force)
            allowed = isinstance(principal, Seat) and principal.role in vetoing
            who = "a seat with a veto (" + (", ".join(sorted(vetoing)) or "no role has one") + ")"
    else:
        allowed, who = seated, "a seat"
    if not allowed:
        raise NotPermitted(
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
        for role in rule.demand.veto
    )


def judge_grant(ledger: Ledger, envelope: bytes, times: Times) -> Entry:
    """A grant enters the log together with its key; that the key is the right one is checked by whoever holds it."""
    constitution = ledger.in_force().constitution
    signed = verify_signed(envelope, Grant, lambda d: constitution.keys_of(d.owner))
    ledger.check_header(signed.document.header)
    if times.at_most > signed.document.expires:
        raise GrantExpired(
            "The grant's time is over before it begins.",
            claim="expires",
            expected=f"after {times.at_most}",
            actual=str(signed.document.expires),
        )
    ledger.remember(signed)
    return new_entry(
        "grant",
        times,
        grant=signed.digest,
        nonce=signed.document.header.nonce,
        object=signed.document.object.digest,
        owner=signed.document.owner,
    )


@dataclass(frozen=True, slots=True)
class Admission:
    """A ticket that may have a lease now, with what of its bundle the log does not have yet."""

    ticket: ValidTicket
    grants: tuple[str, ...]
    new_proposal: bool
    new_ballots: tuple[Signed[Ballot], ...]


def admit(ledger: Ledger, ticket: Ticket, job: str, times: Times) -> Admission:
    """Judge a ticket over the ballots of the log together with those of the bundle. Changes nothing.

    Raises what `verify_ticket` raises, and for stops, uses and grants.
    """
    in_force = ledger.in_force()
    proposal = verify_proposal(ticket.proposal, in_force)
    bundle = verify_ballots(ticket.ballots, proposal, in_force)
    known = ledger.state.proposals.get(proposal.digest)
    logged = [ledger.ballot(b.digest) for b in known.ballots] if known else []
    logged_digests = {ballot.digest for ballot in logged}
    new = [ballot for ballot in bundle if ballot.digest not in logged_digests]
    if known is None:
        ledger.check_header(proposal.document.header)
    for ballot in new:
        ledger.check_header(ballot.document.header)
    account = judge(proposal, [*logged, *new], in_force, times)
    if account.refusals:
        raise account.refusals[0]
    valid = ValidTicket(proposal, (*logged, *new), account)
    check_not_stopped(ledger, proposal)
    check_uses(proposal, known, job)
    grants = find_grants(ledger, valid, job, times)
    return Admission(valid, grants, known is None, tuple(new))


def check_not_stopped(ledger: Ledger, proposal: Signed[Proposal]) -> None:
    """Refuse what anybody entitled to it has stopped. Raises `Vetoed` or `Stopped`."""
    known = ledger.state.proposals.get(proposal.digest)
    action = known.stopped if known else ""
    if action == "veto":
        raise Vetoed("A seat with a veto has stopped this proposal.", claim="stop", actual="veto")
    if action:
        raise Stopped(
            f"The proposal has been stopped ({action}). Propose again if the council still wants it.",
            claim="stop",
            actual=action,
        )
    body = proposal.document.body
    if isinstance(body, Job) and body.program in ledger.state.revoked_programs:
        raise Stopped("A seat has revoked this program.", claim="program", actual=body.program)


def check_uses(proposal: Signed[Proposal], known: ProposalState | None, job: str) -> None:
    """A use is a job; uses are counted by the proposal's digest, whatever ballots come with it."""
    jobs = known.jobs if known else {}
    if job not in jobs and len(jobs) >= proposal.document.uses:
        raise TicketUsedUp(
            f"The proposal allows {proposal.document.uses} use(s), and all are taken. Propose again.",
            claim="uses",
            expected=f"at most {proposal.document.uses}",
            actual=str(len(jobs) + 1),
        )


def judge_amendment(
    ledger: Ledger, admission: Admission, constitution: bytes, times: Times
) -> Entry:
    """A new constitution comes into force under the admitted ticket of an amend proposal that names it.

    What lets it in is the quorum for the proposal; one of its own seats has to have signed it.
    """
    body = admission.ticket.proposal.document.body
    successor = verify_signed(constitution, Constitution, all_keys)
    current = ledger.in_force()
    if not isinstance(body, Amendment) or body.constitution != successor.digest:
        raise OtherConstitution(
            "The proposal names another constitution than the one that came with it.",
            claim="body.constitution",
            expected=successor.digest,
        )
    following = (current.digest, current.constitution.version + 1)
    if (successor.document.predecessor, successor.document.version) != following:
        raise NotSuccessor(
            "The constitution does not follow the one in force.",
            claim="predecessor",
            expected=f"version {following[1]} after {current.digest}",
            actual=f"version {successor.document.version} after {successor.document.predecessor}",
        )
    digest = admission.ticket.proposal.digest
    return new_entry("constitution", times, constitution=successor.digest, proposal=digest)


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


def _no_grant(digest: str) -> GrantMissing:
    return GrantMissing("The log has no such grant.", claim="target", actual=digest)
