# SPDX-License-Identifier: Apache-2.0
"""What a ballot would do, before it is signed: whether each rule counts it, and whether it changes
anything."""

from dataclasses import dataclass

from placet.auditing.foresight.supposed import supposed_ballot
from placet.governance.account import Times
from placet.governance.documents import Proposal, Vote
from placet.governance.envelope import Signed
from placet.governance.evaluate import judge
from placet.governance.ledger import Ledger
from placet.governance.sentences import listed

_MONTH = 30 * 86400


@dataclass(frozen=True, slots=True)
class BallotForecast:
    """not_counted: why a rule would not count a placet, by rule. vetoes: rules by which it would
    stop the proposal. before: the vote that the seat's ballot in the log stands for, and its entry;
    empty where it has none."""

    vote: Vote
    not_counted: dict[str, str]
    vetoes: tuple[str, ...]
    before: str
    entry: int

    def sentences(self, seat: str) -> list[str]:
        """Whatever a seat has to know before it signs."""
        told = [
            f"Rule {rule} would not count this placet: {why}."
            for rule, why in sorted(self.not_counted.items())
        ]
        if self.vetoes:
            told.append(f"This stops the proposal: {seat} has a veto by {listed(self.vetoes)}.")
        if self.before == self.vote:
            more = ", but until when it counts" if self.vote == "placet" else ""
            told.append(
                f"{seat} has said {self.vote} already, by entry {self.entry}. Saying it again "
                f"changes nothing{more}."
            )
        elif self.before:
            told.append(f"It takes the place of the {self.before} of {seat} by entry {self.entry}.")
        return told


def foresee_ballot(
    ledger: Ledger,
    proposal: Signed[Proposal],
    seat: str,
    vote: Vote,
    *,
    rationale: str,
    expires: int | None,
    times: Times,
) -> BallotForecast:
    """Of a seat's ballot on a proposal of this log. Raises `SeatUnknown`, `DocumentMalformed` or
    `DocumentNotFound`."""
    known = ledger.state.proposals[proposal.digest]
    under = ledger.in_force()
    until = expires or times.at_most + _MONTH
    named = under.constitution.seat(seat).id
    ballot = supposed_ballot(proposal, under.digest, named, vote, until, rationale)
    account = judge(proposal, [ballot], under, times, known.logged)
    not_counted = {
        rule.rule: why for rule in account.rules for voter, why in rule.not_counted if voter == seat
    }
    own = known.standing.of(seat)
    before = own[0].vote if len(own) == 1 else "non placet" if own else ""
    vetoes = [refusal.details["rule"] for refusal in account.refusals if refusal.reason == "VETOED"]
    return BallotForecast(
        vote=vote,
        not_counted=not_counted if vote == "placet" else {},
        vetoes=tuple(vetoes),
        before=before,
        entry=own[-1].index if own else -1,
    )
