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

A change that meets a trouble that passes (trouble.py: another process writes, the disk is full) is
not lost: it is tried again, ever more slowly, until it is durable or the store is closed. So a
change may run more than once, and touches nothing but its connection. Callers who should not wait
that long are in `steady`.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from placet.host.errors import StateVersion
from placet.host.store.patience import Patience, say
from placet.host.store.schema import SCHEMA_VERSION, meta, metadata
from placet.host.store.trouble import Trouble, trouble_of

S = TypeVar("S")
T = TypeVar("T")
_MAX_GROUP = 256
_READERS = 2
_BUSY_MS = 10_000  # how long SQLite itself waits for another process that writes
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 2.0  # between two tries in trouble
_WRITES = {"placet_writes": True}  # of the connection whose transactions write
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
        self._closing = threading.Event()
        self._patience = Patience()
        self._writer = threading.Thread(target=self._write_all, name="placet-write")
        self._writer.start()

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open or make the store at a SQLAlchemy URL. Raises `StateVersion` for another schema,
        or `StoreUnavailable`."""
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _set_pragmas)
            event.listen(engine, "begin", _begin)
        try:
            _named(_prepare, engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    async def write(
        self, change: Callable[[sa.Connection], T], *, then: Callable[[T], None] | None = None
    ) -> T:
        """Make a change and return its result once it is durable; raises what the change raised,
        or `StoreUnavailable` where the database is damaged or closes in trouble."""
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
        """The result of a query, over everything that was durable when it began.

        Raises `StoreUnavailable`.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._query, query)

    def peek(self, query: Callable[[sa.Connection], T]) -> T:
        """As `read`, in the event loop: for one row by an index, which takes less than a thread's
        turn.

        Readers never wait for the writer (SQLite's WAL). The query sees all that is durable:
        nothing is begun.
        """
        return _named(query, self._peeking, self._patience.met)

    @property
    def trouble(self) -> Trouble | None:
        """See `Patience.trouble`."""
        return self._patience.trouble

    def steady(self) -> AbstractAsyncContextManager[None]:
        """See `Patience.steady`: for callers, who should not wait until a trouble has passed."""
        return self._patience.steady()

    def close(self) -> None:
        """Make every change that waits durable, or try once more, then close. Blocks; call it from
        a thread."""
        if not self._closed:
            self._closed = True
            self._closing.set()
            self._queue.put(None)
            self._writer.join()
            self._readers.shutdown()
            self._peeking.close()
            self._engine.dispose()

    def _query(self, query: Callable[[sa.Connection], T]) -> T:
        def ask(engine: sa.Engine) -> T:
            with engine.connect() as connection:
                return query(connection)

        return _named(ask, self._engine, self._patience.met)

    def _write_all(self) -> None:
        with self._engine.connect().execution_options(**_WRITES) as connection:
            waiting, last, pause = list[_Change](), False, _FIRST_PAUSE
            while not last:
                group, last = self._gather(waiting)
                if not group:
                    continue
                trouble = _commit(connection, group)
                self._patience.note(trouble, group[0].loop)
                if trouble is not None and trouble.passing and not last:
                    waiting = group
                    self._closing.wait(pause)
                    pause = min(pause * 2, _LAST_PAUSE)
                else:
                    waiting, pause = [], _FIRST_PAUSE
                    _tell(group)

    def _gather(self, waiting: list[_Change]) -> tuple[list[_Change], bool]:
        """What waits, then what has come since; and whether nothing comes any more."""
        group = [*waiting]
        while len(group) - len(waiting) < _MAX_GROUP:
            try:
                item = self._queue.get(block=not group)
            except Empty:
                break
            if item is None:
                return group, True
            group.append(item)
        return group, False


def _named(query: Callable[[S], T], source: S, met: Callable[[Trouble], None] = say) -> T:
    """What a query gives; a trouble of the database leaves as its refusal."""
    try:
        return query(source)
    except Exception as error:
        trouble = trouble_of(error)
        if trouble is None:
            raise
        met(trouble)
        raise trouble.refusal() from None


def _commit(connection: sa.Connection, group: list[_Change]) -> Trouble | None:
    """Run a group in one transaction, and return the trouble that it met. If that passes, nothing
    of the group was done; if not, each change was tried alone, for another may not meet it."""
    trouble = _transact(connection, group)
    if trouble is not None and not trouble.passing and len(group) > 1:
        for item in group:
            _transact(connection, [item])
    return trouble


def _transact(connection: sa.Connection, group: list[_Change]) -> Trouble | None:
    """One transaction; a failure of the commit itself is every change's failure."""
    for item in group:
        item.result = item.error = None
    try:
        with connection.begin():
            if len(group) == 1:
                group[0].result = group[0].run(connection)
            else:
                _run_each(connection, group)
    except Exception as error:  # noqa: BLE001
        trouble = trouble_of(error)
        if len(group) > 1 and trouble is None:
            _log.error("commit-failed kind=%s changes=%d", type(error).__name__, len(group))
        for item in group:
            item.error = error if trouble is None else trouble.refusal()
        return trouble
    return None


def _run_each(connection: sa.Connection, group: list[_Change]) -> None:
    """Raises a trouble: SQLite has then taken back the whole transaction, savepoints and all."""
    for item in group:
        nested = connection.begin_nested()
        try:
            item.result = item.run(connection)
        except Exception as error:
            if trouble_of(error) is not None:
                raise
            item.error = error
            nested.rollback()
        else:
            nested.commit()


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
    for pragma in (f"busy_timeout={_BUSY_MS}", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads first and then writes fails at once, however long SQLite may wait,
    # if another process has written in between: so one that may write locks at its beginning.
    writes = connection.get_execution_options().get("placet_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(engine: sa.Engine) -> None:
    with engine.execution_options(**_WRITES).begin() as connection:
        metadata.create_all(connection)
        found = connection.execute(
            sa.select(meta.c.value).where(meta.c.key == "schema")
        ).scalar_one_or_none()
        if found is None:
            connection.execute(meta.insert().values(key="schema", value=SCHEMA_VERSION))
        elif found != SCHEMA_VERSION:
            raise StateVersion(f"The store has schema {found}; this host needs {SCHEMA_VERSION}.")
        # Written in any case: a file that may only be read is said now, and not by a later change.
        connection.execute(meta.update().where(meta.c.key == "schema").values(key="schema"))
