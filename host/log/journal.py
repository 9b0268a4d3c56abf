# SPDX-License-Identifier: Apache-2.0
"""Steps of the authority, one after the other: folded, made durable with the rows that change with
them, then shown."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import sqlalchemy as sa

from placet.host.log import job_rows
from placet.host.log.log import Effects, Log
from placet.host.log.log_table import store_commit
from placet.host.store.job_table import JobRecord, NewJob
from placet.host.store.store import Store
from placet.proto.v1 import enclaves_pb2

Shown = Callable[[Effects, list[JobRecord]], None]


class Journal:
    """See the module. `shown` is told of each step once it is durable, before the authority is."""

    def __init__(self, store: Store, log: Log, shown: Shown) -> None:
        self._store = store
        self._log = log
        self._shown = shown
        self._alone = asyncio.Lock()

    async def commit(self, commit: enclaves_pb2.Commit, starting: Mapping[str, NewJob]) -> None:
        """Take a step; jobs in `starting` get their row with their lease.

        Raises `LogRange`, `LogEntryInvalid`, or what the store raised: then nothing has changed.
        Whatever was begun is finished, though the authority may have gone.
        """
        await asyncio.shield(self._commit(commit, starting))

    async def _commit(self, commit: enclaves_pb2.Commit, starting: Mapping[str, NewJob]) -> None:
        async with self._alone:
            try:
                effects = self._log.extend(commit.first_index, commit.entries)
                await self._store.write(
                    lambda connection: _write(connection, commit, effects, starting),
                    then=partial(self._follow, commit, effects),
                )
            except Exception:
                await self._store.read(self._log.load)
                raise

    def _follow(
        self, commit: enclaves_pb2.Commit, effects: Effects, changed: list[JobRecord]
    ) -> None:
        self._log.follow(commit.entries, commit.checkpoint)
        self._shown(effects, changed)


def _write(
    connection: sa.Connection,
    commit: enclaves_pb2.Commit,
    effects: Effects,
    starting: Mapping[str, NewJob],
) -> list[JobRecord]:
    store_commit(connection, commit)
    return job_rows.follow(connection, effects, starting)
