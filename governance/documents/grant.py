# SPDX-License-Identifier: Apache-2.0
"""A grant: under which terms an owner lets the authority use the key of one object."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    MAX_PARAMETER,
    check_digest,
    check_identifier,
    check_listed,
    check_range,
    check_text,
)
from placet.governance.codec import malformed
from placet.governance.documents.constitution import Evidence
from placet.governance.documents.header import Header
from placet.governance.documents.privacy import Budget
from placet.governance.documents.rule import Anything
from placet.governance.documents.work.parts import Recipient, Scalar, check_hpke
from placet.sealing import ObjectDescriptor


@dataclass(frozen=True, slots=True)
class Exactly:
    """The parameter has this value."""

    exactly: Scalar

    def __post_init__(self) -> None:
        if isinstance(self.exactly, str):
            check_text("parameter", self.exactly, MAX_PARAMETER)


@dataclass(frozen=True, slots=True)
class Between:
    """The parameter is an integer from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise malformed("parameter", "low at most high", f"{self.low} to {self.high}")


@dataclass(frozen=True, slots=True)
class Grant:
    """Every field is a bound or the word "any".

    programs: bundle digests. parameters: for each name the bound; a job has exactly these
    parameters, since what it left out would be for the program to choose.
    recipients: HPKE public keys in text form. combine_with: principals whose data may be in the
    same job.
    approvals: seats that must be among the approvals, whatever the rules say. privacy: what the
    owner's whole ledger may come to with the job; "any" is no bound; "none" lets no job through
    that costs privacy at all, and a job without privacy
    terms costs without bound. expires: Unix seconds.
    """

    KIND: ClassVar[str] = "grant"

    header: Header
    owner: str
    object: ObjectDescriptor
    purposes: tuple[str, ...] | Anything
    programs: tuple[str, ...] | Anything
    parameters: dict[str, Exactly | Between] | Anything
    recipients: tuple[str, ...] | Anything
    combine_with: tuple[str, ...] | Anything
    evidence: Evidence
    witnesses: Literal["demanded", "any"]
    approvals: tuple[str, ...]
    privacy: Budget | Literal["any", "none"]
    uses: int | Anything
    expires: int
    recoverable: bool

    def __post_init__(self) -> None:
        check_identifier("owner", self.owner)
        check_listed("purposes", self.purposes)
        check_listed("programs", self.programs)
        check_listed("recipients", self.recipients)
        if self.programs != "any":
            for program in self.programs:
                check_digest("programs", program)
        if self.recipients != "any":
            check_range("recipients", len(self.recipients), 1, Recipient.MOST)
            for key in self.recipients:
                check_hpke("recipients", key)
        for claim, names in (
            ("purposes", self.purposes),
            ("parameters", self.parameters),
            ("combine_with", self.combine_with),
            ("approvals", self.approvals),
        ):
            for name in () if names == "any" else names:
                check_identifier(claim, name)
        if self.uses != "any":
            check_range("uses", self.uses, 1, 1_000_000)
        check_range("expires", self.expires, 1, 2**40)
