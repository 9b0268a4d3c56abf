# SPDX-License-Identifier: Apache-2.0
"""A ballot: one seat's word on one proposal. Of each seat the highest sequence number counts."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import check_digest, check_identifier, check_range, check_text
from placet.governance.documents.header import Header

Vote = Literal["placet", "non placet", "abstain", "recuse"]


@dataclass(frozen=True, slots=True)
class Ballot:
    """`interests` is the seat's statement on its conflicts of interest; `expires` is in Unix seconds."""

    KIND: ClassVar[str] = "ballot"

    header: Header
    seat: str
    proposal: str
    constitution: str
    sequence: int
    vote: Vote
    interests: str
    rationale: str
    expires: int

    def __post_init__(self) -> None:
        check_identifier("seat", self.seat)
        check_digest("proposal", self.proposal)
        check_digest("constitution", self.constitution)
        check_range("sequence", self.sequence, 1, 2**31)
        check_text("interests", self.interests)
        check_text("rationale", self.rationale)
        check_range("expires", self.expires, 1, 2**40)
