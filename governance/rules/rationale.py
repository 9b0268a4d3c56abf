# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.rules.facts import Facts
from placet.governance.rules.kind import Kind


@dataclass(frozen=True, slots=True)
class Rationale(Kind):
    """Every approval gives its reasons."""

    demand: Literal["rationale"] = "rationale"

    ABSENT: ClassVar[str] = "An approval needs no written rationale."

    @property
    def name(self) -> str:
        return "a rationale"

    def sentence(self) -> str:
        return "An approval without a written rationale does not count."

    def leaves_out(self, facts: Facts) -> dict[str, str]:
        return {
            ballot.seat: "it gives no rationale"
            for ballot, document in facts.standing
            if ballot.vote == "placet" and not document.rationale.strip()
        }
