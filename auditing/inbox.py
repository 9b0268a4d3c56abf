# SPDX-License-Identifier: Apache-2.0
"""What waits for a seat or a party: ballots, starts, reviews, and grants to be given again.

    for digest in open_proposals(ledger.state): waits_at_proposal(ledger, digest, viewer)
    waits_at_grants(standings, viewer)

Everything is judged as the authority would judge it at the viewer's time, by the same functions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from placet.auditing.grants import GrantStanding
from placet.governance.account import Account, Times
from placet.governance.documents import Proposal, Serve
from placet.governance.envelope import Signed
from placet.governance.evaluate import seat_refusal
from placet.governance.judgements.standing import (
    check_in_force,
    check_not_stopped,
    check_stands,
    judge_log,
)
from placet.governance.ledger import Ledger
from placet.governance.sentences import time_text
from placet.governance.state import ProposalState, State
from placet.refusals import DocumentNotFound, Refusal, TicketNotYetValid, Vetoed

Waits = Literal["ballot", "start", "blocked", "review", "grant"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks, when, and how many seconds ahead counts as soon."""

    who: str
    times: Times
    soon: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits: for what, the proposal or grant, until when (0: no end), and in
    words."""

    waits: Waits
    digest: str
    until: int
    sentence: str


def open_proposals(state: State) -> list[str]:
    """The proposals that nobody has stopped, newest first."""
    return [
        known.digest
        for known in sorted(state.proposals.values(), key=lambda known: -known.index)
        if not known.stopped
    ]


def waits_at_proposal(ledger: Ledger, digest: str, viewer: Viewer) -> list[Waiting]:
    """What waits for somebody at one proposal. Raises `DocumentNotFound`."""
    proposal, known = ledger.proposal(digest), ledger.state.proposals[digest]
    document, times = proposal.document, viewer.times
    if times.at_most > document.not_after or not _allowed(check_not_stopped, ledger, proposal):
        return []
    found = _review(ledger, proposal, known, viewer)
    if _is_taken(document, known) or not _allowed(check_in_force, ledger, proposal):
        return found
    account = judge_log(ledger, proposal, times)
    missing = [one for one in account.refusals if not isinstance(one, TicketNotYetValid)]
    if missing and not any(isinstance(one, Vetoed) for one in missing):
        found += _ballot(ledger, document, account, viewer)
    if not account.refusals and document.proposer == viewer.who:
        found += _start(ledger, proposal, times)
    return found


def waits_at_grants(standings: Sequence[GrantStanding], viewer: Viewer) -> list[Waiting]:
    """The grants of somebody that can be given again: suspended, used up, expired, or ending soon;
    none whose object has another that is good for longer."""
    late = viewer.times.at_most + viewer.soon
    own = [one for one in standings if one.record.owner == viewer.who]
    good = {
        one.grant.object.digest for one in own if one.stands == "live" and one.record.expires > late
    }
    found = [
        _grant(one)
        for one in own
        if one.stands != "withdrawn" and one.grant.object.digest not in good
    ]
    # A grant that ended long ago, and was not given again, was let go.
    return [one for one in found if one.until > viewer.times.at_most - viewer.soon]


def _allowed(
    check: Callable[[Ledger, Signed[Proposal]], None], ledger: Ledger, proposal: Signed[Proposal]
) -> bool:
    """Whether a check of the log lets the proposal be."""
    try:
        check(ledger, proposal)
    except DocumentNotFound:
        raise
    except Refusal:
        return False
    return True


def _is_taken(document: Proposal, known: ProposalState) -> bool:
    """Whether all its uses are; a federation or service that was started goes on by itself."""
    if document.action in ("federate", "serve") and known.jobs:
        return True
    return len(known.jobs) >= document.uses


def _ballot(ledger: Ledger, document: Proposal, account: Account, viewer: Viewer) -> list[Waiting]:
    """A seat in office that has not voted, or whose placet no longer counts."""
    in_force = ledger.in_force()
    seats = {seat.id: seat for seat in in_force.constitution.seats}
    if viewer.who not in seats or seat_refusal(seats[viewer.who], in_force, viewer.times):
        return []
    own = [ballot for ballot in account.ballots if ballot.seat == viewer.who]
    if own and not (own[0].vote == "placet" and own[0].why):
        return []
    again = f" Your placet no longer counts: {own[0].why}." if own else ""
    sentence = (
        f"{document.proposer} proposes the action {document.action} for the purpose "
        f"{document.purpose}.{again}"
    )
    return [Waiting("ballot", account.proposal, document.not_after, sentence)]


def _start(ledger: Ledger, proposal: Signed[Proposal], times: Times) -> list[Waiting]:
    document = proposal.document
    what = f"Your proposal of the action {document.action} for the purpose {document.purpose}"
    try:
        # No job is named so: it is asked for a use that would be new.
        check_stands(ledger, proposal, "", times)
    except DocumentNotFound:
        raise
    except Refusal as error:
        sentence = f"{what} is approved, and would be refused: {error}"
        return [Waiting("blocked", proposal.digest, document.not_after, sentence)]
    how = "put in force" if document.action == "amend" else "started"
    return [Waiting("start", proposal.digest, document.not_after, f"{what} can be {how}.")]


def _review(
    ledger: Ledger, proposal: Signed[Proposal], known: ProposalState, viewer: Viewer
) -> list[Waiting]:
    """A service that runs, once its review is near, for those who can let it go on."""
    document, body, times = proposal.document, proposal.document.body, viewer.times
    if not isinstance(body, Serve) or not known.jobs or body.review > times.at_most + viewer.soon:
        return []
    seats = {seat.id for seat in ledger.in_force().constitution.seats}
    if viewer.who not in seats | {document.proposer, body.model.owner}:
        return []
    what = f"The service of {document.proposer} for the purpose {document.purpose}"
    review = time_text(body.review)
    at = Times(max(times.at_least, body.review), max(times.at_most, body.review) + 1)
    try:
        check_stands(ledger, proposal, next(iter(known.jobs)), at)
    except DocumentNotFound:
        raise
    except Refusal as error:
        sentence = f"{what} has its review at {review}, and ends then as things stand: {error}"
        return [Waiting("review", proposal.digest, body.review, sentence)]
    return []


def _grant(standing: GrantStanding) -> Waiting:
    record = standing.record
    said = {
        "live": f"ends at {time_text(record.expires)}",
        "suspended": "is suspended, since an amendment changed what you granted under",
        "used up": "is used up",
        "expired": f"has ended at {time_text(record.expires)}",
    }[standing.stands]
    labels = ", ".join(standing.grant.object.labels) or "none"
    sentence = f"Your grant for the object {standing.grant.object.id} (labels {labels}) {said}."
    return Waiting("grant", record.digest, record.expires, sentence)
