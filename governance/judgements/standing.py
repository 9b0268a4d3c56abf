# SPDX-License-Identifier: Apache-2.0
"""Whether a proposal would be let through now: one predicate, before a key is given and after.

Admission, lease, renewal, release, draw, round and update ask `check_stands` of the authority's
log. A client asks it of the log that it has replayed. Its steps:
  1. the proposal is under the constitution in force, or was carried to it (carried.py);
  2. the ticket is valid over every ballot that the log has, without revoked seats (evaluate.py);
  3. nothing stops it, and a use is left;
  4. for each input a grant of its owner allows all of it (grants.py).

The work of a lease takes the same steps, with these exceptions and no others:
  window        It may have closed: the lease was given within it, and a job has an end of its own.
  approvals     Their lifetime, or their seat's term, may have ended since the lease was given. Both
                say until when a yes may be acted on, and it was. What somebody has said since
                counts at once: a veto, an approval that is taken back, a seat that is revoked.
  constitution  One may be in force that has ended the proposal, which the last one before it
                judges then. Its evidence policies hold (leasing.py). It suspends a grant where it
                changes what the owner agreed to.
  grants        They are those that the lease names, since the worker holds the keys of these.
A service has the first three until its review. From then on it has to be one that would be admitted
anew. A result that was released stays released: a recipient may have had its key.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from placet.governance.account import Account, Logged, Times
from placet.governance.documents import Ballot, Proposal
from placet.governance.envelope import Named, Signed
from placet.governance.evaluate import ValidTicket, judge, judge_ticket
from placet.governance.judgements.carried import Carried, carried, check_newest
from placet.governance.judgements.grants import check_grants, find_grants
from placet.governance.ledger import Ledger
from placet.governance.state import LeaseState, ProposalState
from placet.refusals import Stopped, TicketUsedUp, Vetoed


@dataclass(frozen=True, slots=True)
class Standing:
    """A ticket that stands, and the grants that allow it: one an input, by input name."""

    ticket: ValidTicket
    grants: tuple[str, ...]


def check_stands(
    ledger: Ledger,
    proposal: Signed[Proposal],
    job: str,
    times: Times,
    *,
    lease: LeaseState | None = None,
    ballots: tuple[Signed[Ballot], ...] | None = None,
) -> Standing:
    """Whether a use of the proposal, by this name, would be let through now.

    lease: what runs for it already. ballots: what the log would have, if not those that it has.
    Raises the first refusal.
    """
    if ballots is None:
        ballots = standing_ballots(ledger, proposal.digest)
    spared = lease is not None and proposal.document.body.is_spared(proposal.document, times)
    found = carried_in(ledger, proposal, ballots)
    if not spared:
        check_newest(found, ledger.state.constitution)
    under = ledger.under(found.constitution)
    at = _since(lease, times) if lease and spared else times
    known = ledger.state.proposals.get(proposal.digest)
    # A proposal that comes with its bundle enters the log only now.
    logged = known.logged if known else Logged(times)
    valid = judge_ticket(proposal, ballots, under, at, logged)
    check_not_stopped(ledger, proposal)
    check_uses(proposal, known, job)
    if lease is None:
        return Standing(valid, find_grants(ledger, valid, job, times))
    check_grants(ledger, valid, job, lease.grants, times)
    return Standing(valid, lease.grants)


def account_of(ledger: Ledger, lease: LeaseState, times: Times) -> Account:
    """The judgement of a lease's ticket as `check_stands` makes it; refuses nothing."""
    proposal = ledger.proposal(lease.proposal)
    at = (
        _since(lease, times)
        if proposal.document.body.is_spared(proposal.document, times)
        else times
    )
    return judge_log(ledger, proposal, at)


def judge_log(ledger: Ledger, proposal: Signed[Proposal], times: Times) -> Account:
    """What the rules say of the log's ballots for a proposal that the log has. Raises
    `DocumentNotFound`."""
    ballots = standing_ballots(ledger, proposal.digest)
    under = ledger.under(carried_in(ledger, proposal, ballots).constitution)
    logged = ledger.state.proposals[proposal.digest].logged
    return judge(proposal, ballots, under, times, logged)


def _since(lease: LeaseState, times: Times) -> Times:
    """Ends are judged as of the lease, and beginnings now: a seat may be in office since."""
    return Times(times.at_least, min(times.at_most, lease.started))


def standing_ballots(ledger: Ledger, proposal: str) -> tuple[Signed[Ballot], ...]:
    """The log's ballots for a proposal, of each seat those of its highest number.

    Any other decides nothing.
    """
    known = ledger.state.proposals.get(proposal)
    ballots = known.standing.ballots() if known else []
    return tuple(ledger.ballot(ballot.digest) for ballot in ballots)


def carried_in(
    ledger: Ledger, proposal: Signed[Proposal], ballots: Iterable[Signed[Ballot]] | None = None
) -> Carried:
    """How far a proposal is carried in a log, with the log's ballots if no others are given. Raises
    as `carried`, and `DocumentNotFound`."""
    newest = ledger.state.constitution
    if proposal.document.constitution == newest:
        return Carried(newest)
    if ballots is None:
        ballots = standing_ballots(ledger, proposal.digest)
    chain = {digest: ledger.constitution(digest) for digest in ledger.state.constitutions}
    return carried(chain, proposal, ballots)


def check_in_force(ledger: Ledger, proposal: Signed[Proposal]) -> None:
    """Refuse a proposal of the log that an amendment has ended. Raises `OtherConstitution`."""
    found = carried_in(ledger, proposal)
    check_newest(found, ledger.state.constitution)


def check_not_stopped(ledger: Ledger, proposal: Named[Proposal]) -> None:
    """Refuse what anybody entitled to it has stopped. Raises `Vetoed` or `Stopped`."""
    known = ledger.state.proposals.get(proposal.digest)
    action = known.stopped if known else ""
    if action == "veto":
        raise Vetoed("A seat with a veto has stopped this proposal.", claim="stop", actual="veto")
    if action:
        raise Stopped(
            f"The proposal has been stopped ({action}). "
            "Propose again if the council still wants it.",
            claim="stop",
            actual=action,
        )
    program = proposal.document.body.program
    if program in ledger.state.revoked_programs:
        raise Stopped("A seat has revoked this program.", claim="program", actual=program)


def check_uses(proposal: Signed[Proposal], known: ProposalState | None, job: str) -> None:
    """A use is a job; uses are counted by the proposal's digest, whatever ballots come with it."""
    jobs = known.jobs if known else {}
    if job not in jobs and len(jobs) >= proposal.document.uses:
        raise TicketUsedUp(
            f"The proposal allows {proposal.document.uses} use(s), and all are taken. "
            "Propose again.",
            claim="uses",
            expected=f"at most {proposal.document.uses}",
            actual=str(len(jobs) + 1),
        )
