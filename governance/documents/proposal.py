# SPDX-License-Identifier: Apache-2.0
"""A proposal: one thing that the council is asked to let happen, complete in itself."""

from dataclasses import dataclass
from typing import ClassVar

from placet.governance.checks import (
    check_digest,
    check_identifier,
    check_range,
    check_text,
    check_window,
)
from placet.governance.codec import malformed
from placet.governance.documents.header import Header
from placet.governance.documents.rule import Action
from placet.governance.documents.work.amend import Amendment
from placet.governance.documents.work.federate import Federate
from placet.governance.documents.work.job import Job
from placet.governance.documents.work.serve import Serve

Work = Job | Federate | Serve

_BODIES: dict[str, type] = {"amend": Amendment, "federate": Federate, "serve": Serve}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal. `not_before` and `not_after` are Unix seconds; `reason` is the proposer's plain
    words."""

    KIND: ClassVar[str] = "proposal"

    header: Header
    constitution: str
    proposer: str
    action: Action
    purpose: str
    reason: str
    not_before: int
    not_after: int
    uses: int
    body: Job | Federate | Serve | Amendment

    def __post_init__(self) -> None:
        check_digest("constitution", self.constitution)
        check_identifier("proposer", self.proposer)
        check_identifier("purpose", self.purpose)
        check_text("reason", self.reason)
        check_window("window", self.not_before, self.not_after)
        check_range("uses", self.uses, 1, 1_000_000)
        if type(self.body) is not _BODIES.get(self.action, Job):
            raise malformed("body", f"what the action {self.action} takes", "another action's")
        if isinstance(self.body, Federate) and self.uses != self.body.rounds:
            raise malformed("uses", f"{self.body.rounds}, one a round", str(self.uses))
        if isinstance(self.body, Serve) and not self.not_before < self.body.review:
            raise malformed("serve.review", "after not_before", str(self.body.review))
        if isinstance(self.body, Serve) and self.body.card.retire_by < self.not_after:
            expected = f"not before the window closes ({self.not_after})"
            raise malformed("card.retire_by", expected, str(self.body.card.retire_by))

    @property
    def job(self) -> Job:
        """The job. Raises `DocumentMalformed` where the proposal is of another action."""
        if not isinstance(self.body, Job):
            raise malformed("action", "job", self.action)
        return self.body

    @property
    def federate(self) -> Federate:
        """The federation. Raises `DocumentMalformed` where the proposal is of another action."""
        if not isinstance(self.body, Federate):
            raise malformed("action", "federate", self.action)
        return self.body

    @property
    def serve(self) -> Serve:
        """The service. Raises `DocumentMalformed` where the proposal is of another action."""
        if not isinstance(self.body, Serve):
            raise malformed("action", "serve", self.action)
        return self.body

    @property
    def work(self) -> Work:
        """The job, the federation or the service. Raises `DocumentMalformed` for an amendment."""
        if isinstance(self.body, Amendment):
            raise malformed("action", "job, federate or serve", self.action)
        return self.body

    @property
    def labels(self) -> frozenset[str]:
        """The labels of all data that the proposal touches."""
        if isinstance(self.body, Amendment):
            return frozenset()
        own: tuple[str, ...] = ()
        if isinstance(self.body, Federate):
            own = self.body.labels
        elif isinstance(self.body, Serve):
            own = self.body.card.labels
        inputs = self.body.inputs.values()
        return frozenset(label for i in inputs for label in i.object.labels).union(own)

    @property
    def owners(self) -> frozenset[str]:
        """The principals whose data it touches: owners of inputs, and the clients of a
        federation."""
        if isinstance(self.body, Amendment):
            return frozenset()
        roster = self.body.roster if isinstance(self.body, Federate) else ()
        return frozenset(i.owner for i in self.body.inputs.values()).union(roster)
