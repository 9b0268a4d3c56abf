# SPDX-License-Identifier: Apache-2.0
"""How long callers wait for a store in trouble. The writer says how it is; callers wait in `steady`
for whatever becomes durable."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from placet.host.store.trouble import Trouble, lasting

_GRACE = 5.0  # seconds
_log = logging.getLogger("placet.host.store")


class Patience:
    def __init__(self) -> None:
        self._trouble: Trouble | None = None
        self._last: Trouble | None = None
        self._damage: Trouble | None = None
        self._since = 0.0
        self._bounds: set[asyncio.Timeout] = set()

    @property
    def trouble(self) -> Trouble | None:
        """What the store is in: a trouble that may pass, or damage that was met since it was
        opened."""
        return self._trouble or self._damage

    def met(self, trouble: Trouble) -> None:
        """A trouble of no transaction, or of none that waits: it is said; damage is kept in
        mind."""
        say(trouble)
        if not trouble.passing:
            self._damage = trouble

    def note(self, trouble: Trouble | None, loop: asyncio.AbstractEventLoop) -> None:
        """How the last transaction went, from the writer's thread. A trouble is logged once while
        it lasts."""
        before = self._trouble
        if trouble is not None and not trouble.passing:
            self.met(trouble)  # and nobody waits: the next change may be about another page
            return
        if trouble is not None and (before is None or lasting(trouble) != lasting(before)):
            say(trouble)
        if (before is None) == (trouble is None):
            return
        if trouble is None:
            _log.warning("well-again seconds=%.1f", time.monotonic() - self._since)
        self._since = time.monotonic()
        self._trouble, self._last = trouble, trouble or self._last
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._rebound)

    @asynccontextmanager
    async def steady(self) -> AsyncGenerator[None, None]:
        """What is done in it for a caller ends with `StoreUnavailable` once nothing has become
        durable for a while. What was given to the store stays there, and may still succeed."""
        bound = asyncio.timeout(_GRACE if self._trouble else None)
        try:
            async with bound:
                self._bounds.add(bound)
                yield
        except TimeoutError:
            if not bound.expired() or self._last is None:
                raise
            raise self._last.refusal(" The request may still take effect.") from None
        finally:
            self._bounds.discard(bound)

    def _rebound(self) -> None:
        when = asyncio.get_running_loop().time() + _GRACE if self._trouble else None
        for bound in self._bounds:
            if not bound.expired():
                bound.reschedule(when)


def say(trouble: Trouble) -> None:
    """Name a trouble in the log."""
    _log.error("trouble kind=%s errno=%s table=%s", trouble.kind, trouble.errno, trouble.table)
