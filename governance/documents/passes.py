# SPDX-License-Identifier: Apache-2.0
"""A pass: a seat or party lets another key call a host in its name, for a while and for little. It
concerns the host alone, and no log has it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_digest,
    check_identifier,
    check_listed,
    check_range,
    check_window,
)
from placet.governance.codec import malformed
from placet.governance.jobs import proposal_digits
from placet.governance.keys import PublicKey

Scope = Literal["run", "put"]
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Pass:
    """The holder of a key logs in as the principal `by`, from `not_before` to `not_after` (Unix
    seconds).

    scopes: `run` is for starting and following work and fetching its results, `put` for storing
    blobs. proposals: those whose work `run` is for. It is no signature: whoever holds it votes for
    nothing, and signs no document.
    """

    KIND: ClassVar[str] = "pass"
    MOST_DAYS: ClassVar[int] = 90
    MOST_PROPOSALS: ClassVar[int] = 64

    charter: str
    by: str
    holder: PublicKey
    scopes: tuple[Scope, ...]
    proposals: tuple[str, ...] | Literal["any"]
    not_before: int
    not_after: int

    def __post_init__(self) -> None:
        check_digest("charter", self.charter)
        check_identifier("by", self.by)
        check_listed("scopes", self.scopes)
        check_listed("proposals", self.proposals)
        if self.proposals != "any":
            if "run" not in self.scopes:
                raise malformed("proposals", '"any" without the scope run', "a list")
            check_range("proposals", len(self.proposals), 1, self.MOST_PROPOSALS)
            for proposal in self.proposals:
                check_digest("proposals", proposal)
        check_window("window", self.not_before, self.not_after)
        check_range("window", self.not_after - self.not_before, 1, self.MOST_DAYS * _DAY)

    def covers(self, name: str) -> bool:
        """Whether it is for the work of this proposal, or for a job of this name."""
        if "run" not in self.scopes:
            return False
        if self.proposals == "any":
            return True
        return proposal_digits(name.partition("-")[0]) in map(proposal_digits, self.proposals)
