# SPDX-License-Identifier: Apache-2.0
"""The facts that a rule's demands are judged by."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from placet.governance.account import BallotAccount, Logged, Times

if TYPE_CHECKING:
    from placet.governance.documents.ballot import Ballot
    from placet.governance.documents.constitution import Constitution, Seat
    from placet.governance.documents.proposal import Proposal


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that are known of a ticket.

    standing: each seat's ballot that stands. counted: the approvals that no demand of the rule
    leaves out; none while that is being asked. logged: None on paper.
    """

    proposal: "Proposal"
    constitution: "Constitution"
    times: Times
    standing: tuple[tuple[BallotAccount, "Ballot"], ...]
    logged: Logged | None
    counted: tuple[BallotAccount, ...] = ()


@dataclass(frozen=True, slots=True)
class Electorate:
    """The most that a constitution's seats can meet."""

    seats: int
    organisations: int
    roles: Counter[str]

    @classmethod
    def of(cls, seats: Sequence["Seat"]) -> "Electorate":
        roles = Counter(seat.role for seat in seats)
        return cls(len(seats), len({seat.organisation for seat in seats}), roles)
