# SPDX-License-Identifier: Apache-2.0
"""A proposal: one thing that the council is asked to let happen, complete in itself."""

from dataclasses import dataclass
from typing import ClassVar

from placet.governance.checks import (
    check_digest,
    check_identifier,
    check_output,
    check_range,
    check_scalars,
    check_text,
    check_window,
)
from placet.governance.codec import malformed
from placet.governance.documents.federation import Federate
from placet.governance.documents.header import Header
from placet.governance.documents.privacy import Declared
from placet.governance.documents.rule import Action
from placet.governance.documents.serving import Serve
from placet.governance.documents.work import (
    MAX_ATTEMPTS,
    Input,
    Output,
    Recipient,
    Scalar,
    Work,
)


@dataclass(frozen=True, slots=True)
class Job:
    """What a proposal of action "job" asks for. `program` is the digest of the bundle.

    privacy: what the program's author declares that a use costs; None: nothing is claimed, and it
    costs without bound.
    """

    program: str
    inputs: dict[str, Input]
    parameters: dict[str, Scalar]
    outputs: dict[str, Output]
    recipients: tuple[Recipient, ...]
    privacy: Declared | None
    attempts: int
    deadline_seconds: int

    def __post_init__(self) -> None:
        check_digest("job.program", self.program)
        for name in self.inputs:
            check_identifier("job.inputs", name)
        for name in self.outputs:
            check_output("job.outputs", name)
        if not self.outputs or not self.recipients:
            raise malformed("job", "at least one output and one recipient", "none")
        if len({recipient.id for recipient in self.recipients}) != len(self.recipients):
            raise malformed("job.recipients", "each recipient once", "one twice")
        check_scalars("job.parameters", self.parameters)
        check_range("job.attempts", self.attempts, 1, MAX_ATTEMPTS)
        check_range("job.deadline_seconds", self.deadline_seconds, 1, 30 * 86400)


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a proposal of action "amend" asks for: the digest of the constitution that shall come
    into force."""

    constitution: str

    def __post_init__(self) -> None:
        check_digest("amendment.constitution", self.constitution)


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
