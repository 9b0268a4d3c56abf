# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.account import DemandAccount
from placet.governance.checks import check_range
from placet.governance.codec import malformed
from placet.governance.rules.approvals import Approvals
from placet.governance.rules.facts import Electorate, Facts
from placet.governance.rules.kind import Kind, check_reachable, enough
from placet.governance.sentences import count


@dataclass(frozen=True, slots=True)
class Organisations(Kind):
    """The seats that say placet are of so many organisations."""

    at_least: int
    demand: Literal["organisations"] = "organisations"

    NEEDED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("organisations.at_least", self.at_least, 1, 1000)

    @property
    def name(self) -> str:
        return "distinct organisations"

    def sentence(self) -> str:
        return (
            f"The seats that say placet must be of at least {count(self.at_least, 'organisation')}."
        )

    def check_beside(self, demands: Sequence[Kind]) -> None:
        for other in demands:
            if isinstance(other, Approvals) and self.at_least > other.at_least:
                expected = "no more than the approvals"
                raise malformed("organisations.at_least", expected, str(self.at_least))

    def check(self, where: str, electorate: Electorate) -> None:
        check_reachable(f"{where}: organisations", self.at_least, electorate.organisations)

    def account(self, facts: Facts) -> DemandAccount:
        found = tuple(sorted({ballot.organisation for ballot in facts.counted}))
        return enough(self.name, self.at_least, len(found), found)
