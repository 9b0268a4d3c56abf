# SPDX-License-Identifier: Apache-2.0
"""What the process has freed goes back to the machine.

glibc keeps it: every few threads have an arena of their own, and an arena that something is still
in gives nothing back. Of what a host held when strangers had come and gone, nine tenths were free.
So its threads share two arenas, which is as many as ever had something to do at once, and what is
free in these is given back every few seconds. That takes a millisecond.
"""

import asyncio
import ctypes

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2
_EVERY = 2.0  # seconds
_c = ctypes.CDLL(None)


def few_arenas() -> None:
    """Before there are threads; another C library than glibc does as it likes."""
    if hasattr(_c, "mallopt"):
        _c.mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """All pages that are free in the arenas."""
    if hasattr(_c, "malloc_trim"):
        _c.malloc_trim(ctypes.c_size_t(0))


async def giving_back() -> None:
    """Do so again and again, until cancelled."""
    while True:
        await asyncio.sleep(_EVERY)
        await asyncio.to_thread(give_back)
