# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.account import DemandAccount
from placet.governance.checks import check_range
from placet.governance.rules.facts import Facts
from placet.governance.rules.kind import Kind, within
from placet.governance.sentences import duration


@dataclass(frozen=True, slots=True)
class Lifetime(Kind):
    """A ticket's window is no longer than this."""

    seconds: int
    demand: Literal["lifetime"] = "lifetime"

    NEEDED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("lifetime.seconds", self.seconds, 1, 10 * 366 * 86400)

    @property
    def name(self) -> str:
        return "seconds of ticket lifetime"

    def sentence(self) -> str:
        return f"A ticket's window is at most {duration(self.seconds)} long."

    def account(self, facts: Facts) -> DemandAccount:
        lifetime = facts.proposal.not_after - facts.proposal.not_before
        return within(self.name, self.seconds, lifetime)
