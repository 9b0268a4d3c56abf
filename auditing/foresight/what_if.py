# SPDX-License-Identifier: Apache-2.0
"""Would a proposal be let through, if these seats voted so, at that time? Judged by the functions
that judge it in earnest; nothing is signed."""

from collections.abc import Mapping
from dataclasses import dataclass

from placet.auditing.foresight.supposed import supposed_ballot
from placet.auditing.standing import closed
from placet.governance.account import Account, Times
from placet.governance.documents import Ballot, Vote
from placet.governance.envelope import Named
from placet.governance.evaluate import judge
from placet.governance.judgements.grants import lacking
from placet.governance.judgements.standing import (
    carried_in,
    standing_ballots,
)
from placet.governance.ledger import Ledger
from placet.refusals import Refusal


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
    said: list[Named[Ballot]] = [b for b in ballots if b.document.seat not in votes]
    until = proposal.document.not_after
    for seat, vote in votes.items():
        named = in_force.constitution.seat(seat).id
        said.append(supposed_ballot(proposal, in_force.digest, named, vote, until))
    account = judge(proposal, said, in_force, times, known.logged)
    grants = lacking(ledger, proposal, times, account.approving)
    return Supposed(account, (*closed(ledger, proposal), *account.refusals, *grants))
