# SPDX-License-Identifier: Apache-2.0
"""The machine that a host runs on, as faults need it: a host process that is killed and started
again, the line to it, and a disk that can be filled."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from placet.client import Client, CouncilMemory, Keys
from placet.refusals import Refusal
from tests.conftest import World

MIB = 1 << 20
DISK = 512 * MIB
MIN_FREE = 24 * MIB
_PIECE = 64 * 1024


class Line:
    """A TCP relay between clients and the host, which can be cut. Enclaves do not go through it.

    The host sees those who come over it at the address `source`.
    """

    def __init__(self, source: str) -> None:
        self._source = source, 0
        self.target: tuple[str, int] = ("", 0)
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def cut(self) -> int:
        """Reset every connection that is open; how many these were."""

        async def reset() -> int:
            for writer in (count := list(self._open)):
                writer.transport.abort()
            return len(count)

        return asyncio.run_coroutine_threadsafe(reset(), self._loop).result(10)

    async def _serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._relay, "127.0.0.1", 0)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self.target, local_addr=self._source)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, back}
        self._open |= both
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(reader, back))
                pumps.create_task(_pump(there, writer))
        except* OSError:
            pass
        finally:
            self._open -= both
            for one in both:
                one.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(_PIECE):
        sink.write(piece)
        await sink.drain()
    raise ConnectionResetError


class Disk:
    """A small file system of its own for the host's state, which can be filled; where none can be
    mounted, the state lies on the machine's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "placet-fault", str(folder)]
        self.small = subprocess.run(command, check=False, capture_output=True).returncode == 0

    def close(self) -> None:
        """Give the file system back, with all that lies on it."""
        if self.small:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @contextlib.contextmanager
    def filled(self) -> Generator[None]:
        """Nothing more can be written in the block."""
        assert self.small
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(_PIECE))
            yield
        finally:
            ballast.unlink()


class Machine(World):
    """A council on a host of its own settings, reached over a line that can be cut."""

    def __init__(
        self, folder: Path, options: Sequence[str] = (), source: str = "127.0.0.1"
    ) -> None:
        super().__init__(folder, max_workers=5)
        self.options = options
        self.line, self.disk = Line(source), Disk(folder / "host")
        self.memories: dict[str, CouncilMemory] = {}
        self._listen: str = "127.0.0.1:0"

    def start(self, *, founding: bool = True) -> "Machine":
        """Start a host on the folder, and wait until its authority answers."""
        self.launch()
        self.address = self.line.address
        if not hasattr(self, "client"):
            self.client = Client.connect(
                self.address, self.pin, memory=self.memory, simulated=True, keys=self.analyst
            )
        self.until_answered(self.evidence)
        if founding and not self.memory.log:
            self.found(self.constitution())
        return self

    def launch(self) -> None:
        """Start the process; returns once it listens."""
        command = [sys.executable, "-m", "placet.host", "--listen", self._listen]
        command += ["--state", str(self.folder / "host"), "--cpu", str(self.folder / "cpu")]
        command += ["--origin", "fault.test/log", "--max-workers", str(self.max_workers)]
        command += ["--min-free", str(MIN_FREE), *self.options]
        with (self.folder / "host.err").open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout is not None
        said = dict(line.split() for line in (self.process.stdout.readline() for _ in range(2)))
        self._listen, self.pin = said["address"], said["pin"]
        host, _, port = self._listen.rpartition(":")
        self.line.target = host, int(port)

    def evidence(self) -> object:
        """Ask the authority for something that only it can answer."""
        return self.client.authority.evidence("" if self.memory.log else "sha256:" + "00" * 32)

    @property
    def listening(self) -> str:
        """Where the host itself is, without the line."""
        return self._listen

    def connect(self, name: str, keys: Keys | None = None) -> Client:
        """Somebody's own connection, which remembers what it saw; the analyst's, if nobody's."""
        memory = self.memories[name] = CouncilMemory(self.folder / "homes" / name)
        charter = self.client.log.charter
        return Client.connect(
            self.address,
            self.pin,
            charter=charter,
            memory=memory,
            simulated=True,
            keys=keys or self.analyst,
        )

    def kill(self) -> None:
        """SIGKILL to the host; its enclaves end because it has."""
        self.process.kill()
        self._ended()

    def stop(self) -> None:
        """Ask the host to end."""
        self.process.send_signal(signal.SIGTERM)
        self._ended()

    def processes(self, role: str) -> list[int]:
        """The ids of the host, of its authority or of its workers."""
        return [self.process.pid] if role == "host" else self.enclaves(role)

    def until_well(self, patience: float) -> float | None:
        """Wait until the authority answers; how many seconds that took, or None if it does not."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < patience:
            with contextlib.suppress(Refusal):
                self.evidence()
                return passed
            time.sleep(0.02)
        return None

    def _ended(self) -> None:
        self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def paused(*processes: int) -> Generator[None]:
    """These processes stand still in the block."""
    _signal(signal.SIGSTOP, *processes)
    try:
        yield
    finally:
        _signal(signal.SIGCONT, *processes)


def killed(*processes: int) -> None:
    """SIGKILL; a process that is gone is passed over."""
    _signal(signal.SIGKILL, *processes)


def _signal(number: int, *processes: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
