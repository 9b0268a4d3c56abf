# SPDX-License-Identifier: Apache-2.0
"""The jobs that have not ended, as they are now, and whoever watches them.

A watcher sees the newest record of each job, never a queue of old ones: what changes faster than it
reads is coalesced. A job that has ended leaves the board; its last record still reaches everyone.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

from placet.host.errors import AuthorityUnavailable, QueueFull
from placet.host.store.job_table import LEASED, QUEUED, RUNNING, JobRecord, now_ms


class Watcher:
    """What changed since it was last asked. Bounded by the jobs that change, which are bounded."""

    def __init__(self) -> None:
        self._changed: dict[str, JobRecord] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def show(self, record: JobRecord) -> None:
        self._changed.pop(record.id, None)  # the order is that of the newest records
        self._changed[record.id] = record
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def next(self) -> list[JobRecord]:
        """The newest record of each job that changed. Raises `AuthorityUnavailable` at the end."""
        await self._wake.wait()
        self._wake.clear()
        if self._closed:
            raise AuthorityUnavailable("The host is shutting down. Watch again later.")
        records, self._changed = list(self._changed.values()), {}
        return records


class Board:
    def __init__(self, max_watchers: int) -> None:
        self._records: dict[str, JobRecord] = {}
        self._watchers: dict[str, set[Watcher]] = {}  # by job or proposal
        self._max_watchers = max_watchers
        self._count = 0
        self._listeners: list[Callable[[str], None]] = []

    def tell(self, listener: Callable[[str], None]) -> None:
        """Call this with the proposal of each job that changes."""
        self._listeners.append(listener)

    def get(self, job: str) -> JobRecord | None:
        """The job's record, if it has not ended."""
        return self._records.get(job)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        return sum(record.state == QUEUED for record in self._records.values())

    def publish(self, record: JobRecord) -> None:
        """Show a record that is durable."""
        if record.ended:
            self._records.pop(record.id, None)
        else:
            self._records[record.id] = record
        for name in (record.id, record.proposal):
            for watcher in self._watchers.get(name, ()):
                watcher.show(record)
        for listener in self._listeners:
            listener(record.proposal)

    def close(self) -> None:
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close()

    def progress(self, job: str, lease: str, percent: int) -> bool:
        """Show that a lease runs and how far it is; False if that is nothing new."""
        record = self._records.get(job)
        if record is None or record.lease != lease or record.state not in (LEASED, RUNNING):
            return False
        percent = max(record.progress, min(percent, 100))
        if record.state == RUNNING and record.progress == percent:
            return False
        self.publish(replace(record, state=RUNNING, progress=percent, changed_ms=now_ms()))
        return True

    @contextmanager
    def follow(self, name: str) -> Generator[Watcher, None, None]:
        """A watcher of one job, or of every job of a proposal, from now on. Raises `QueueFull`."""
        if self._count >= self._max_watchers:
            raise QueueFull("Too many calls watch jobs. Ask with Get, or try again later.")
        watcher = Watcher()
        self._watchers.setdefault(name, set()).add(watcher)
        self._count += 1
        try:
            yield watcher
        finally:
            self._count -= 1
            self._watchers[name].discard(watcher)
            if not self._watchers[name]:
                del self._watchers[name]

    async def watch(
        self, job: str, read: Callable[[], Awaitable[JobRecord]]
    ) -> AsyncGenerator[JobRecord, None]:
        """The job's record now and after each change, until it has ended.

        `read` gives the record of a job that is not on the board. Raises `QueueFull`, or what it
        raises.
        """
        with self.follow(job) as watcher:  # before reading: no change is missed
            record = self._records.get(job) or await read()
            yield record
            while not record.ended:
                for record in await watcher.next():
                    yield record
