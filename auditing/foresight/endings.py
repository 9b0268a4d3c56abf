# SPDX-License-Identifier: Apache-2.0
"""Which proposals an amendment would end, and which grants it would suspend: told before the vote,
by the functions that judge it after."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from placet.auditing.standing import closed
from placet.governance.account import Times
from placet.governance.documents import Constitution
from placet.governance.judgements.carried import changes
from placet.governance.judgements.grants import check_live, rests_alike
from placet.governance.ledger import Ledger
from placet.governance.sentences import listed
from placet.refusals import DocumentNotFound, Refusal


@dataclass(frozen=True, slots=True)
class Ending:
    """A proposal or grant by its digest, whose it is, and why the amendment ends it."""

    kind: Literal["proposal", "grant"]
    digest: str
    by: str
    why: str

    @property
    def sentence(self) -> str:
        done = "end the proposal" if self.kind == "proposal" else "suspend the grant"
        return f"This would {done} {self.digest} of {self.by}: it changes {self.why}."


def endings(ledger: Ledger, successor: Constitution, times: Times) -> tuple[Ending, ...]:
    """What would end if this constitution followed the one in force, oldest first. Raises
    `DocumentNotFound`."""
    return (*_proposals(ledger, successor, times), *_grants(ledger, successor, times))


def _proposals(ledger: Ledger, successor: Constitution, times: Times) -> Iterator[Ending]:
    in_force = ledger.in_force().constitution
    for known in ledger.state.proposals.values():
        proposal = ledger.proposal(known.digest)
        document = proposal.document
        # Any amendment ends the other ones, and one of them may be what is voted on.
        if times.at_most > document.not_after or document.body.puts_into_force:
            continue
        if any(closed(ledger, proposal)):
            continue
        voted = {ballot.seat for ballot in known.standing.ballots()}
        changed = changes(in_force, successor, document, voted)
        if changed:
            yield Ending("proposal", known.digest, document.proposer, listed(changed))


def _grants(ledger: Ledger, successor: Constitution, times: Times) -> Iterator[Ending]:
    in_force = ledger.in_force().constitution
    for state in ledger.state.grants.values():
        try:
            grant = check_live(ledger, state.digest, "", times)
        except DocumentNotFound:
            raise
        except Refusal:
            continue
        if not rests_alike(in_force, successor, grant):
            why = "evidence, witnesses, a rule for this data, or who is behind a name"
            yield Ending("grant", state.digest, state.owner, why)
