# SPDX-License-Identifier: Apache-2.0
"""The receipt: an in-toto Statement v1 about the outputs of one release.

Its subjects are the outputs, each with the SHA-256 of its object descriptor (never of a plaintext).
The predicate says what was done under whose word, and names weaknesses by name: SIMULATED,
UNWITNESSED.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_digest,
    check_identifier,
    check_output,
    check_range,
    check_scalars,
)
from placet.governance.codec import malformed
from placet.governance.documents.header import Header
from placet.governance.documents.privacy import Cost
from placet.governance.documents.work.parts import Scalar
from placet.sealing import ObjectDescriptor

Mark = Literal["SIMULATED", "UNWITNESSED"]


@dataclass(frozen=True, slots=True)
class Subject:
    """An output by name, with `{"sha256": <hex of the descriptor's digest>}`."""

    name: str
    digest: dict[str, str]


@dataclass(frozen=True, slots=True)
class Charged:
    """The cost of the release to each owner of an input. `declared`: by the word of the program's
    author, which nobody checks."""

    charges: dict[str, Cost]
    declared: bool

    def __post_init__(self) -> None:
        for owner in self.charges:
            check_identifier("privacy.charges", owner)


@dataclass(frozen=True, slots=True)
class Predicate:
    """The authority vouches for all of this. `entry` is the index of the release in the log."""

    header: Header
    proposal: str
    constitution: str
    job: str
    attempt: int
    lease: str
    worker: str
    program: str
    purpose: str
    parameters: dict[str, Scalar]
    inputs: dict[str, str]
    outputs: dict[str, ObjectDescriptor]
    recipients: tuple[str, ...]
    approved_by: tuple[str, ...]
    evidence: str
    privacy: Charged
    marks: tuple[Mark, ...]
    entry: int
    judged_at: int
    released: int

    def __post_init__(self) -> None:
        for claim in ("proposal", "constitution", "lease", "worker", "program"):
            check_digest(claim, getattr(self, claim))
        check_scalars("parameters", self.parameters)
        for claim, names in (
            ("job", (self.job,)),
            ("purpose", (self.purpose,)),
            ("evidence", (self.evidence,)),
            ("recipients", self.recipients),
            ("approved_by", self.approved_by),
        ):
            for name in names:
                check_identifier(claim, name)
        for name in self.outputs:
            check_output("outputs", name)
        for name, digest in self.inputs.items():
            check_identifier("inputs", name)
            check_digest("inputs", digest)
        check_range("entry", self.entry, 1, 2**53)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The statement as it is signed; `_type` and `predicateType` are in-toto's names and say what
    it is."""

    KIND: ClassVar[str] = "receipt"
    PAYLOAD_TYPE: ClassVar[str] = "application/vnd.in-toto+json"

    _type: Literal["https://in-toto.io/Statement/v1"]
    predicateType: Literal["https://placet.dev/receipt/v1"]
    subject: tuple[Subject, ...]
    predicate: Predicate

    def __post_init__(self) -> None:
        expected = {name: d.digest for name, d in self.predicate.outputs.items()}
        found = {s.name: "sha256:" + s.digest.get("sha256", "") for s in self.subject}
        named_once = len(found) == len(self.subject)
        only_sha256 = all(subject.digest.keys() == {"sha256"} for subject in self.subject)
        if found != expected or not named_once or not only_sha256:
            raise malformed("subject", "the digests of the output descriptors", "other digests")

    @classmethod
    def about(cls, predicate: Predicate) -> "Receipt":
        """The statement whose subjects are the predicate's outputs."""
        subject = tuple(
            Subject(name, {"sha256": descriptor.digest.removeprefix("sha256:")})
            for name, descriptor in sorted(predicate.outputs.items())
        )
        return cls(
            "https://in-toto.io/Statement/v1", "https://placet.dev/receipt/v1", subject, predicate
        )
