# SPDX-License-Identifier: Apache-2.0
"""The authority's two readings of time.

With witnesses, "at least" is the smallest timestamp of the cosigning quorum and "at most" the later
of the host's clock and their median. Without any, both are the host's clock, which can stand still
or run ahead, but never goes back.

An accident that sets the clock ahead for a moment would end for good whatever expires until then.
So the clock is compared with the time that has passed since it was last read. Where it is too far
ahead, nothing is judged but what says no, or lets go on what goes on: by the time that has passed.
Both clocks are the host's: this holds against accidents, and not against a host that lies. A new
life of the authority knows no time that has passed, and takes the clock as it is.
"""

import logging
import time
from collections.abc import Callable

from placet.governance.account import Times
from placet.refusals import ClockJumped

MAX_JUMP = 600  # seconds
_log = logging.getLogger("placet.authority")


def passed() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except OSError:  # not every library OS has it
        return time.monotonic()


class Clock:
    """Reads the host's clock (Unix seconds) and never gives a time before the last entry's.
    `elapsed` gives the seconds that pass."""

    def __init__(self, now: Callable[[], float], elapsed: Callable[[], float] = passed) -> None:
        self._now, self._elapsed = now, elapsed
        self._start = now() - elapsed()  # on the host's clock, when `elapsed` was nought
        self._jumped = False

    def times(self, last: Times) -> Times:
        """Both readings for an entry that follows one of these times. Raises `ClockJumped`."""
        now, ahead = self._read()
        if ahead > MAX_JUMP:
            raise ClockJumped(
                f"The authority's clock is {ahead:.0f} seconds ahead of the time that has passed.",
                claim="clock",
                expected=f"at most {MAX_JUMP} seconds",
                actual=f"{ahead:.0f} seconds",
            )
        return _not_before(now, last)

    def believed(self, last: Times) -> Times:
        """The same for what says no or goes on, which no jump may keep: by the time that has
        passed, where the clock has jumped."""
        now, ahead = self._read()
        return _not_before(now - ahead if ahead > MAX_JUMP else now, last)

    def _read(self) -> tuple[float, float]:
        """The clock, and by how much it is ahead of the time that has passed."""
        now, elapsed = self._now(), self._elapsed()
        ahead = now - elapsed - self._start
        jumped = ahead > MAX_JUMP
        if jumped != self._jumped:
            self._jumped = jumped
            _log.warning("clock-%s ahead=%d", "jumped" if jumped else "well-again", ahead)
        if 0 < ahead <= MAX_JUMP:
            self._start += ahead
        return now, ahead


def _not_before(now: float, last: Times) -> Times:
    at_most = max(int(now), last.at_most)
    return Times(at_most, at_most)
