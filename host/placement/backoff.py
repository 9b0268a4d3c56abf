# SPDX-License-Identifier: Apache-2.0
"""Programs whose workers do not get as far as joining: tried again ever more slowly.

Failures are counted over time. Workers that were started together and fail together are one
failure: whatever befell them befell them once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

_FIRST_DELAY = 0.5
_LAST_DELAY = 60.0


@dataclass(slots=True)
class _Failure:
    count: int = 0
    own: int = 0  # of them, those that are the program's own fault
    timer: asyncio.TimerHandle | None = None


class Backoff:
    """Counts failures by program; `again` is called whenever a program may be tried again."""

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._failures: dict[str, _Failure] = {}

    @property
    def blocked(self) -> set[str]:
        """The programs that must not be tried yet."""
        return {program for program, failure in self._failures.items() if failure.timer}

    def failed(self, program: str, *, own: bool = False) -> int:
        """Count a failure, and return how many were the program's own fault."""
        failure = self._failures.setdefault(program, _Failure())
        if failure.timer is None:
            failure.count += 1
            failure.own += own
            delay = min(_FIRST_DELAY * 2 ** (failure.count - 1), _LAST_DELAY)
            failure.timer = asyncio.get_running_loop().call_later(delay, self._retry, failure)
        return failure.own

    def joined(self, program: str) -> None:
        """A worker of the program got there."""
        self._forget(program)

    def keep(self, programs: set[str]) -> set[str]:
        """Forget all programs but these; which were forgotten."""
        forgotten = set(self._failures) - programs
        for program in forgotten:
            self._forget(program)
        return forgotten

    def _forget(self, program: str) -> None:
        failure = self._failures.pop(program, None)
        if failure is not None and failure.timer is not None:
            failure.timer.cancel()

    def _retry(self, failure: _Failure) -> None:
        failure.timer = None
        self._again()
