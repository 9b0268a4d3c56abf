# SPDX-License-Identifier: Apache-2.0
"""What a run is: work that a caller has asked for, from the asking to its end."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from placet.governance.jobs import requested_job
from placet.host.blobs.blob_store import BlobStore
from placet.host.config import HostConfig
from placet.host.documents import TicketFacts
from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.log import Log
from placet.host.logs import place_of
from placet.host.placement.placement import Placement
from placet.host.runs.board import Board
from placet.host.store.store import Store
from placet.proto.v1 import common_pb2

if TYPE_CHECKING:
    from placet.host.runs.runs import Runs

AGAIN_SECONDS = 1.0  # until what failed, or is not over yet, is tried again
_log = logging.getLogger("placet.host.runs")


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for under a ticket: so many workers of a service, or a job by the id of
    this request."""

    facts: TicketFacts
    ticket: common_pb2.Ticket
    wanted: int = 1
    request_id: bytes = b""

    @property
    def run(self) -> str:
        """The id of the run: the proposal's digest, or the name of a job."""
        if self.facts.action == "job":
            return requested_job(self.facts.proposal, self.request_id)
        return self.facts.proposal


@dataclass(frozen=True, slots=True)
class Needs:
    """What runs take of the rest of the host."""

    config: HostConfig
    store: Store
    log: Log
    board: Board
    blobs: BlobStore
    line: AuthorityLine
    placement: Placement


class Run(ABC):
    """See the module. `begun` is done once the run has begun; it raises why it has not."""

    def __init__(self, order: Order, needs: Needs) -> None:
        self._id = order.run
        self._facts = order.facts
        self._ticket = order.ticket
        self._needs = needs
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def id(self) -> str:
        return self._id

    @abstractmethod
    async def begin(self, order: Order, runs: "Runs") -> None:
        """Do what a caller asks for; of a run that is under way, what more is asked for."""

    @abstractmethod
    async def run(self) -> None:
        """Run it to its end."""

    def refuse(self, error: Exception) -> None:
        """It has not begun; nothing changes if it had."""
        if not self.begun.done():
            self.begun.set_exception(error)
            self.begun.exception()  # after a restart nobody waits for it

    async def _steps(self, step: Callable[[], Awaitable[bool]]) -> None:
        """One step after the other, until one was the last. What fails for a reason of the host's
        own, such as a full disk, is tried again."""
        while True:
            try:
                if await step():
                    return
            except Exception as error:  # noqa: BLE001
                _log.error("fault kind=%s at=%s", type(error).__name__, place_of(error))
                await asyncio.sleep(AGAIN_SECONDS)

    async def _write(self, change: Callable[[sa.Connection], None]) -> None:
        await self._needs.store.write(change, then=lambda _: self._needs.board.changed(self._id))
