# SPDX-License-Identifier: Apache-2.0
"""The rules by which updates become one: mean, coordinate median, trimmed mean, Krum.

The mean is weighted; the robust rules give every client one voice, because a weight is a client's
own claim. With noise there is the mean alone, and every weight is 1.

A Krum that selects one client gives out that client's update as it is: whoever allows it must want
that.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mean:
    """The weighted sum over the sum of weights."""

    @property
    def fewest(self) -> int:
        """The smallest number of clients for which the rule says something."""
        return 1


@dataclass(frozen=True, slots=True)
class Median:
    """The middle value of each coordinate, or the mean of the two middle ones (Yin et al. 2018)."""

    @property
    def fewest(self) -> int:
        return 1

    def kept(self, clients: int) -> tuple[int, int]:
        """Which order statistics count, 0-based: from the first to before the second."""
        return (clients - 1) // 2, clients // 2 + 1


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The mean of each coordinate without its `trim` smallest and `trim` largest values (Yin et al.
    2018)."""

    trim: int

    def __post_init__(self) -> None:
        if self.trim < 0:
            raise ValueError(f"what is trimmed a side is not negative, but {self.trim}")

    @property
    def fewest(self) -> int:
        return 2 * self.trim + 1

    def kept(self, clients: int) -> tuple[int, int]:
        return self.trim, clients - self.trim


@dataclass(frozen=True, slots=True)
class Krum:
    """The mean of the `selected` clients that are nearest to their neighbours (Blanchard et al.
    2017).

    A client's score is the sum of its squared distances to the K - `byzantine` - 2 clients nearest
    to it; the lowest scores are selected, and of equal ones the earlier client. `selected` = 1 is
    Krum, more is multi-Krum.
    """

    selected: int
    byzantine: int

    def __post_init__(self) -> None:
        if self.byzantine < 0 or self.selected < 1:
            raise ValueError(
                "Krum selects at least one client and expects no negative number of bad ones"
            )

    @property
    def fewest(self) -> int:
        # K >= 2f + 3 is what the proof asks for; and no bad client has to be among those selected.
        return max(2 * self.byzantine + 3, self.selected + self.byzantine)

    def select(self, gram: Sequence[Sequence[int]]) -> list[int]:
        """The selected clients' indices, ascending, from the exact inner products of all (K x K,
        symmetric)."""
        clients = len(gram)
        nearest = clients - self.byzantine - 2
        scores = list[int]()
        for a in range(clients):
            distances = sorted(
                gram[a][a] + gram[b][b] - 2 * gram[a][b] for b in range(clients) if b != a
            )
            scores.append(sum(distances[:nearest]))
        order = sorted(range(clients), key=lambda a: (scores[a], a))
        return sorted(order[: self.selected])


Rule = Mean | Median | Trimmed | Krum
