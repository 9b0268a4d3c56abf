# SPDX-License-Identifier: Apache-2.0
"""A worker's last word arrives, though it is told twice to end."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from placet.enclave.connection import Connection
from placet.enclave.worker import leaving
from placet.proto.v1 import common_pb2, enclaves_pb2
from tests.support.memory_host import memory_host

STOPPED = common_pb2.Refusal(reason=common_pb2.REASON_STOPPED)
LEASE = "sha256:" + "ab" * 32


def test_a_second_reason_does_not_cut_off_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop is pushed, and at the same moment a renewal is refused for it."""
    said_at_exit, left = list[dict[str, common_pb2.Refusal]](), threading.Event()

    async def story() -> None:
        async with memory_host(tmp_path) as host:

            def leave(code: int) -> None:
                said_at_exit.append(dict(host.ended))
                left.set()

            monkeypatch.setattr(leaving, "os", SimpleNamespace(_exit=leave))

            async def stopped(frame: enclaves_pb2.Frame) -> None:
                renewal = asyncio.create_task(leaving.end(connection, LEASE, STOPPED))
                await leaving.end(connection, LEASE, STOPPED)
                await renewal

            connection = Connection(host.address, host.certificate, "w", stopped)
            await connection.attach("worker")
            host.links["w"].send(enclaves_pb2.KIND_STOPPED, b"")
            async with asyncio.timeout(20):
                while not left.is_set():
                    await asyncio.sleep(0.01)

    asyncio.run(story())
    assert said_at_exit == [{LEASE: STOPPED}]
