# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar

from placet.governance.checks import (
    check_digest,
    check_identifier,
    check_output,
    check_range,
    check_scalars,
)
from placet.governance.codec import malformed
from placet.governance.documents.privacy import Declared
from placet.governance.documents.rule import Action
from placet.governance.documents.work.body import Body
from placet.governance.documents.work.parts import MAX_ATTEMPTS, Input, Output, Recipient, Scalar


@dataclass(frozen=True, slots=True)
class Job(Body):
    """A proposal of action "job" asks for this. `program` is the digest of the bundle.

    privacy: what the program's author declares that a use costs; None: nothing is claimed, and it
    costs without bound.
    """

    ACTION: ClassVar[Action] = "job"

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

    @property
    def given(self) -> tuple[Input, ...]:
        return tuple(self.inputs.values())

    @property
    def audience(self) -> tuple[str, ...]:
        return tuple(recipient.id for recipient in self.recipients)

    @property
    def terms(self) -> bytes:
        return b""

    @property
    def launch_digest(self) -> str:
        return self.program

    @property
    def privacy_terms(self) -> Declared | None:
        return self.privacy

    @property
    def declared(self) -> bool:
        return self.privacy is not None
