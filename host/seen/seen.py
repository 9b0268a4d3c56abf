# SPDX-License-Identifier: Apache-2.0
"""All of it, assembled over the parts of a host."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import generate_latest

from placet.host.blobs.room import Room
from placet.host.config import HostConfig
from placet.host.enclaves.authority import AuthorityLine
from placet.host.listener import Listener, Page
from placet.host.log.log import Log
from placet.host.logs import kind_of
from placet.host.placement.tickets import Tickets
from placet.host.placement.workers import Workers
from placet.host.runs.board import Board
from placet.host.runs.runs import Runs
from placet.host.seen.health import Health
from placet.host.seen.metrics import Metrics
from placet.host.seen.pulse import Pulse
from placet.host.seen.readiness import Condition, Readiness
from placet.host.seen.readings import Readings, Sources
from placet.host.seen.space import Space, measure
from placet.host.store.store import Store
from placet.host.tasks import cancelled
from placet.refusals import Refusal

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_log = logging.getLogger("placet.host.seen")


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at. `clock` says what is the matter with the clock, or nothing."""

    config: HostConfig
    store: Store
    log: Log
    board: Board
    runs: Runs
    line: AuthorityLine
    workers: Workers
    tickets: Tickets
    room: Room
    certificate: Callable[[], bytes]
    clock: Condition = lambda: ""


class Seen:
    def __init__(self, metrics: Metrics, health: Health, parts: Parts) -> None:
        self._parts = parts
        self._metrics = metrics
        self._space = Space()
        self._authority = Pulse(parts.line.answers)
        self._store = Pulse(self._stored)
        conditions = {
            "authority": self._authority_matter,
            "store": self._store_matter,
            "disk": lambda: "full" if parts.room.alarmed else "",
            "clock": parts.clock,
        }
        self.readiness = Readiness(health, conditions)
        self._listener = Listener("metrics", self._page)

    async def _page(self, path: str) -> Page | None:
        if path != "metrics":
            return None
        return Page(generate_latest(self._metrics.registry), _TYPE)

    @property
    def address(self) -> str:
        """ "address:port" where metrics are scraped; empty if nowhere."""
        return self._listener.address

    async def start(self, exits: AsyncExitStack) -> None:
        """Look from now on, until `exits` are taken. Raises OSError where the address is taken."""
        parts = self._parts
        sources = Sources(
            parts.config,
            parts.log,
            parts.board,
            parts.runs,
            parts.line,
            parts.workers,
            parts.tickets,
            parts.room,
            parts.certificate,
            lambda: self._space,
            lambda: self.readiness.matters,
        )
        self._metrics.registry.register(Readings(sources))
        if parts.config.metrics:
            await self._listener.start(parts.config.metrics)
            exits.push_async_callback(self._listener.close)
        await self.readiness.start()
        works = [self._authority.run(), self._store.run(), self.readiness.run(), self._measure()]
        for work in works:
            exits.push_async_callback(cancelled, asyncio.ensure_future(work))

    def _authority_matter(self) -> str:
        if not self._parts.line.attached:
            return "away"
        return "hangs" if self._hangs(self._authority) else ""

    def _store_matter(self) -> str:
        trouble = self._parts.store.trouble
        if trouble is not None:
            return trouble.kind.replace(" ", "-")
        return "hangs" if self._hangs(self._store) else ""

    def _hangs(self, pulse: Pulse) -> bool:
        return pulse.silent > self._parts.config.hang_seconds

    async def _stored(self) -> bool:
        """Whether a change of nothing gets through: it takes the lock of the database, and no
        flush."""
        try:
            await self._parts.store.write(lambda _: None)
        except Refusal:
            return False
        return True

    async def _measure(self) -> None:
        config = self._parts.config
        while True:
            try:
                self._space = await asyncio.to_thread(measure, config.state)
            except Exception as error:  # noqa: BLE001
                _log.error("measure-failed %s", kind_of(error))
            await asyncio.sleep(config.collect_seconds)
