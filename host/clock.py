# SPDX-License-Identifier: Apache-2.0
"""The host's clock, compared with the time that has passed.

What the authority judges by the clock stays: an entry's time, once written, is never gone behind.
So while the clock is further ahead than the time that has passed allows, the authority is asked for
nothing but stops and evidence, and no enclave is started. It passes when the clock comes back, or
when the operator accepts it.

    clock.json   clock and time passed when they were last read, and in which life of the machine

In the same life of the machine, the comparison goes on over a restart of the host. After the
machine's own start there is nothing to compare with: it may have been off for days.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

from placet.host.logs import kind_of
from placet.host.store.durable import write_durable
from placet.refusals import ClockJumped

_LOOK_SECONDS = 1.0
_WRITE_SECONDS = 60.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger("placet.host.clock")


def passed() -> float:
    """Seconds since the machine was started, its sleep included: nobody sets that clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def life_of_machine() -> str:
    """A name that the machine has from its start to its end."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class HostClock:
    """Reads the clock. bound: seconds that it may be ahead; accept: it is taken as it is now.

    now: gives Unix seconds. elapsed: gives seconds that nobody sets. life: names the machine's.
    """

    def __init__(
        self,
        path: Path,
        bound: float,
        *,
        accept: bool = False,
        now: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = passed,
        life: Callable[[], str] = life_of_machine,
    ) -> None:
        self._path, self._bound = path, bound
        self._now, self._elapsed = now, elapsed
        self._life = life()
        self._jumped = False
        start = now() - elapsed()  # on the clock, when `elapsed` was nought
        self._start = start if accept else self._known(start)
        if accept:
            _log.warning("clock-accepted")
            self.write()

    @property
    def ahead(self) -> float:
        """By how many seconds the clock is too far ahead; 0 where it can be believed."""
        ahead = self._now() - self._elapsed() - self._start
        if 0 < ahead <= self._bound:
            self._start += ahead
        jumped = ahead > self._bound
        if jumped != self._jumped:
            self._jumped = jumped
            _log.warning("clock-%s ahead=%d", "jumped" if jumped else "well-again", ahead)
        return ahead if jumped else 0.0

    def check(self) -> None:
        """Raises `ClockJumped` where the clock is too far ahead."""
        ahead = self.ahead
        if ahead:
            raise ClockJumped(
                f"The host's clock is {ahead:.0f} seconds ahead of the time that has passed.",
                claim="clock",
                expected=f"at most {self._bound:.0f} seconds",
                actual=f"{ahead:.0f} seconds",
            )

    async def run(self) -> None:
        """Look every second, so that a jump is said when it comes; until cancelled."""
        written = float("-inf")
        while True:
            if not self.ahead and self._elapsed() - written > _WRITE_SECONDS:
                written = self._elapsed()
                try:
                    await asyncio.to_thread(self.write)
                except OSError as error:
                    _log.error("clock-unwritten %s", kind_of(error))
            await asyncio.sleep(_LOOK_SECONDS)

    def write(self) -> None:
        """Write down what the next host on this folder compares with."""
        value = {"life": self._life, "start": self._start, "seen": self._now()}
        write_durable(self._path, json.dumps(value).encode(), mode=0o644)

    def _known(self, start: float) -> float:
        """When `elapsed` was nought, as the last host knew it, if it is the same life."""
        found: object = None
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_bytes())
        if not isinstance(found, dict):
            return start
        held = cast("dict[str, object]", found)
        life, known, seen = (held.get(name) for name in ("life", "start", "seen"))
        if not isinstance(known, (int, float)) or not isinstance(seen, (int, float)):
            return start
        if life and life == self._life:
            return max(start, float(known)) if start - known <= self._bound else float(known)
        _log.info("clock-taken-as-it-is since=%d", self._now() - seen)
        return start
