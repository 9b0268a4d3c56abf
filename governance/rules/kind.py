# SPDX-License-Identifier: Apache-2.0
"""Every kind of demand answers these. A kind is a class in a file of its own, and overrides what
concerns it; `placet.governance.rules` lists the kinds."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from placet.governance.account import DemandAccount, NotJudged
from placet.governance.rules.facts import Electorate, Facts
from placet.refusals import ConstitutionInvalid


class Kind(ABC):
    """One demand of a rule: a frozen dataclass whose field `demand` names its kind."""

    __slots__ = ()

    # Whether every rule has to say it: absence shall not mean "anything".
    NEEDED: ClassVar[bool] = False
    # What a rule without it is told to lack; empty where there is nothing to tell.
    ABSENT: ClassVar[str] = ""

    @property
    @abstractmethod
    def name(self) -> str:
        """How accounts and refusals call it. A rule has no two demands of one name."""

    @abstractmethod
    def sentence(self) -> str:
        """The demand as a sentence, for people."""

    def check_beside(self, demands: Sequence["Kind"]) -> None:
        """Refuse a rule whose other demands contradict it. Raises `DocumentMalformed`."""
        return

    def check(self, where: str, electorate: Electorate) -> None:
        """Refuse what this constitution cannot meet, since that would shut the council out.

        Raises `ConstitutionInvalid`.
        """
        return

    def veto_roles(self) -> tuple[str, ...]:
        """The roles of which any one seat stops the ticket."""
        return ()

    def leaves_out(self, facts: Facts) -> dict[str, str]:
        """The seats whose approval the rule does not count, with the reason."""
        return {}

    def account(self, facts: Facts) -> DemandAccount | NotJudged | None:
        """The finding; None where the demand only says which ballots count or stop."""
        return None


def enough(demand: str, required: int, found: int, by: tuple[str, ...] = ()) -> DemandAccount:
    return DemandAccount(demand, f"at least {required}", str(found), found >= required, by)


def within(demand: str, required: int, found: int) -> DemandAccount:
    return DemandAccount(demand, f"at most {required}", str(found), found <= required, ())


def check_reachable(claim: str, demanded: int, there: int) -> None:
    if demanded > there:
        raise contradiction(claim, f"at most {there}", str(demanded))


def check_role(claim: str, role: str, electorate: Electorate) -> None:
    if role not in electorate.roles:
        raise contradiction(claim, "one that the constitution lists", role)


def contradiction(claim: str, expected: str, actual: str) -> ConstitutionInvalid:
    return ConstitutionInvalid(
        f"The constitution contradicts itself at {claim}: expected {expected}, found {actual}.",
        claim=claim,
        expected=expected,
        actual=actual,
    )
