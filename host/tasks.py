# SPDX-License-Identifier: Apache-2.0
"""Work in the background that nobody awaits: held while it runs, its faults logged by kind."""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from placet.host.logs import place_of

_log = logging.getLogger("placet.host.tasks")


async def cancelled(task: asyncio.Future[None]) -> None:
    """Return when a task has ended that is cancelled."""
    task.cancel()
    await asyncio.wait([task])


class Tasks:
    """A set of running tasks."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # It may outlast the call that began it, and is then done for nobody who called.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._running.add(task)
        task.add_done_callback(self._done)

    async def wait(self) -> None:
        """Return when all have ended."""
        while self._running:
            await asyncio.wait(self._running)

    async def cancel(self) -> None:
        for task in self._running:
            task.cancel()
        await self.wait()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("fault kind=%s at=%s", type(error).__name__, place_of(error))
