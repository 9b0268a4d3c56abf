# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.rules.facts import Facts
from placet.governance.rules.kind import Kind

_SENTENCES = {
    "submitter": "The approvals of the proposer's own organisation do not count.",
    "owner": "The approvals of an organisation that owns data in the job do not count.",
}
_WHY = {
    "submitter": "its organisation proposes this",
    "owner": "its organisation owns data in this",
}


@dataclass(frozen=True, slots=True)
class Independence(Kind):
    """No organisation approves what it has an interest in."""

    of: Literal["submitter", "owner"]
    demand: Literal["independence"] = "independence"

    ABSENT: ClassVar[str] = "No approval is left out for a conflict of interest."

    @property
    def name(self) -> str:
        return f"independence of {self.of}"

    def sentence(self) -> str:
        return _SENTENCES[self.of]

    def leaves_out(self, facts: Facts) -> dict[str, str]:
        proposal, principal = facts.proposal, facts.constitution.principal
        concerned = {proposal.proposer} if self.of == "submitter" else proposal.owners
        organisations = {principal(id).organisation for id in concerned}
        return {
            ballot.seat: _WHY[self.of]
            for ballot, _ in facts.standing
            if ballot.organisation in organisations
        }
