# SPDX-License-Identifier: Apache-2.0
"""The store: one writer thread with group commit, and readers beside it; the event loop never
waits.

    store = Store.open("sqlite:////path/placet.db")
    record = await store.write(lambda connection: insert_job(connection, ...))
    rows = await store.read(lambda connection: list_jobs(connection, ...))
    job = store.peek(lambda connection: find_request(connection, ...))
    store.close()

Rules: changes are made in the order in which `write` was called. What waits while a commit runs is
gathered into the next transaction; if there are several, each is in a savepoint of its own, so one
that fails takes no other with it. `write` returns when the change is durable (SQLite: WAL,
synchronous=FULL). `then` runs in the event loop once the change is durable, before anybody is told,
even if the caller has gone: so what memory mirrors can never miss a change.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from placet.host.errors import StateVersion
from placet.host.store.schema import SCHEMA_VERSION, meta, metadata

T = TypeVar("T")
_MAX_GROUP = 256
_READERS = 2
_log = logging.getLogger("placet.host.store")


@dataclass(slots=True)
class _Change:
    run: Callable[[sa.Connection], Any]
    then: Callable[[Any], None] | None
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: Exception | None = None


class Store:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._queue: SimpleQueue[_Change | None] = SimpleQueue()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="placet-read")
        self._peeking = engine.connect()
        self._closed = False
        self._writer = threading.Thread(target=self._write_all, name="placet-write")
        self._writer.start()

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open or make the store at a SQLAlchemy URL. Raises `StateVersion` for another schema."""
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _set_pragmas)
            event.listen(engine, "begin", _begin)
        try:
            _prepare(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    async def write(
        self, change: Callable[[sa.Connection], T], *, then: Callable[[T], None] | None = None
    ) -> T:
        """Make a change and return its result once it is durable; raises what the change raised."""
        return await self.begin(change, then=then)

    def begin(
        self, change: Callable[[sa.Connection], T], *, then: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """As `write`, without waiting: later changes are durable only if this one is."""
        if self._closed:
            raise RuntimeError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Change(change, then, future, loop))
        return future

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """The result of a query, over everything that was durable when it began."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._query, query)

    def peek(self, query: Callable[[sa.Connection], T]) -> T:
        """As `read`, in the event loop: for one row by an index, which takes less than a thread's
        turn.

        Readers never wait for the writer (SQLite's WAL). The query sees all that is durable:
        nothing is begun.
        """
        return query(self._peeking)

    def close(self) -> None:
        """Make every change that waits durable, then close. Blocks; call it from a thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._writer.join()
            self._readers.shutdown()
            self._peeking.close()
            self._engine.dispose()

    def _query(self, query: Callable[[sa.Connection], T]) -> T:
        with self._engine.connect() as connection:
            return query(connection)

    def _write_all(self) -> None:
        with self._engine.connect() as connection:
            while (first := self._queue.get()) is not None:
                group, last = self._gather(first)
                _commit(connection, group)
                _tell(group)
                if last:
                    return

    def _gather(self, first: _Change) -> tuple[list[_Change], bool]:
        group = [first]
        while len(group) < _MAX_GROUP:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if item is None:
                return group, True
            group.append(item)
        return group, False


def _commit(connection: sa.Connection, group: list[_Change]) -> None:
    """Run a group in one transaction; a failure of the commit itself is every change's failure."""
    try:
        with connection.begin():
            if len(group) == 1:
                group[0].result = group[0].run(connection)
            else:
                _run_each(connection, group)
    except Exception as error:  # noqa: BLE001
        if len(group) > 1:
            _log.error("commit-failed kind=%s changes=%d", type(error).__name__, len(group))
        for item in group:
            item.error = error


def _run_each(connection: sa.Connection, group: list[_Change]) -> None:
    for item in group:
        try:
            with connection.begin_nested():
                item.result = item.run(connection)
        except Exception as error:  # noqa: BLE001
            item.error = error


def _tell(group: list[_Change]) -> None:
    try:
        group[0].loop.call_soon_threadsafe(_settle, group)
    except RuntimeError:  # the loop has ended: the changes stay, nobody is left to tell
        _log.warning("nobody-to-tell changes=%d", len(group))


def _settle(group: list[_Change]) -> None:
    for item in group:
        if item.error is None and item.then is not None:
            try:
                item.then(item.result)
            except Exception as error:  # noqa: BLE001
                _log.error("mirror-failed kind=%s", type(error).__name__)
                item.error = error
        if item.future.done():  # the caller was cancelled
            continue
        if item.error is not None:
            item.future.set_exception(item.error)
        else:
            item.future.set_result(item.result)


def _set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Transactions are ours to begin: sqlite3's own rules would break savepoints.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _prepare(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        metadata.create_all(connection)
        found = connection.execute(
            sa.select(meta.c.value).where(meta.c.key == "schema")
        ).scalar_one_or_none()
        if found is None:
            connection.execute(meta.insert().values(key="schema", value=SCHEMA_VERSION))
        elif found != SCHEMA_VERSION:
            raise StateVersion(f"The store has schema {found}; this host needs {SCHEMA_VERSION}.")
