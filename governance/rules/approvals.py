# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.account import DemandAccount
from placet.governance.checks import check_range
from placet.governance.rules.facts import Electorate, Facts
from placet.governance.rules.kind import Kind, check_reachable, enough
from placet.governance.sentences import count


@dataclass(frozen=True, slots=True)
class Approvals(Kind):
    """So many seats say placet."""

    at_least: int
    demand: Literal["approvals"] = "approvals"

    NEEDED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("approvals.at_least", self.at_least, 1, 1000)

    @property
    def name(self) -> str:
        return "approvals"

    def sentence(self) -> str:
        return f"It takes the placet of at least {count(self.at_least, 'seat')}."

    def check(self, where: str, electorate: Electorate) -> None:
        check_reachable(f"{where}: approvals", self.at_least, electorate.seats)

    def account(self, facts: Facts) -> DemandAccount:
        seats = tuple(ballot.seat for ballot in facts.counted)
        return enough(self.name, self.at_least, len(seats), seats)
