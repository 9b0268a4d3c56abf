# SPDX-License-Identifier: Apache-2.0
"""The authority's two readings of time.

With witnesses, "at least" is the smallest timestamp of the cosigning quorum and "at most" the later
of the host's clock and their median. Without any, both are the host's clock, which can stand still
or run ahead, but never goes back.
"""

from collections.abc import Callable

from placet.governance.account import Times


class Clock:
    """Reads the host's clock (Unix seconds) and never gives a time before the last entry's."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def times(self, last: Times) -> Times:
        """Both readings for an entry that follows one of these times."""
        now = max(int(self._now()), last.at_most)
        return Times(now, now)
