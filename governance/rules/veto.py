# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import check_identifier
from placet.governance.rules.facts import Electorate
from placet.governance.rules.kind import Kind, check_role


@dataclass(frozen=True, slots=True)
class Veto(Kind):
    """No seat of this role says non placet."""

    role: str
    demand: Literal["veto"] = "veto"

    ABSENT: ClassVar[str] = "No role has a veto under this rule."

    def __post_init__(self) -> None:
        check_identifier("veto.role", self.role)

    @property
    def name(self) -> str:
        return f"no veto of role {self.role}"

    def sentence(self) -> str:
        return (
            f"The non placet of any one seat of the role {self.role} stops the ticket, "
            "until that seat lifts it."
        )

    def check(self, where: str, electorate: Electorate) -> None:
        check_role(f"{where}: veto", self.role, electorate)

    def veto_roles(self) -> tuple[str, ...]:
        return (self.role,)
