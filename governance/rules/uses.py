# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.account import DemandAccount
from placet.governance.checks import check_range
from placet.governance.rules.facts import Facts
from placet.governance.rules.kind import Kind, within
from placet.governance.sentences import count


@dataclass(frozen=True, slots=True)
class Uses(Kind):
    """A proposal asks for no more uses than this."""

    at_most: int
    demand: Literal["uses"] = "uses"

    NEEDED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("uses.at_most", self.at_most, 1, 1_000_000)

    @property
    def name(self) -> str:
        return "uses"

    def sentence(self) -> str:
        return f"A proposal may ask for at most {count(self.at_most, 'use')}."

    def account(self, facts: Facts) -> DemandAccount:
        return within(self.name, self.at_most, facts.proposal.uses)
