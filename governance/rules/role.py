# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import Literal

from placet.governance.account import DemandAccount
from placet.governance.checks import check_identifier, check_range
from placet.governance.rules.facts import Electorate, Facts
from placet.governance.rules.kind import Kind, check_reachable, check_role, enough
from placet.governance.sentences import count


@dataclass(frozen=True, slots=True)
class Role(Kind):
    """So many of the seats that say placet have this role."""

    role: str
    at_least: int
    demand: Literal["role"] = "role"

    def __post_init__(self) -> None:
        check_identifier("role.role", self.role)
        check_range("role.at_least", self.at_least, 1, 1000)

    @property
    def name(self) -> str:
        return f"approvals of role {self.role}"

    def sentence(self) -> str:
        seats = count(self.at_least, "seat")
        return f"It takes the placet of at least {seats} of the role {self.role}."

    def check(self, where: str, electorate: Electorate) -> None:
        check_role(f"{where}: roles", self.role, electorate)
        check_reachable(f"{where}: role {self.role}", self.at_least, electorate.roles[self.role])

    def account(self, facts: Facts) -> DemandAccount:
        holders = tuple(ballot.seat for ballot in facts.counted if ballot.role == self.role)
        return enough(self.name, self.at_least, len(holders), holders)
