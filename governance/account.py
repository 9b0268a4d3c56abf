# SPDX-License-Identifier: Apache-2.0
"""The full account of a judgement: which rules applied, who counted, who did not and why, what is
missing.

For display and for refusals alike. An account has no truth value: ask `account.refusals`, or call
`judge_ticket`.
"""

from dataclasses import dataclass
from typing import NoReturn

from placet.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Times:
    """Two readings of the time in Unix seconds: what opens is judged by `at_least`, what closes by
    `at_most`."""

    at_least: int
    at_most: int


@dataclass(frozen=True, slots=True)
class Logged:
    """Only the log says this of a proposal: when it took the proposal in."""

    entered: Times


@dataclass(frozen=True, slots=True)
class BallotAccount:
    """One seat's standing ballot. `why` says why it cannot count as an approval; empty where it
    can."""

    seat: str
    organisation: str
    role: str
    vote: str
    why: str


@dataclass(frozen=True, slots=True)
class DemandAccount:
    """One demand of one rule, in words, with what was found and whose ballots it rests on."""

    demand: str
    required: str
    found: str
    met: bool
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotJudged:
    """A demand that no paper shows to be met, and the fact of the log that it takes."""

    demand: str
    required: str
    takes: str


@dataclass(frozen=True, slots=True)
class RuleAccount:
    """A rule that applied, demand by demand, with the seats whose approval it does not count and
    why.

    not_judged: empty where the judgement had the log.
    """

    rule: str
    title: str
    demands: tuple[DemandAccount, ...]
    not_judged: tuple[NotJudged, ...]
    not_counted: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Account:
    """The whole judgement of one ticket at one time. Nothing is refused where `refusals` is
    empty."""

    proposal: str
    constitution: str
    times: Times
    ballots: tuple[BallotAccount, ...]
    rules: tuple[RuleAccount, ...]
    refusals: tuple[Refusal, ...]

    @property
    def not_judged(self) -> tuple[NotJudged, ...]:
        """The demands that were not judged, because only the log shows whether they are met."""
        return tuple(demand for rule in self.rules for demand in rule.not_judged)

    @property
    def approving(self) -> tuple[str, ...]:
        """The seats whose placet counts, where no rule leaves their organisation out."""
        return tuple(b.seat for b in self.ballots if b.vote == "placet" and not b.why)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "an account has no truth value: call judge_ticket, or look at account.refusals"
        )
