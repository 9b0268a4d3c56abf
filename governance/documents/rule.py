# SPDX-License-Identifier: Apache-2.0
"""Rules: when one applies, and what it demands. Every rule that applies must hold; where none
applies, all is refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from placet.governance.checks import (
    check_distinct,
    check_identifier,
    check_listed,
    check_name,
)
from placet.governance.codec import malformed
from placet.governance.rules import Demand

Action = Literal["job", "amend", "serve", "federate"]
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
class Rule:
    """One rule; `title` is for people and decides nothing."""

    MOST: ClassVar[int] = 512

    id: str
    title: str
    when: When
    demands: tuple[Demand, ...]

    def __post_init__(self) -> None:
        check_identifier("rule.id", self.id)
        if self.title:
            check_name("rule.title", self.title)
        check_distinct("rule.demands", [demand.name for demand in self.demands])
        kinds = {type(demand) for demand in self.demands}
        for kind in get_args(Demand):
            if kind.NEEDED and kind not in kinds:
                expected = f"a list with {kind.__name__.lower()}"
                raise malformed("rule.demands", expected, "one without")
        for demand in self.demands:
            demand.check_beside(self.demands)

    @property
    def veto_roles(self) -> frozenset[str]:
        """The roles of which any one seat stops a ticket under this rule."""
        return frozenset(role for demand in self.demands for role in demand.veto_roles())
