# SPDX-License-Identifier: Apache-2.0
"""Would a proposal be let through, if these seats voted so, at that time? Judged by the functions
that judge it in earnest; nothing is signed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from placet.governance.account import Account, Times
from placet.governance.documents import Ballot, Proposal, Vote
from placet.governance.envelope import Signed
from placet.governance.evaluate import judge_said
from placet.governance.judgements.grants import lacking
from placet.governance.judgements.standing import (
    carried_in,
    check_in_force,
    check_not_stopped,
    check_uses,
    standing_ballots,
)
from placet.governance.ledger import Ledger
from placet.refusals import DocumentNotFound, Refusal

_ASSUMED = "Assumed to be given."


@dataclass(frozen=True, slots=True)
class Supposed:
    """The account of the votes, and all that would refuse a new use: none where it would pass."""

    account: Account
    refusals: tuple[Refusal, ...]

    @property
    def passes(self) -> bool:
        return not self.refusals


def suppose(ledger: Ledger, digest: str, votes: Mapping[str, Vote], times: Times) -> Supposed:
    """Judge a proposal of this log as if these seats said so on top of the log, with a rationale.

    Stops, uses and grants are those of the log. Raises `SeatUnknown` for a seat that the
    constitution in force does not have, and `DocumentNotFound`.
    """
    proposal, known = ledger.proposal(digest), ledger.state.proposals[digest]
    ballots = standing_ballots(ledger, digest)
    in_force = ledger.under(carried_in(ledger, proposal, ballots).constitution)
    said = [(b.digest, b.document) for b in ballots if b.document.seat not in votes]
    for seat, vote in votes.items():
        in_force.constitution.seat(seat)
        said.append((f"supposed {seat}", _ballot(proposal, in_force.digest, seat, vote)))
    account = judge_said(proposal, said, in_force, times, known.logged)
    checks: tuple[Callable[[], None], ...] = (
        partial(check_in_force, ledger, proposal),
        partial(check_not_stopped, ledger, proposal),
        partial(check_uses, proposal, known, ""),
    )
    grants = lacking(ledger, proposal, times, account.approving)
    return Supposed(account, (*_refused(checks), *account.refusals, *grants))


def _refused(checks: tuple[Callable[[], None], ...]) -> list[Refusal]:
    found: list[Refusal] = []
    for check in checks:
        try:
            check()
        except DocumentNotFound:
            raise
        except Refusal as refusal:
            found.append(refusal)
    return found


def _ballot(proposal: Signed[Proposal], constitution: str, seat: str, vote: Vote) -> Ballot:
    """What a seat would say for as long as the proposal may run."""
    return Ballot(
        header=proposal.document.header,
        seat=seat,
        proposal=proposal.digest,
        constitution=constitution,
        sequence=2**31,
        vote=vote,
        interests="",
        rationale=_ASSUMED,
        expires=proposal.document.not_after if vote == "placet" else None,
    )
