# SPDX-License-Identifier: Apache-2.0
"""Rules: when one applies, and what it demands. Every rule that applies must hold; where none
applies, all is refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_distinct,
    check_identifier,
    check_listed,
    check_name,
    check_range,
)
from placet.governance.codec import malformed

Action = Literal["job", "amend", "serve", "federate", "resume", "recover", "retire"]
Conflict = Literal["submitter", "owner"]
Anything = Literal["any"]


@dataclass(frozen=True, slots=True)
class When:
    """A rule applies where action and purpose are listed and one of the data's labels is; "any" has
    to be written."""

    actions: tuple[Action, ...] | Anything
    purposes: tuple[str, ...] | Anything
    labels: tuple[str, ...] | Anything

    def __post_init__(self) -> None:
        check_listed("when.actions", self.actions)
        check_listed("when.purposes", self.purposes)
        check_listed("when.labels", self.labels)
        for claim, names in (("when.purposes", self.purposes), ("when.labels", self.labels)):
            for name in () if names == "any" else names:
                check_identifier(claim, name)

    def applies(self, action: str, purpose: str, labels: Iterable[str]) -> bool:
        """Whether the rule is one of those that a proposal has to satisfy."""
        return (
            (self.actions == "any" or action in self.actions)
            and (self.purposes == "any" or purpose in self.purposes)
            and (self.labels == "any" or not set(self.labels).isdisjoint(labels))
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """What a ticket needs. Approvals are counted in seats, organisations in distinct ones among
    those seats.

    roles: seats of a role that must be among the approvals, with their number. veto: roles of which
    any one seat stops
    the ticket. conflicts: whose organisation's approvals do not count. rationale: each counted
    ballot gives its reasons.
    lifetime_seconds: longest window of a ticket. uses: the most that a proposal may ask for.
    """

    approvals: int
    organisations: int
    roles: dict[str, int]
    veto: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    rationale: bool
    lifetime_seconds: int
    uses: int

    def __post_init__(self) -> None:
        check_range("demand.approvals", self.approvals, 1, 1000)
        check_range("demand.organisations", self.organisations, 1, 1000)
        check_range("demand.lifetime_seconds", self.lifetime_seconds, 1, 10 * 366 * 86400)
        check_range("demand.uses", self.uses, 1, 1_000_000)
        if self.organisations > self.approvals:
            raise malformed(
                "demand.organisations", "no more than the approvals", str(self.organisations)
            )
        for role, number in self.roles.items():
            check_identifier("demand.roles", role)
            check_range("demand.roles." + role, number, 1, 1000)
        check_distinct("demand.veto", self.veto)
        for role in self.veto:
            check_identifier("demand.veto", role)
        check_distinct("demand.conflicts", self.conflicts)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `title` is for people and decides nothing."""

    MOST: ClassVar[int] = 512

    id: str
    title: str
    when: When
    demand: Demand

    def __post_init__(self) -> None:
        check_identifier("rule.id", self.id)
        if self.title:
            check_name("rule.title", self.title)
