# SPDX-License-Identifier: Apache-2.0
"""Trying again what failed for a moment's want, ever more slowly, while there is time: finished
work is not lost because somebody was short of something."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from placet.proto.frames import LinkClosed
from placet.refusals import Refusal

T = TypeVar("T")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_UNANSWERED = frozenset(
    {"AUTHORITY_UNAVAILABLE", "CLOCK_JUMPED", "DEADLINE_PASSED", "QUEUE_FULL", "INTERNAL"}
)


def unanswered(error: Exception) -> bool:
    """Whether a request of the authority may be made again: nothing was judged, because somebody
    was away or short of something. The end of the stream is another matter."""
    if isinstance(error, LinkClosed):
        return False
    return isinstance(error, Refusal) and error.reason in _UNANSWERED


def pauses(left: Callable[[], float]) -> Iterator[float]:
    """Seconds to wait before each further try, as long as it begins within those that are left."""
    pause = _FIRST_PAUSE
    while pause < left():
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


async def patiently(
    work: Callable[[], Awaitable[T]],
    momentary: Callable[[Exception], bool],
    left: Callable[[], float],
) -> T:
    """The result of `work`, tried again after a momentary failure; raises what the last try
    does."""
    for pause in pauses(left):
        try:
            return await work()
        except Exception as error:
            if not momentary(error):
                raise
        await asyncio.sleep(pause)
    return await work()
