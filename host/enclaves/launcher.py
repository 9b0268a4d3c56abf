# SPDX-License-Identifier: Apache-2.0
"""Starting an enclave: the one interface that tells a process, a container and a machine apart.

`NativeLauncher` runs enclaves as processes of this machine (`gramine.py` has the others).
It owns the simulated quoting service, if attestation is simulated, which speaks to each enclave
over the process's stdin and stdout. A process ends when its stdin does, so none outlives its host.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from placet.builds.measurement import interpreter, measure
from placet.host.enclaves.attach import WORKER
from placet.host.enclaves.children import Child, Spawned
from placet.host.enclaves.forks import Forks
from placet.host.simulation.service import SimulatedQuotingService
from placet.host.store.durable import sync_folder, write_durable

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """What to start. `launched_for` is the digest that the enclave is launched for; empty: none.

    `variant` "onnx" is a worker that serves models; any other enclave has none. `bundle` and
    `scratch` are set for workers. `log` is the file that stderr is appended to.
    """

    role: str
    token: str
    address: str
    certificate: Path
    origin: str
    log: Path
    launched_for: str = ""
    bundle: Path | None = None
    scratch: Path | None = None
    variant: str = ""

    @property
    def enclave(self) -> str:
        """The name that the enclave is measured under."""
        return f"{self.role}[{self.variant}]" if self.variant else self.role


class Running(Protocol):
    """An enclave that was started."""

    async def wait(self) -> int:
        """Its exit code once it has ended; negative: the signal that ended it."""
        ...

    def end(self) -> None:
        """Ask it to end: it sees its channel closed."""

    def kill(self) -> None:
        """End it now."""


class Launcher(Protocol):
    """Starts enclaves. An exception means that nothing was started."""

    async def launch(self, order: LaunchOrder) -> Running:
        """Start the enclave; return once it exists, which is before it has attached."""
        ...


class QuotingService(Protocol):
    """What stands for the CPU. `serve` returns when the enclave closes its end."""

    def serve(self, enclave: str, launched_for: str, reader: BinaryIO, writer: BinaryIO) -> None:
        """Answer one enclave, which was launched under this name for this digest."""


class EnclaveProcess:
    """A process of this machine. Two threads of its own: one waits for it, one serves its
    channel."""

    def __init__(
        self,
        start: Callable[[BinaryIO], Child],
        order: LaunchOrder,
        service: QuotingService | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        order.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with order.log.open("ab") as log:
            self._process = start(log)
        self._service = service
        self._order = order
        self._loop = loop
        self._exit: asyncio.Future[int] = loop.create_future()
        threading.Thread(target=self._wait, name="placet-wait", daemon=True).start()
        if service is not None:
            threading.Thread(target=self._serve, name="placet-quote", daemon=True).start()

    @classmethod
    async def start(
        cls,
        argv: list[str],
        order: LaunchOrder,
        service: QuotingService | None = None,
        folder: Path | None = None,
    ) -> "EnclaveProcess":
        """Start a process, in a folder if one is given. Raises OSError."""
        return await cls.by(
            lambda log: Spawned(argv, log, service is not None, folder), order, service
        )

    @classmethod
    async def by(
        cls, start: Callable[[BinaryIO], Child], order: LaunchOrder, service: QuotingService | None
    ) -> "EnclaveProcess":
        """Start a process in some way, given its log. Raises OSError."""
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(cls, start, order, service, loop)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        return await asyncio.shield(self._exit)

    def end(self) -> None:
        _close(self._process.stdin)

    def kill(self) -> None:
        self._process.kill()

    def _wait(self) -> None:
        code = self._process.wait()
        _close(self._process.stdin)
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(self._tell, code)

    def _tell(self, code: int) -> None:
        if not self._exit.done():
            self._exit.set_result(code)

    def _serve(self) -> None:
        reader, writer = self._process.stdout, self._process.stdin
        assert self._service is not None
        assert reader is not None
        try:
            self._service.serve(self._order.enclave, self._order.launched_for, reader, writer)
        except Exception:  # noqa: BLE001
            self.kill()  # an enclave without a CPU is of no use
        finally:
            _close(reader)


class NativeLauncher:
    """Runs `<python> -I -m placet.enclave`: with a service under simulated attestation, else under
    this machine's own.

    `build` is the folder whose interpreters and packages run (`make enclave`); None: this
    interpreter and what is installed for it, a development build. `collateral` is the file that
    hardware evidence is completed with.
    """

    def __init__(
        self,
        build: Path | None,
        service: QuotingService | None,
        collateral: Path | None = None,
    ) -> None:
        self._build = build
        self._service = service
        self._collateral = collateral
        self._forks = Forks()

    async def launch(self, order: LaunchOrder) -> Running:
        enclave, words = [*self._python(order.enclave), "-m", "placet.enclave"], arguments(order)
        if self._service is not None:
            words.append("--simulated")
            # An authority is started once, and has nothing in common with what runs programs.
            if order.role == WORKER:
                fork = partial(self._forks.start, enclave, words)
                return await EnclaveProcess.by(fork, order, self._service)
        elif self._collateral is not None:
            words += ["--collateral", str(self._collateral.absolute())]
        return await EnclaveProcess.start([*enclave, *words], order, self._service)

    def _python(self, enclave: str) -> list[str]:
        if self._build is None:
            return [sys.executable, "-I"]
        # Nothing is written into a build: its compiled modules were made with it.
        return [str(interpreter(self._build, enclave)), "-I", "-B"]


def simulated_cpu(build: Path | None, folder: Path) -> SimulatedQuotingService:
    """The simulated CPU whose secret lies in a folder, made if there is none; measures the
    build."""
    return SimulatedQuotingService(
        load_cpu_secret(folder), measurer=lambda enclave: measure(enclave, build)
    )


def arguments(order: LaunchOrder) -> list[str]:
    """An enclave's command line for an order."""
    argv = [order.role, "--host", order.address, "--cert", str(order.certificate)]
    argv += ["--token", order.token]
    if order.role != WORKER:
        return [*argv, "--origin", order.origin]
    return [*argv, "--bundle", str(order.bundle), "--scratch", str(order.scratch)]


def load_cpu_secret(folder: Path) -> bytes:
    """The 32 random bytes that stand for what a CPU has fused in; made if there are none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "secret"
    if not path.exists():
        write_durable(path, os.urandom(_SECRET_BYTES), mode=0o600)
        sync_folder(folder.parent)
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        raise ValueError(f"{path} must hold {_SECRET_BYTES} bytes.")
    return secret


def _close(file: BinaryIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        file.close()
