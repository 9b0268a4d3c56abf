# SPDX-License-Identifier: Apache-2.0
"""What is not as it should be, looked at every second, and told by health, metrics and log.

A condition says in a word what is the matter, or nothing: it is asked, and never waits.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from placet.host.seen.health import CONDITIONS, Health
from placet.host.tasks import Tasks

Condition = Callable[[], str]
_SECONDS = 1.0
_log = logging.getLogger("placet.host.readiness")


class Readiness:
    """`conditions` has one for each of CONDITIONS."""

    def __init__(self, health: Health, conditions: Mapping[str, Condition]) -> None:
        self._health = health
        self._conditions = {name: conditions[name] for name in CONDITIONS}
        self._matters: dict[str, str] = {}
        self._tasks = Tasks()
        self._drained = False

    @property
    def matters(self) -> Mapping[str, str]:
        """What is the matter, by condition; those that are well are not there."""
        return self._matters

    async def start(self) -> None:
        """Tell how things are at the beginning."""
        self._matters = self._found()
        await self._health.show(frozenset(self._matters))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_SECONDS)

    def look(self) -> None:
        """Tell what has changed since the last look."""
        found, before = self._found(), self._matters
        if found == before or self._drained:
            return
        for name in CONDITIONS:
            if found.get(name) != before.get(name):
                _say(name, found.get(name, ""))
        self._matters = found
        self._tasks.spawn(self._health.show(frozenset(found)))

    async def drain(self) -> None:
        """The host ends: nothing serves any more."""
        self._drained = True
        await self._tasks.wait()
        await self._health.drain()

    def _found(self) -> dict[str, str]:
        asked = {name: condition() for name, condition in self._conditions.items()}
        return {name: matter for name, matter in asked.items() if matter}


def _say(name: str, matter: str) -> None:
    if matter:
        _log.warning("not-ready what=%s why=%s", name, matter)
    else:
        _log.info("ready-again what=%s", name)
