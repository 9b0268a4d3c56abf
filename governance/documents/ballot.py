# SPDX-License-Identifier: Apache-2.0
"""A ballot: one seat's word on one proposal. A seat's highest sequence number counts."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import check_digest, check_identifier, check_range, check_text
from placet.governance.codec import malformed
from placet.governance.documents.header import Header

Vote = Literal["placet", "non placet", "abstain", "recuse"]


@dataclass(frozen=True, slots=True)
class Ballot:
    """`interests` is the seat's statement on its conflicts of interest.

    expires: until when a placet counts, in Unix seconds; None for any other vote. Nothing that says
    no, or takes a yes back, ends by itself.
    """

    KIND: ClassVar[str] = "ballot"

    header: Header
    seat: str
    proposal: str
    constitution: str
    sequence: int
    vote: Vote
    interests: str
    rationale: str
    expires: int | None

    def __post_init__(self) -> None:
        check_identifier("seat", self.seat)
        check_digest("proposal", self.proposal)
        check_digest("constitution", self.constitution)
        check_range("sequence", self.sequence, 1, 2**31)
        check_text("interests", self.interests)
        check_text("rationale", self.rationale)
        if (self.vote == "placet") != (self.expires is not None):
            raise malformed(
                "expires",
                "a time for a placet, and null for any other vote",
                f"{'null' if self.expires is None else 'a time'} for a {self.vote}",
            )
        if self.expires is not None:
            check_range("expires", self.expires, 1, 2**40)

    def has_expired(self, now: int) -> bool:
        """Whether a placet is over at `now`, Unix seconds. No other vote ever is."""
        return self.expires is not None and now > self.expires
