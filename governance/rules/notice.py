# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import Literal

from placet.governance.account import DemandAccount, NotJudged
from placet.governance.checks import check_range
from placet.governance.rules.facts import Facts
from placet.governance.rules.kind import Kind, enough
from placet.governance.sentences import duration


@dataclass(frozen=True, slots=True)
class Notice(Kind):
    """The proposal has been in the log for so long, for everybody to see."""

    seconds: int
    demand: Literal["notice"] = "notice"

    def __post_init__(self) -> None:
        check_range("notice.seconds", self.seconds, 1, 366 * 86400)

    @property
    def name(self) -> str:
        return "seconds of notice"

    def sentence(self) -> str:
        return f"The log must have had the proposal for at least {duration(self.seconds)}."

    def account(self, facts: Facts) -> DemandAccount | NotJudged:
        if facts.logged is None:
            return NotJudged(self.name, f"at least {self.seconds}", "when the proposal was entered")
        # What opens is judged by the earlier reading now, and by the later reading of the entry.
        passed = facts.times.at_least - facts.logged.entered.at_most
        return enough(self.name, self.seconds, max(passed, 0))
