# SPDX-License-Identifier: Apache-2.0
"""A proposal: one thing that the council is asked to let happen, complete in itself."""

import functools
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
from placet.governance.documents.privacy import Declared
from placet.governance.documents.rule import Action
from placet.sealing import HPKEPublicKey, KeyRefused, ObjectDescriptor

MAX_ATTEMPTS = 3
MAX_OUTPUT_BYTES = 2**40

Scalar = str | int | bool


@dataclass(frozen=True, slots=True)
class Input:
    """An object that the job may open, and the principal whose grant it takes."""

    object: ObjectDescriptor
    owner: str

    def __post_init__(self) -> None:
        check_identifier("input.owner", self.owner)


@dataclass(frozen=True, slots=True)
class Output:
    """An output that the job must write. It is padded to `max_bytes`, so that its size tells nothing."""

    max_bytes: int

    def __post_init__(self) -> None:
        check_range("output.max_bytes", self.max_bytes, 1, MAX_OUTPUT_BYTES)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who may open the outputs: a name and an HPKE public key in its text form."""

    id: str
    key: str

    def __post_init__(self) -> None:
        check_identifier("recipient.id", self.id)
        check_hpke("recipient.key", self.key)

    @property
    def hpke(self) -> HPKEPublicKey:
        return _hpke(self.key)


@functools.lru_cache(maxsize=1024)
def _hpke(text: str) -> HPKEPublicKey:
    """Recipients come again and again, and loading an ML-KEM key takes as long as checking a signature."""
    return HPKEPublicKey.from_text(text)


def check_hpke(claim: str, text: str) -> None:
    """Refuse what is not the text of an HPKE public key."""
    try:
        _hpke(text)
    except KeyRefused as error:
        raise malformed(claim, "an HPKE public key (hpke:...)", str(error)) from None


@dataclass(frozen=True, slots=True)
class Job:
    """What a proposal of action "job" asks for. `program` is the digest of the bundle.

    privacy: what the program's author declares that a use costs; None: nothing is claimed, and it costs without bound.
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
        for claim, names in (
            ("job.inputs", self.inputs),
            ("job.parameters", self.parameters),
            ("job.outputs", self.outputs),
        ):
            for name in names:
                check_identifier(claim, name)
        if not self.outputs or not self.recipients:
            raise malformed("job", "at least one output and one recipient", "none")
        if len({recipient.id for recipient in self.recipients}) != len(self.recipients):
            raise malformed("job.recipients", "each recipient once", "one twice")
        for name, value in self.parameters.items():
            if isinstance(value, str):
                check_text("job.parameters." + name, value, 1000)
        check_range("job.attempts", self.attempts, 1, MAX_ATTEMPTS)
        check_range("job.deadline_seconds", self.deadline_seconds, 1, 30 * 86400)


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a proposal of action "amend" asks for: the digest of the constitution that shall come into force."""

    constitution: str

    def __post_init__(self) -> None:
        check_digest("amendment.constitution", self.constitution)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal. `not_before` and `not_after` are Unix seconds; `reason` is the proposer's plain words."""

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
    body: Job | Amendment

    def __post_init__(self) -> None:
        check_digest("constitution", self.constitution)
        check_identifier("proposer", self.proposer)
        check_identifier("purpose", self.purpose)
        check_text("reason", self.reason)
        check_window("window", self.not_before, self.not_after)
        check_range("uses", self.uses, 1, 1_000_000)
        if (self.action == "amend") != isinstance(self.body, Amendment):
            raise malformed("body", f"what the action {self.action} takes", "another action's")

    @property
    def job(self) -> Job:
        """The job. Raises `DocumentMalformed` where the proposal is of another action."""
        if not isinstance(self.body, Job):
            raise malformed("action", "job", self.action)
        return self.body

    @property
    def labels(self) -> frozenset[str]:
        """The labels of all data that the proposal touches."""
        if not isinstance(self.body, Job):
            return frozenset()
        return frozenset(label for i in self.body.inputs.values() for label in i.object.labels)

    @property
    def owners(self) -> frozenset[str]:
        """The principals whose data it touches."""
        if not isinstance(self.body, Job):
            return frozenset()
        return frozenset(i.owner for i in self.body.inputs.values())
