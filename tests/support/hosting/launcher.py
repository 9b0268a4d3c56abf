# SPDX-License-Identifier: Apache-2.0
"""A launcher of real enclaves: the authority runs in the process of the host, and what a worker
does is the test's to say."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from placet.attestation import Attester
from placet.enclave.__main__ import EXIT_FAULT, EXIT_HOST_GONE
from placet.enclave.authority.clock import Clock, passed
from placet.enclave.authority.main import run_authority
from placet.enclave.connection import Connection
from placet.host import EnclaveProcess, LaunchOrder, Running, arguments
from placet.proto.frames import Handler
from placet.proto.v1 import enclaves_pb2
from tests.support.machines.machine import Machine

WORKER = Path(__file__).parent / "scripted_worker.py"


class AuthorityHere:
    """An authority that lives in this process, and is killed by ending it where it is."""

    def __init__(self, order: LaunchOrder, attester: Attester) -> None:
        where = (order.address, order.certificate.read_bytes(), order.token, order.origin)
        self._life = asyncio.ensure_future(run_authority(*where, attester))
        self._code = 0

    async def wait(self) -> int:
        await asyncio.wait([self._life])
        failed = not self._life.cancelled() and self._life.exception() is not None
        return EXIT_FAULT if failed else self._code

    def end(self) -> None:
        self._end(EXIT_HOST_GONE)

    def kill(self) -> None:
        self._end(-signal.SIGKILL)

    def _end(self, code: int) -> None:
        if not self._life.done():
            self._code = code
            self._life.cancel()


class ScriptedLauncher:
    """Starts enclaves, and remembers what it started."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.started: list[tuple[LaunchOrder, Any]] = []

    async def launch(self, order: LaunchOrder) -> Running:
        enclave: Running
        if order.role == "worker":
            argv = [sys.executable, "-I", str(WORKER), *arguments(order), "--simulated"]
            enclave = await EnclaveProcess.start(argv, order, self.machine)
        else:
            enclave = AuthorityHere(order, self.machine.attester(order.role))
        self.started.append((order, enclave))
        return enclave

    def running(self, role: str) -> list[Any]:
        """Those of a role, oldest first."""
        return [enclave for order, enclave in self.started if order.role == role]


class Tap:
    """What a test does at the connections of authorities that begin, and to their clocks.

    asked: awaited with each frame of the host's before the authority has it. stored: awaited with
    each step that the host has stored, before the authority hears of it. ahead: seconds by which
    the authority's clock is ahead.
    """

    def __init__(self) -> None:
        self.asked: Callable[[enclaves_pb2.Frame], Awaitable[None]] = _pass
        self.stored: Callable[[enclaves_pb2.Commit], Awaitable[None]] = _pass
        self.ahead = 0.0

    def clock(self, now: Callable[[], float]) -> Clock:
        return Clock(lambda: now() + self.ahead, lambda: passed() + self.ahead)

    def connection(
        self, address: str, certificate: bytes, token: str, handle: Handler
    ) -> Connection:
        async def tapped(frame: enclaves_pb2.Frame) -> Any:
            await self.asked(frame)
            return await handle(frame)

        connection = Connection(address, certificate, token, tapped)
        link: Any = connection.link
        request = link.request

        async def requested(kind: int, message: Any, **options: Any) -> bytes:
            reply: bytes = await request(kind, message, **options)
            if kind == enclaves_pb2.KIND_COMMIT:
                await self.stored(message)
            return reply

        link.request = requested
        return connection


async def _pass(_: object) -> None:
    """Nothing is held."""
