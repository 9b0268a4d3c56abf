# SPDX-License-Identifier: Apache-2.0
"""Workers of a simulating host are forks of one process: what they share, and what ends with
whom."""

import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from placet.attestation.simulation.root import SIMULATION_ROOT
from placet.host import EnclaveProcess, LaunchOrder, NativeLauncher, arguments
from tests.support.council import bundle_of
from tests.support.processes import processes

Order = Callable[[str], LaunchOrder]
PROGRAM = bundle_of({"main.py": "def main(job): pass\n"})


class Quoting:
    """A quoting service that says nothing, and counts the enclaves that it still serves."""

    def __init__(self) -> None:
        self.serving = 0

    def serve(self, enclave: str, launched_for: str, reader: BinaryIO, writer: BinaryIO) -> None:
        self.serving += 1
        while reader.read(64):
            pass
        self.serving -= 1

    def until_serving(self, count: int) -> None:
        until(lambda: self.serving == count)


@pytest.fixture
def order(tmp_path: Path) -> Iterator[Order]:
    """Orders of workers, named, whose host takes connections and never answers: they wait."""
    (tmp_path / "cert.pem").write_text(ssl.DER_cert_to_PEM_cert(SIMULATION_ROOT))
    (tmp_path / "bundle").write_bytes(PROGRAM)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def order(name: str) -> LaunchOrder:
            paths: dict[str, Any] = {
                "certificate": tmp_path / "cert.pem",
                "log": tmp_path / f"{name}.log",
                "bundle": tmp_path / "bundle",
                "scratch": tmp_path,
            }
            return LaunchOrder(role="worker", token=name, address=address, origin="", **paths)

        yield order


async def launch(launcher: NativeLauncher, order: LaunchOrder) -> EnclaveProcess:
    """A worker, once it is one to whoever looks at its command line."""
    worker = await launcher.launch(order)
    assert isinstance(worker, EnclaveProcess)
    until(lambda: b"worker" in processes()[worker.pid].arguments)
    return worker


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(process: int) -> bool:
    return process in processes()


def test_workers_are_forks_of_one_process_and_look_like_any(order: Order, run: Any) -> None:
    async def body() -> None:
        launcher = NativeLauncher(None, Quoting())
        first, second = [await launch(launcher, order(name)) for name in ("a", "b")]
        found = processes()
        parent = found[first.pid].parent
        assert found[second.pid].parent == parent
        assert found[parent].parent == os.getpid()
        for name, worker in (("a", first), ("b", second)):
            words = [sys.executable, "-I", "-m", "placet.enclave", *arguments(order(name))]
            shown = b"\0".join(found[worker.pid].arguments).rstrip(b"\0").decode()
            assert shown.split("\0") == [*words, "--simulated"]
            assert os.getsid(worker.pid) == worker.pid
        for worker in (first, second):
            worker.kill()
            assert await worker.wait() == -signal.SIGKILL

    run(body())


def test_a_worker_has_nothing_open_of_another_s(order: Order, run: Any) -> None:
    """It ends with its own input, and its channel with it, whoever was forked before and after."""

    async def body() -> None:
        service = Quoting()
        launcher = NativeLauncher(None, service)
        workers = [await launch(launcher, order(name)) for name in ("a", "b", "c")]
        service.until_serving(3)
        for left, worker in zip((2, 1, 0), workers, strict=True):
            worker.end()
            assert await worker.wait() == 75
            service.until_serving(left)

    run(body())


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may read an enclave's memory")
def test_neither_tokens_nor_handles_of_others_are_in_a_worker(order: Order, run: Any) -> None:
    async def body() -> None:
        launcher = NativeLauncher(None, Quoting())
        names = [f"token-of-{letter}" for letter in "abc"]
        workers = [await launch(launcher, order(name)) for name in names]
        parent = processes()[workers[0].pid].parent
        memory = [memory_of(process) for process in (parent, *(one.pid for one in workers))]
        parents, *own = [[name.encode() in one for name in names] for one in memory]
        assert parents == [False] * 3
        assert own == [[one == other for other in names] for one in names]
        assert not any("pidfd" in file for worker in workers for file in files_of(worker.pid))
        for worker in workers:
            worker.kill()
            await worker.wait()

    run(body())


def files_of(process: int) -> list[str]:
    """What a process has open."""
    return [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()]


def memory_of(process: int) -> bytes:
    """What a process has written into its memory."""
    found: list[bytes] = []
    with (
        Path(f"/proc/{process}/maps").open() as maps,
        Path(f"/proc/{process}/mem").open("rb", 0) as memory,
    ):
        for line in maps:
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(bound, 16) for bound in span.split("-"))
                memory.seek(start)
                found.append(memory.read(end - start))
    return b"".join(found)


def test_the_preloaded_process_dies(order: Order, run: Any) -> None:
    """Its workers are lost with it, and what comes next is forked from another one."""

    async def body() -> None:
        service = Quoting()
        launcher = NativeLauncher(None, service)
        workers = [await launch(launcher, order(name)) for name in ("a", "b")]
        os.kill(workers[1].pid, signal.SIGSTOP)  # it would not end by itself
        parent = processes()[workers[0].pid].parent
        os.kill(parent, signal.SIGKILL)
        assert [await worker.wait() for worker in workers] == [-signal.SIGKILL] * 2
        assert not any(alive(worker.pid) for worker in workers)
        until(lambda: not alive(parent))
        service.until_serving(0)
        for worker in workers:
            worker.kill()  # nobody's
        last = await launch(launcher, order("c"))
        assert processes()[last.pid].parent not in (parent, os.getpid(), 1)
        last.kill()
        assert await last.wait() == -signal.SIGKILL

    run(body())


def test_the_launcher_goes(order: Order, run: Any) -> None:
    """The preloaded process goes too, and takes along even what would not end by itself."""

    async def body() -> None:
        launcher = NativeLauncher(None, Quoting())
        worker = await launch(launcher, order("a"))
        parent = processes()[worker.pid].parent
        os.kill(worker.pid, signal.SIGSTOP)
        del launcher
        assert await worker.wait() == -signal.SIGKILL
        until(lambda: not alive(parent))

    run(body())


def test_hardware_is_asked_by_a_process_of_its_own(order: Order, run: Any) -> None:
    """Nothing is forked where nothing is simulated."""

    async def body() -> None:
        before = set(processes())  # launchers of other tests may have left some
        worker = await NativeLauncher(None, None).launch(order("a"))
        assert await worker.wait() == 78
        new = {pid: one for pid, one in processes().items() if pid not in before}
        assert not any(one.forks and one.parent == os.getpid() for one in new.values())

    run(body())
