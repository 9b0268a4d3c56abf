# SPDX-License-Identifier: Apache-2.0
"""The log folds to this for federations: their rounds, who has sent what, the newest model, who
sits out.

The entries that change it are in entries/federations.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from placet.governance.documents.privacy import Cost
from placet.governance.jobs import round_job
from placet.refusals import RoundNotOpen

RoundStatus = Literal["open", "closed", "released", "void"]


@dataclass(frozen=True, slots=True)
class LoggedUpdate:
    """An update that the log has, by its digest, the index of its entry, and what its client is
    charged for the round."""

    digest: str
    index: int
    charge: Cost


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why a client sits out, and the first round that it may take part in again."""

    reason: str
    until: int


@dataclass(slots=True)
class RoundState:
    """A round: `open` for updates, `closed` while it is aggregated, then `released`, or `void`.

    A void one changed nothing. `closed_at` is the index of the entry that says whose updates count,
    `aggregated` whether they are, or were, enough; `left` whose did not, and for which reason.
    """

    number: int
    key: str
    closes: int
    opened_at: int
    status: RoundStatus = "open"
    closed_at: int = 0
    aggregated: bool = False
    left: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    # In the order of the log.
    updates: dict[str, LoggedUpdate] = field(default_factory=lambda: dict[str, LoggedUpdate]())

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ("released", "void")


@dataclass(slots=True)
class FederationState:
    """A federation by its proposal. `model` is the lease under which the newest model was released;
    "": none was."""

    proposal: str
    rounds: list[RoundState] = field(default_factory=lambda: list[RoundState]())
    model: str = ""
    # The lease of each round's model, by round.
    models: dict[int, str] = field(default_factory=lambda: dict[int, str]())
    quarantined: dict[str, Quarantine] = field(default_factory=lambda: dict[str, Quarantine]())

    @property
    def current(self) -> RoundState:
        """The newest round."""
        return self.rounds[-1]

    def closed_round(self, job: str) -> RoundState:
        """The newest round, closed, whose job this has to be. Raises `RoundNotOpen`."""
        current = self.current
        expected = round_job(self.proposal, current.number)
        if job != expected or current.status != "closed":
            raise RoundNotOpen(
                "There is no such round to aggregate: it is open still, or over.",
                claim="job",
                expected=f"{expected}, closed",
                actual=f"{job}; the round is {current.status}",
            )
        return current
