# SPDX-License-Identifier: Apache-2.0
"""Federations as they are now, and whoever follows them.

Whoever follows is woken by every change and then reads the newest state; one read serves all who ask
before the next change, and changes that come faster than one reads are coalesced.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from placet.host import federation_table
from placet.host.board import Board
from placet.host.errors import AuthorityUnavailable, QueueFull
from placet.host.federation_record import FederationRecord
from placet.host.store import Store
from placet.proto.v1 import federations_pb2


@dataclass(frozen=True, slots=True)
class Shown:
    """A federation, and what callers see of it: made once for all of them."""

    record: FederationRecord
    message: federations_pb2.Federation


class FederationBoard:
    """See the module. `jobs` tells of the rounds' jobs; `max_watchers` bounds the watchers of all together."""

    def __init__(self, store: Store, jobs: Board, max_watchers: int) -> None:
        self._store = store
        self._jobs = jobs
        self._max_watchers = max_watchers
        self._count = 0
        self._wakes: dict[str, set[asyncio.Event]] = {}
        self._reads: dict[str, asyncio.Future[Shown]] = {}  # of those that are followed
        self._closed = False
        jobs.tell(self.changed)

    def changed(self, federation: str) -> None:
        """Something of a federation is different from now on."""
        self._reads.pop(federation, None)
        for wake in self._wakes.get(federation, ()):
            wake.set()

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        for wakes in self._wakes.values():
            for wake in wakes:
                wake.set()

    async def get(self, federation: str) -> Shown:
        """How it is now. Raises `FederationNotFound`."""
        read = self._reads.get(federation)
        if read is None:
            read = asyncio.ensure_future(self._read(federation))
            if federation in self._wakes:
                self._reads[federation] = read
        return await asyncio.shield(read)

    @contextmanager
    def follow(self, federation: str) -> Generator[asyncio.Event, None, None]:
        """What is set by every change from now on; whoever waits for it clears it, then reads."""
        wake = asyncio.Event()
        self._wakes.setdefault(federation, set()).add(wake)
        try:
            yield wake
        finally:
            self._wakes[federation].discard(wake)
            if not self._wakes[federation]:
                del self._wakes[federation]
                self._reads.pop(federation, None)

    async def watch(self, federation: str) -> AsyncGenerator[federations_pb2.Federation, None]:
        """How it is now and after each change, until it has ended.

        Raises `QueueFull`, `FederationNotFound`, or `AuthorityUnavailable` when the host ends.
        """
        if self._count >= self._max_watchers:
            raise QueueFull("Too many calls watch federations. Ask with Get, or try again later.")
        self._count += 1
        try:
            with self.follow(federation) as wake:
                seen: FederationRecord | None = None
                while seen is None or not seen.ended:
                    if self._closed:
                        raise AuthorityUnavailable("The host is shutting down. Watch again later.")
                    wake.clear()
                    shown = await self.get(federation)
                    if shown.record != seen:
                        seen = shown.record
                        yield shown.message
                    else:
                        await wake.wait()
        finally:
            self._count -= 1

    async def _read(self, federation: str) -> Shown:
        try:
            record = await self._store.read(
                lambda connection: federation_table.get_federation(connection, federation)
            )
        except BaseException:
            self._reads.pop(federation, None)
            raise
        job = record.job and self._jobs.get(record.job.id)
        if job:  # its progress is shown before it is stored
            record = replace(record, job=job)
        return Shown(record, record.to_proto())
