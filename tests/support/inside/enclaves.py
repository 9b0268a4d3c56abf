# SPDX-License-Identifier: Apache-2.0
"""The real enclaves in this process: the authority in the host's event loop, workers in threads.

Left out is what would end the process of the tests, or silence it: exit codes, the kernel's timer,
and the guard of programs. What they verify, judge, sign and seal is theirs.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest

from placet.enclave import _kernel
from placet.enclave.authority import main as authority_main
from placet.enclave.authority.service import Authority
from placet.enclave.worker import leaving, program, renewing, running
from placet.enclave.worker import main as worker_main
from placet.enclave.worker.bundle import Bundle
from placet.enclave.worker.federation import round as round_task
from placet.enclave.worker.inference import task as inference_task
from placet.enclave.worker.inference.batching import Delivered
from placet.enclave.worker.inference.questions import Question
from placet.enclave.worker.inference.serving import Serving
from placet.enclave.worker.inference.sessions import UserSession
from placet.enclave.worker.job import Job
from placet.host.enclaves.launcher import LaunchOrder, Running
from placet.proto.tensors import Tensor
from placet.proto.v1 import enclaves_pb2
from tests.support.machines.machine import Machine

_GONE = 75
_living: ContextVar["AuthorityTask | None"] = ContextVar("_living", default=None)
_threads = threading.local()  # .worker: the one whose thread it is
_loops: dict[asyncio.AbstractEventLoop, "WorkerThread"] = {}


class Left(BaseException):
    """Raised where a process would end."""


class AuthorityTask:
    """An authority in the host's event loop."""

    def __init__(
        self, order: LaunchOrder, machine: Machine, lives: Callable[[Authority], None]
    ) -> None:
        self.lives = lives
        attester, certificate = machine.attester("authority"), order.certificate.read_bytes()
        before = _living.set(self)
        self._task = asyncio.create_task(
            authority_main.run_authority(
                order.address, certificate, order.token, order.origin, attester
            )
        )
        _living.reset(before)

    async def wait(self) -> int:
        await asyncio.wait([self._task])
        return _GONE

    def end(self) -> None:
        self._task.cancel()

    kill = end


class WorkerThread:
    """A worker in a thread, and the event loop of its stream in another, as in its process."""

    def __init__(self, order: LaunchOrder, machine: Machine) -> None:
        self._order = order
        self._over = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[int] = self._loop.create_future()
        self.worker: Any = None  # once it has been made
        self.serving: Any = None  # once it serves
        self.asked: list[tuple[str, int, int]] = []  # user, counter and rows of each question
        self.refusals: list[Exception] = []  # it refuses its next questions so, and seals that
        self.lied: dict[str, Any] | None = None  # its answers are these arrays
        self.deaf = False  # the host does not pass on that it was stopped
        attester = machine.attester(order.enclave, order.launched_for)
        self._thread = threading.Thread(target=self._run, args=(attester,), daemon=True)
        self._thread.start()

    @property
    def member(self) -> Any:
        """Its keys, and whom it has joined."""
        return self.worker._joined.result()

    def call(self, function: Callable[[], Any]) -> Any:
        """Do something in the event loop of its stream."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.worker._loop).result(10)

    def renew(self) -> None:
        """A new offer, as with every renewal of its lease; returns once the host has it."""

        async def run() -> None:
            self.serving._offer()
            # Behind it on the stream.
            hello = enclaves_pb2.JoinHello(nonce=os.urandom(32))
            link = self.worker._connection.link
            await link.request(enclaves_pb2.KIND_JOIN_HELLO, hello, peer="authority")

        asyncio.run_coroutine_threadsafe(run(), self.worker._loop).result(20)

    def _run(self, attester: Any) -> None:
        _threads.worker, order, code = self, self._order, 1
        assert order.bundle is not None and order.scratch is not None
        certificate = order.certificate.read_bytes()
        given = (order.address, certificate, order.token, attester, order.bundle, order.scratch)
        with contextlib.suppress(Left, Exception):
            code = worker_main.run_worker(*given)
        self.left(code)
        if self.worker is not None:
            self.worker._loop.call_soon_threadsafe(self.worker._loop.stop)

    def left(self, code: int) -> None:
        """It has ended with this code, whatever it was doing or waiting for."""
        self._over.set()
        if self.worker is not None:
            self.worker._loop.call_soon_threadsafe(self._cancel)
        with contextlib.suppress(RuntimeError):  # the host has ended before it
            self._loop.call_soon_threadsafe(self._tell, code)

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self.worker._loop):
            task.cancel()
        if self._thread.is_alive():  # it may begin something else, and a process would be gone
            self.worker._loop.call_later(0.05, self._cancel)

    def _tell(self, code: int) -> None:
        if not self._exit.done():
            self._exit.set_result(code)

    def join(self) -> None:
        """Wait until nothing of it runs any more."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        while self.worker is not None and self.worker._loop.is_running():
            time.sleep(0.01)

    def serve(self) -> None:
        """Nothing more is done in its thread until it has ended."""
        self._over.wait()
        raise Left

    async def wait(self) -> int:
        return await asyncio.shield(self._exit)

    def end(self) -> None:
        connection = getattr(self.worker, "_connection", None)
        if connection is not None:
            self.worker._loop.call_soon_threadsafe(connection.link.close)
        self.left(_GONE)

    kill = end


class ThreadLauncher:
    """Starts enclaves here, all on one simulated machine; the newest are the last."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.workers: list[WorkerThread] = []
        self.authority: Authority  # the one that lives
        self.lives = asyncio.Event()
        self.free = asyncio.Event()  # while it is not set, workers are waited for
        self.free.set()
        self._task: AuthorityTask

    async def launch(self, order: LaunchOrder) -> Running:
        if order.role == "authority":
            self._task = AuthorityTask(order, self._machine, self._lives)
            return self._task
        await self.free.wait()
        self.workers.append(WorkerThread(order, self._machine))
        return self.workers[-1]

    def _lives(self, authority: Authority) -> None:
        self.authority = authority
        self.lives.set()

    def end_authority(self) -> None:
        """The host starts another one."""
        self.lives.clear()
        self._task.end()


# What stands in place of parts of the enclaves' modules, and does as they do for all but those that
# live here.


def _worker() -> WorkerThread | None:
    """Whose thread, or whose event loop, this is."""
    found: WorkerThread | None = getattr(_threads, "worker", None)
    if found is None:
        with contextlib.suppress(RuntimeError):
            found = _loops.get(asyncio.get_running_loop())
    return found


class _Authority(Authority):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if (task := _living.get()) is not None:
            task.lives(self)


class _Worker(worker_main.Worker):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if (worker := _worker()) is not None:
            worker.worker, _loops[self._loop] = self, worker

    async def _handle(self, frame: enclaves_pb2.Frame) -> Any:
        worker = _worker()
        if frame.kind == enclaves_pb2.KIND_STOPPED and worker is not None and worker.deaf:
            return None
        return await super()._handle(frame)


class _Serving(Serving):
    """Notes what it is asked; a test may have it refuse or lie."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._worker = _worker()
        if (worker := self._worker) is not None:
            worker.serving, ask = self, self._batcher.ask

            def noted(question: Question) -> None:
                ask(question)
                worker.asked.append((question.user, question.context.counter, question.rows))

            vars(self._batcher)["ask"] = noted

    def _check(self, session: UserSession, content: bytearray) -> None:
        super()._check(session, content)
        if self._worker is not None and self._worker.refusals:
            raise self._worker.refusals.pop(0)

    def _deliver(self, delivered: Sequence[Delivered]) -> None:
        if self._worker is not None and self._worker.lied is not None:
            arrays = self._worker.lied.items()
            tensors = tuple(
                Tensor(name, str(a.dtype), a.shape, memoryview(a.tobytes())) for name, a in arrays
            )
            delivered = [(question, tensors) for question, _ in delivered]
        super()._deliver(delivered)


def _exit(code: int) -> None:
    worker = _worker()
    if worker is None:
        os._exit(code)
    else:
        worker.left(code)
        raise Left


def _run_program(bundle: Bundle, job: Job) -> dict[str, bytearray]:
    """Run `main(job)` without the guard, which holds for a whole process."""
    if _worker() is None:
        return program.run_program(bundle, job)
    names: dict[str, Any] = {}
    exec(compile(bundle.files["main.py"], "main.py", "exec"), names)  # noqa: S102
    names["main"](job)
    return job.written()


def _exit_at(seconds: float, code: int) -> None:
    if _worker() is None:
        _kernel.exit_at(seconds, code)


def _silence() -> None:
    if _worker() is None:
        program.silence()


def _event() -> Any:
    """What a worker that serves waits for."""
    worker = _worker()
    return threading.Event() if worker is None else SimpleNamespace(wait=worker.serve)


@contextlib.contextmanager
def in_threads() -> Generator[None]:
    """While this lasts, `ThreadLauncher` works."""
    exits = SimpleNamespace(_exit=_exit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority_main, "Authority", _Authority)
        patch.setattr(worker_main, "Worker", _Worker)
        patch.setattr(worker_main, "os", exits)
        patch.setattr(leaving, "os", exits)
        patch.setattr(renewing, "_kernel", SimpleNamespace(exit_at=_exit_at))
        patch.setattr(running, "run_program", _run_program)
        patch.setattr(round_task, "silence", _silence)
        patch.setattr(inference_task, "silence", _silence)
        patch.setattr(inference_task, "threading", SimpleNamespace(Event=_event))
        patch.setattr(inference_task, "Serving", _Serving)
        yield
        for worker in _loops.values():  # what ends later ends the process
            worker.join()
