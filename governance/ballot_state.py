# SPDX-License-Identifier: Apache-2.0
"""Ballots that the log has for a proposal, and which of them stand."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class BallotState:
    """A ballot that the log has. `index` is that of its entry."""

    digest: str
    seat: str
    sequence: int
    vote: str
    index: int = -1


def _no_standing() -> dict[str, list[BallotState]]:
    return {}


@dataclass(slots=True)
class StandingBallots:
    """Of each seat the ballots of its highest number, in the order in which seats first voted: one,
    or the two contents of one number that are a non placet. No other ballot decides anything."""

    by_seat: dict[str, list[BallotState]] = field(default_factory=_no_standing)

    def cast(self, ballot: BallotState) -> None:
        """A ballot that is not older than the seat's last takes its place, or stands beside it."""
        own = self.by_seat.setdefault(ballot.seat, [])
        if own and own[0].sequence != ballot.sequence:
            own.clear()
        own.append(ballot)

    def of(self, seat: str) -> list[BallotState]:
        """A seat's own; none where it has not voted."""
        return self.by_seat.get(seat, [])

    def ballots(self) -> list[BallotState]:
        """All of them."""
        return [ballot for own in self.by_seat.values() for ballot in own]

    def says_no(self, seat: str, sequence: int, vote: str) -> bool:
        """Whether a ballot would say no, or take a yes back: a non placet, a second content of one
        number, and whatever follows a placet without being one."""
        own = self.of(seat)
        if vote == "non placet" or (own and own[0].sequence == sequence):
            return True
        return vote != "placet" and [ballot.vote for ballot in own] == ["placet"]

    def copy(self) -> "StandingBallots":
        """One of its own, for what would be if."""
        return StandingBallots({seat: list(own) for seat, own in self.by_seat.items()})


def stood_before(cast: Iterable[BallotState], index: int) -> list[str]:
    """The digests of the ballots that stood before an entry, of those that were cast, in the order
    of the log."""
    standing = StandingBallots()
    for ballot in cast:
        if ballot.index < index:
            standing.cast(ballot)
    return [ballot.digest for ballot in standing.ballots()]
