# SPDX-License-Identifier: Apache-2.0
"""Steps of the authority, one after the other: folded, made durable with the rows that change with
them, then shown."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

import sqlalchemy as sa

from placet.host.log import job_rows
from placet.host.log.log import Effects, Log
from placet.host.log.log_table import store_commit
from placet.host.store.job_table import JobRecord, NewJob
from placet.host.store.store import Store
from placet.proto.v1 import enclaves_pb2
from placet.refusals import LogRange

Shown = Callable[[Effects, list[JobRecord]], None]


class Journal:
    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log
        self._alone = asyncio.Lock()
        self._ahead = False  # whether the log has folded what the store does not have
        self._starting: dict[str, NewJob] = {}

    @contextmanager
    def starting(self, new: NewJob) -> Generator[None, None, None]:
        """The job's lease is being asked for: should it be given, the job's row is written in the
        transaction of the lease's entry."""
        self._starting[new.id] = new
        try:
            yield
        finally:
            del self._starting[new.id]

    async def commit(self, commit: enclaves_pb2.Commit, shown: Shown) -> None:
        """Take a step; `shown` is told of it once it is durable, before the authority is.

        A store that is busy or full for a while is waited for, however long. Raises `LogRange`,
        `LogEntryInvalid`, or what the store raised: then nothing has changed. Whatever was begun is
        finished, though the authority may have gone.
        """
        await asyncio.shield(self._commit(commit, shown))

    async def _commit(self, commit: enclaves_pb2.Commit, shown: Shown) -> None:
        async with self._alone:
            if self._ahead:
                await self._load()
            try:
                effects = self._log.extend(commit.first_index, commit.entries)
                await self._store.write(
                    partial(self._write, commit, effects),
                    then=partial(self._follow, commit, effects, shown),
                )
            except LogRange:
                raise  # nothing was folded
            except Exception:
                self._ahead = True
                await self._load()
                raise

    async def _load(self) -> None:
        await self._store.read(self._log.load)
        self._ahead = False

    def _write(
        self, commit: enclaves_pb2.Commit, effects: Effects, connection: sa.Connection
    ) -> list[JobRecord]:
        store_commit(connection, commit)
        return job_rows.follow(connection, effects, self._starting)

    def _follow(
        self,
        commit: enclaves_pb2.Commit,
        effects: Effects,
        shown: Shown,
        changed: list[JobRecord],
    ) -> None:
        self._log.follow(commit.entries, commit.checkpoint)
        shown(effects, changed)
