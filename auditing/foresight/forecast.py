# SPDX-License-Identifier: Apache-2.0
"""What would become of a proposal, before anybody votes: judged as the authority judges it, as if
every seat had said placet and given its reasons.

    forecast = foresee(ledger, proposal, times)      # of a log that was replayed
    forecast.final      # no vote, grant or time changes it
    forecast.lacking    # as things stand now: a grant, or room for a document
    forecast.remarks    # let through, and perhaps not meant
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from placet.auditing.foresight.remarks import remarks_on, window_remarks
from placet.auditing.foresight.supposed import supposed_ballot
from placet.governance.account import Account, Logged, Times
from placet.governance.codec import Json, encode
from placet.governance.documents import Budget, Cost, Proposal
from placet.governance.envelope import Named, digest_of
from placet.governance.evaluate import judge
from placet.governance.judgements.grants import granted
from placet.governance.judgements.rates import check_rate
from placet.governance.judgements.standing import check_not_stopped
from placet.governance.ledger import Ledger
from placet.governance.privacy import is_within
from placet.governance.sentences import count, time_text
from placet.governance.state import GrantState
from placet.refusals import DocumentNotFound, Refusal

_UNLABELLED = "None of its data carries a label: rules for labelled data do not apply to it."
_MOST_TRIED = 1000  # uses whose costs are added one by one


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known already of a proposal. size: how much of the log that rests on; 0: none.
    unlabelled: a sentence where no label says what its data is."""

    final: tuple[Refusal, ...]
    lacking: tuple[Refusal, ...]
    remarks: tuple[str, ...]
    size: int = 0
    unlabelled: str = ""

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why its work would be refused as things stand."""
        return self.final + self.lacking

    def and_final(self, more: Iterable[Refusal]) -> "Forecast":
        """With what else was found."""
        return replace(self, final=(*self.final, *more))

    def to_dict(self) -> Json:
        found = {"refused": self.final, "lacking": self.lacking}
        told = {
            name: [{"reason": r.reason, "message": str(r), "details": r.details} for r in refusals]
            for name, refusals in found.items()
        }
        return {**told, "remarks": list(self.remarks), "log": self.size or None}


def foresee(ledger: Ledger, proposal: Proposal, times: Times) -> Forecast:
    """What would be refused of a proposal that nobody has signed yet. Raises `DocumentNotFound`,
    and `NotFounded` of a log without a charter."""
    named = Named(proposal, digest_of(encode(proposal)))
    constitution = ledger.in_force().constitution
    final = _tried(
        partial(constitution.principal, proposal.proposer),
        partial(proposal.body.check_named, ledger),
        partial(check_not_stopped, ledger, named),
    )
    final += _unmet(ledger, named, times)
    # What begins later is judged as of then.
    at = _at(max(times.at_most, proposal.not_before))
    grants = granted(ledger, named, at)
    lacking = _tried(partial(check_rate, ledger, proposal.proposer, times))
    lacking += [found for found in grants.values() if isinstance(found, Refusal)]
    window = proposal.not_after - proposal.not_before
    remarks = [*remarks_on(proposal.body), *window_remarks(proposal.body, window)]
    for name, found in grants.items():
        if isinstance(found, GrantState):
            remarks += _of_grant(ledger, proposal, name, found)
    unlabelled = "" if proposal.labels or proposal.body.puts_into_force else _UNLABELLED
    remarks += [unlabelled] if unlabelled else []
    return Forecast(tuple(final), tuple(lacking), tuple(remarks), ledger.tree.size, unlabelled)


def _tried(*checks: Callable[[], object]) -> list[Refusal]:
    found: list[Refusal] = []
    for check in checks:
        try:
            check()
        except DocumentNotFound:
            raise  # it decides nothing: whoever asks fetches it, and asks again
        except Refusal as refusal:
            found.append(refusal)
    return found


def _unmet(ledger: Ledger, named: Named[Proposal], times: Times) -> list[Refusal]:
    """What the rules refuse at the beginning of the window and still at its end: a demand for
    notice, say, is met by time."""
    begins = max(times.at_most, named.document.not_before)
    ends = max(begins, named.document.not_after)
    first, last = (_at_best(ledger, named, _at(at), Logged(times)) for at in (begins, ends))
    still = {_kind(refusal) for refusal in last.refusals}
    return [refusal for refusal in first.refusals if _kind(refusal) in still]


def _kind(refusal: Refusal) -> tuple[str, ...]:
    return (refusal.reason, *(refusal.details.get(name, "") for name in ("claim", "rule")))


def _at_best(ledger: Ledger, named: Named[Proposal], at: Times, logged: Logged) -> Account:
    """The account of a ticket for which every seat says placet and why."""
    in_force = ledger.in_force()
    until = at.at_most + 1
    ballots = [
        supposed_ballot(named, in_force.digest, seat.id, "placet", until)
        for seat in in_force.constitution.seats
    ]
    return judge(named, ballots, in_force, at, logged)


def _of_grant(ledger: Ledger, proposal: Proposal, name: str, state: GrantState) -> list[str]:
    """How much of what is asked for the grant of an input allows."""
    grant, found = ledger.grant(state.digest).document, list[str]()
    left = None if grant.uses == "any" else grant.uses - len(state.jobs)
    if left is not None and left < proposal.uses:
        found.append(
            f"The grant of {grant.owner} for the input {name} has {count(left, 'use')} left, and "
            f"{count(proposal.uses, 'use')} are asked for."
        )
    if grant.expires < proposal.not_after:
        found.append(
            f"The grant of {grant.owner} for the input {name} ends at {time_text(grant.expires)}, "
            "before the window of the proposal does."
        )
    if isinstance(grant.privacy, Budget):
        cost = proposal.body.charges.get(grant.owner, Cost())
        fits = _uses_within(grant.privacy, ledger.state.charged(grant.owner), cost, proposal.uses)
        if fits < proposal.uses:
            found.append(
                f"The privacy budget of {grant.owner} has room for {count(fits, 'use')} of this "
                f"cost, and {count(proposal.uses, 'use')} are asked for."
            )
    return found


def _uses_within(budget: Budget, charged: Cost, cost: Cost, uses: int) -> int:
    """How many of so many uses a budget has room for; of very many, all that were not tried."""
    if cost == Cost():
        return uses
    for fits in range(min(uses, _MOST_TRIED)):
        charged += cost
        if not is_within(charged, budget):
            return fits
    return uses


def _at(seconds: int) -> Times:
    return Times(seconds, seconds)
