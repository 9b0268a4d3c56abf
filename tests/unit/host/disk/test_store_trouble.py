# SPDX-License-Identifier: Apache-2.0
"""A store that another process writes to, whose disk is full, that is read-only, or damaged."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from placet.host import Host
from placet.host.store.schema import deletions, secrets
from placet.host.store.store import Store
from placet.proto.v1 import log_pb2, log_pb2_grpc, runs_pb2
from placet.refusals import StoreUnavailable
from tests.support.login import Visitor

MIB = 2**20
# Holds the write lock of a database for so many seconds.
HOLD = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
database.execute("ROLLBACK")
"""
# Writes to a database, or says why not.
WRITE = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
try:
    database.execute("INSERT INTO secrets VALUES ('theirs', x'')")
except sqlite3.OperationalError as error:
    print(error)
"""


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'placet.db'}"


def insert(name: str, wrapped: bytes = b"") -> Callable[[sa.Connection], int]:
    values = secrets.insert().values(name=name, wrapped=wrapped)
    return lambda connection: connection.execute(values).rowcount


def names(connection: sa.Connection) -> set[str]:
    return set(connection.execute(sa.select(secrets.c.name)).scalars())


@contextmanager
def held(database: Path, seconds: float) -> Generator[None, None, None]:
    """Another process has the write lock from now on, for so long."""
    argv = [sys.executable, "-c", HOLD, str(database), str(seconds)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield


def test_what_reads_before_it_writes_locks_at_its_beginning(tmp_path: Path, run: Any) -> None:
    """If another process could write in between, SQLite would refuse the change at once."""

    def change(connection: sa.Connection) -> str:
        assert names(connection) == set()
        argv = [sys.executable, "-c", WRITE, str(tmp_path / "placet.db")]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        insert("ours")(connection)
        return said.strip()

    async def body() -> None:
        store = Store.open(url(tmp_path))
        assert await store.write(change) == "database is locked"
        assert await store.read(names) == {"ours"}
        await asyncio.to_thread(store.close)

    run(body())


def test_a_process_that_writes_for_seconds_ends_neither_authority_nor_job(
    world: Any, run: Any
) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            await client.run(world.ticket("release"))
            with held(world.folder / "state" / "placet.db", 12):  # longer than SQLite waits
                job = await client.run(world.ticket("release"))
            assert (job.state, job.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, 1)
            assert len(world.launcher.running("authority")) == 1
        log = (world.folder / "state" / "logs" / "host.log").read_text()
        assert "event=trouble kind=busy errno=SQLITE_BUSY" in log
        assert "event=well-again seconds=" in log

    run(body())


def test_a_full_disk_is_said_and_work_goes_on_once_there_is_room(
    world: Any, run: Any, refused: Any, disk: Any
) -> None:
    async def body() -> None:
        (world.folder / "state").symlink_to(disk.folder)
        (world.folder / "blobs").mkdir()  # which want more room
        (disk.folder / "blobs").symlink_to(world.folder / "blobs")
        async with world.host() as (_, client):
            await client.run(world.ticket("release"))
            disk.fill()
            ticket, request_id = world.ticket("release"), b"r" * 16
            details = await refused(client.submit(ticket, request_id), "STORE_UNAVAILABLE")
            assert (details["claim"], details["actual"]) == ("store", "SQLITE_FULL")
            assert "room" in details["remedy"]
            disk.free()
            job = await client.submit(ticket, request_id)
            last = (await client.watch(job.id))[-1]
            assert (last.state, last.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, 1)
            assert len(world.launcher.running("authority")) == 1
        log = (disk.folder / "logs" / "host.log").read_text()
        assert "event=trouble kind=full errno=SQLITE_FULL" in log

    run(body())


def test_what_was_done_before_a_full_disk_took_the_transaction_back_is_done_again(
    run: Any, disk: Any
) -> None:
    """SQLite takes back the whole transaction, savepoints and all, when it meets a full disk."""

    async def body() -> None:
        store = Store.open(url(disk.folder))

        def spill(connection: sa.Connection) -> None:  # to the disk, before the commit
            connection.exec_driver_sql("PRAGMA cache_size=1")

        await store.write(spill)
        disk.fill(left=MIB)
        changes = [insert("a"), insert("large", bytes(3 * MIB)), insert("b")]
        written = [asyncio.ensure_future(store.write(change)) for change in changes]
        with pytest.raises(StoreUnavailable):
            async with store.steady():
                await asyncio.wait(written)
        assert not any(future.done() for future in written)
        assert await store.read(names) == set()  # readers go on
        disk.free()
        assert await asyncio.gather(*written) == [1, 1, 1]
        assert await store.read(names) == {"a", "large", "b"}
        await asyncio.to_thread(store.close)

    run(body())


def test_a_file_that_may_not_grow(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        store = Store.open(url(tmp_path))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
        try:
            written = asyncio.ensure_future(store.write(insert("a", bytes(2 * MIB))))
            with pytest.raises(StoreUnavailable, match="failing") as caught:
                async with store.steady():
                    await asyncio.shield(written)
            assert caught.value.details["actual"] == "SQLITE_IOERR_WRITE"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        assert await written == 1
        await asyncio.to_thread(store.close)

    run(body())


def test_closing_in_trouble_ends_what_waits(run: Any, disk: Any) -> None:
    async def body() -> None:
        store = Store.open(url(disk.folder))
        disk.fill()
        written = asyncio.ensure_future(store.write(insert("a", bytes(MIB))))
        await asyncio.sleep(0.5)
        before = time.monotonic()
        await asyncio.to_thread(store.close)
        assert time.monotonic() - before < 3
        with pytest.raises(StoreUnavailable, match="full"):
            await written

    run(body())


def test_a_file_that_may_only_be_read(tmp_path: Path) -> None:
    Store.open(url(tmp_path)).close()
    with pytest.raises(StoreUnavailable, match="read-only") as caught:
        Store.open(f"sqlite:///file:{tmp_path / 'placet.db'}?mode=ro&uri=true")
    assert caught.value.details["actual"] == "SQLITE_READONLY"


def test_no_database(tmp_path: Path) -> None:
    (tmp_path / "placet.db").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreUnavailable, match="damaged") as caught:
        Store.open(url(tmp_path))
    assert caught.value.details["actual"] == "SQLITE_NOTADB"


def damage(database: Path, table: str) -> None:
    """Write over the first page of a table or an index."""
    with sqlite3.connect(database) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        page = connection.execute(query, (table,)).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def test_a_damaged_page_is_named_and_takes_no_other_change_with_it(
    tmp_path: Path, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        Store.open(url(tmp_path)).close()
        damage(tmp_path / "placet.db", "secrets")
        store = Store.open(url(tmp_path))
        other = deletions.insert().values(digest="d", blob="b", done=0)
        results = await asyncio.gather(
            store.write(lambda c: c.execute(other).rowcount),
            store.write(insert("a")),
            store.write(lambda c: c.execute(sa.select(deletions.c.blob)).scalar()),
            store.read(lambda c: c.execute(sa.select(secrets.c.wrapped)).all()),
            return_exceptions=True,
        )
        assert [results[0], results[2]] == [1, "b"]
        for refusal in (results[1], results[3]):
            assert isinstance(refusal, StoreUnavailable)
            assert "damaged (SQLITE_CORRUPT)" in str(refusal)
        assert "trouble kind=damaged errno=SQLITE_CORRUPT table=secrets" in caplog.text
        await asyncio.to_thread(store.close)

    run(body())


def test_callers_are_told_of_a_damaged_page(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            await client.run(world.ticket("release"))
        damage(world.folder / "state" / "placet.db", "sqlite_autoindex_documents_1")
        async with Host(world.config(), world.launcher) as host:
            visitor, council = Visitor(host.address, host.certificate_pem), world.council
            ask = log_pb2.GetDocumentRequest(digest=council.digest)
            call = log_pb2_grpc.LogStub(visitor.channel).GetDocument(ask, metadata=world.metadata)
            login = visitor.log_in(council.name, "engineer", host.pin, council.submitter)
            for asked in (call, login):
                details = await refused(asked, "STORE_UNAVAILABLE")
                assert details["actual"] == "SQLITE_CORRUPT"
            await visitor.channel.close()

    run(body())
