# SPDX-License-Identifier: Apache-2.0
"""The store: order, savepoints, what outlives its caller; the certificate; the CPU's secret."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from placet.host import HostConfig, StateLocked, StateVersion
from placet.host.enclaves.launcher import load_cpu_secret
from placet.host.state import open_state
from placet.host.store.schema import SCHEMA_VERSION, meta, secrets
from placet.host.store.store import Store


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'placet.db'}"


def insert(name: str) -> Callable[[sa.Connection], int]:
    values = secrets.insert().values(name=name, wrapped=b"")
    return lambda connection: connection.execute(values).rowcount


def names(connection: sa.Connection) -> set[str]:
    return set(connection.execute(sa.select(secrets.c.name)).scalars())


def test_a_change_that_fails_takes_no_other_with_it(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        store = Store.open(url(tmp_path))
        results = await asyncio.gather(
            *(store.write(insert(name)) for name in ("a", "b", "a", "c")), return_exceptions=True
        )
        assert [isinstance(r, Exception) for r in results] == [False, False, True, False]
        assert await store.read(names) == {"a", "b", "c"}
        await asyncio.to_thread(store.close)

    run(body())


def test_what_memory_mirrors_follows_even_if_the_caller_has_gone(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        store, seen = Store.open(url(tmp_path)), list[int]()
        task = asyncio.ensure_future(store.write(insert("a"), then=seen.append))
        await asyncio.sleep(0)
        task.cancel()
        await store.write(insert("b"), then=seen.append)
        assert task.cancelled()
        assert seen == [1, 1]
        assert await store.read(names) == {"a", "b"}
        await asyncio.to_thread(store.close)

    run(body())


def test_closing_makes_durable_what_waits(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        store = Store.open(url(tmp_path))
        changes = [asyncio.ensure_future(store.write(insert(str(i)))) for i in range(600)]
        await asyncio.sleep(0)
        await asyncio.to_thread(store.close)
        await asyncio.gather(*changes)
        again = Store.open(url(tmp_path))
        assert len(await again.read(names)) == 600
        await asyncio.to_thread(again.close)

    run(body())


def test_it_is_durable_by_the_settings_that_make_it_so(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        store = Store.open(url(tmp_path))

        def pragma(name: str) -> Callable[[sa.Connection], object]:
            return lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar()

        for ask in (store.read, store.write):
            assert await ask(pragma("journal_mode")) == "wal"
            assert await ask(pragma("synchronous")) == 2
        await asyncio.to_thread(store.close)

    run(body())


def test_another_schema_is_not_opened(tmp_path: Path) -> None:
    Store.open(url(tmp_path)).close()
    engine = sa.create_engine(url(tmp_path))
    with engine.begin() as connection:
        assert connection.execute(sa.select(meta.c.value)).scalar() == SCHEMA_VERSION
        connection.execute(meta.update().values(value="0"))
    engine.dispose()
    with pytest.raises(StateVersion):
        Store.open(url(tmp_path))


def test_one_host_a_folder(tmp_path: Path) -> None:
    with open_state(tmp_path), pytest.raises(StateLocked), open_state(tmp_path):
        pass
    with open_state(tmp_path):
        pass


def test_the_cpu_keeps_its_secret_outside_the_state(tmp_path: Path) -> None:
    secret = load_cpu_secret(tmp_path / "cpu")
    assert len(secret) == 32
    assert load_cpu_secret(tmp_path / "cpu") == secret
    assert (tmp_path / "cpu" / "secret").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="outside"):
        HostConfig(tmp_path, tmp_path / "cpu", "origin")


@pytest.mark.parametrize(
    "settings",
    [
        {"listen": "nowhere"},
        {"listen": "127.0.0.1:70000"},
        {"origin": "with space"},
        {"max_workers": 0},
        {"spares": -1},
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings = {"origin": "o", **settings}
    with pytest.raises(ValueError):
        HostConfig(tmp_path / "s", tmp_path / "c", **settings)
