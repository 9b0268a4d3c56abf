# SPDX-License-Identifier: Apache-2.0
"""A proposal: one thing that the council is asked to let happen, complete in itself."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

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
from placet.governance.documents.work.body import Body
from placet.governance.documents.work.federate import Federate
from placet.governance.documents.work.job import Job
from placet.governance.documents.work.serve import Serve

Work = Job | Federate | Serve

_BODIES = {body.ACTION: body for body in (Job, Federate, Serve, Amendment)}
_B = TypeVar("_B", bound=Body)


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
        if type(self.body) is not _BODIES.get(self.action):
            raise malformed("body", f"what the action {self.action} takes", "another action's")
        self.body.check_proposed(self)

    @property
    def job(self) -> Job:
        """The job. Raises `DocumentMalformed` where the proposal is of another action."""
        return self._body(Job)

    @property
    def federate(self) -> Federate:
        """The federation. Raises `DocumentMalformed` where the proposal is of another action."""
        return self._body(Federate)

    @property
    def serve(self) -> Serve:
        """The service. Raises `DocumentMalformed` where the proposal is of another action."""
        return self._body(Serve)

    @property
    def work(self) -> Work:
        """The job, the federation or the service. Raises `DocumentMalformed` for an amendment."""
        if isinstance(self.body, Amendment):
            raise malformed("action", "job, federate or serve", self.action)
        return self.body

    def _body(self, cls: type[_B]) -> _B:
        if not isinstance(self.body, cls):
            raise malformed("action", cls.ACTION, self.action)
        return self.body

    @property
    def labels(self) -> frozenset[str]:
        """The labels of all data that the proposal touches."""
        return self.body.touched_labels

    @property
    def owners(self) -> frozenset[str]:
        """The principals whose data it touches: owners of inputs, and the clients of a
        federation."""
        return self.body.touched_owners
