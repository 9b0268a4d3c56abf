# SPDX-License-Identifier: Apache-2.0
"""The workers: as many as jobs wait for, a few spares, never more than the bound.

A worker is started for one program and serves one lease. `balance` compares what is wanted with
what there is; it is called whenever either changed, and nothing polls. A program whose workers do
not get as far as joining is tried again ever more slowly, and after a few failures its jobs are
told.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from placet.host.blobs.blob_store import BlobStore
from placet.host.documents import TicketFacts
from placet.host.enclaves.attach import WORKER, Enclaves, Session
from placet.host.enclaves.launcher import Launcher, LaunchOrder
from placet.host.enclaves.supervisor import END_SECONDS, end_soon
from placet.host.errors import BlobError, WorkerUnavailable
from placet.host.placement.backoff import Backoff
from placet.host.placement.worker import Phase, Worker
from placet.host.tasks import Tasks
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2, enclaves_pb2

_JOIN_SECONDS = 60.0
_MAX_FAILURES = 3
_LAPSE_MARGIN = 60.0
_log = logging.getLogger("placet.host.pool")


@dataclass(frozen=True, slots=True)
class Want:
    """How many workers of a program are wanted: for jobs that wait, and as spares."""

    program: str
    queued: int
    spares: int


@dataclass(frozen=True, slots=True)
class PoolNeeds:
    """What the pool asks of the rest of the host.

    `wants` in order of importance, empty while no authority is attached; `order` makes a launch
    order; `expected` names the ticket that a worker of a program will most likely get a lease for,
    so that it can read it while it is idle; `ready` is called when a worker became free;
    `unavailable` when none can be started for a program.
    """

    wants: Callable[[], list[Want]]
    order: Callable[[Worker], LaunchOrder]
    expected: Callable[[str], common_pb2.Ticket | None]
    ready: Callable[[], None]
    unavailable: Callable[[str, common_pb2.Refusal], None]


class Pool:
    """See the module."""

    def __init__(
        self,
        launcher: Launcher,
        enclaves: Enclaves,
        blobs: BlobStore,
        needs: PoolNeeds,
        *,
        folder: Path,
        max_workers: int,
    ) -> None:
        self._launcher = launcher
        self._enclaves = enclaves
        self._blobs = blobs
        self._needs = needs
        self._folder = folder
        self._max = max_workers
        self._workers: dict[str, Worker] = {}  # by token
        self._backoff = Backoff(self.balance)
        self._tasks = Tasks()
        self._closed = False

    def find(self, session: Session) -> Worker | None:
        """The worker behind a stream."""
        return self._workers.get(session.token)

    def take(self, program: str, job: str) -> Worker | None:
        """A free worker for a job, or None. The caller ends by `release` or by waiting for its
        exit."""
        for worker in self._workers.values():
            if worker.phase is Phase.READY and worker.program == program:
                worker.phase, worker.job = Phase.BUSY, job
                worker.cancel_timers()
                return worker
        return None

    def release(self, worker: Worker) -> None:
        """Give a worker back that no lease was given to."""
        if worker.phase is Phase.BUSY:
            worker.phase, worker.job = Phase.READY, ""

    def dismiss(self, worker: Worker) -> None:
        """End a worker."""
        worker.dismissed = True
        self.expect_exit(worker)
        if worker.process is not None:
            end_soon(worker.process)

    def expect_exit(self, worker: Worker) -> None:
        """The worker is done, and is killed if it does not end by itself soon."""
        worker.phase = Phase.LEAVING
        worker.cancel_timers()
        if worker.process is not None:
            loop = asyncio.get_running_loop()
            worker.timers.append(loop.call_later(2 * END_SECONDS, worker.process.kill))

    def finished(self, job: str) -> None:
        """A job has ended: the worker that had it has nothing left to do."""
        for worker in self._workers.values():
            if worker.job == job and worker.phase is Phase.BUSY:
                self.expect_exit(worker)

    def retire(self, job: str, refusal: common_pb2.Refusal) -> None:
        """End the worker that has a job, for this reason."""
        for worker in self._workers.values():
            if worker.job == job and worker.phase is Phase.BUSY:
                worker.refusal = worker.refusal or refusal
                self.dismiss(worker)

    def dismiss_all(self) -> None:
        """End every worker: their authority is gone."""
        for worker in list(self._workers.values()):
            self.dismiss(worker)

    async def close(self) -> None:
        """End every worker and return when they have ended."""
        self._closed = True
        self.dismiss_all()
        self._backoff.keep(set())
        await self._tasks.wait()

    def attached(self, session: Session) -> None:
        """A worker has said hello."""
        worker = self._workers.get(session.token)
        if worker is not None:
            worker.session = session

    def detached(self, session: Session) -> None:
        """A worker's stream has ended: it ends, or is ended."""
        worker = self._workers.get(session.token)
        if worker is not None:
            self.expect_exit(worker)

    def joined(self, session: Session, joined: enclaves_pb2.Joined) -> None:
        """The authority let a worker join."""
        worker = self._workers.get(session.token)
        if worker is None or worker.phase is not Phase.STARTING:
            return
        if joined.bound_to != worker.program:
            _log.error("bound-elsewhere enclave=%s", session.enclave)
            self.dismiss(worker)
            return
        worker.identity, worker.phase = joined.worker, Phase.READY
        worker.cancel_timers()
        left = joined.lapses - time.time()
        loop = asyncio.get_running_loop()
        worker.timers.append(
            loop.call_later(left - min(_LAPSE_MARGIN, left / 10), self._lapse, worker)
        )
        self._backoff.joined(worker.program)
        _log.info("ready enclave=%s program=%s", session.enclave, worker.program)
        expected = self._needs.expected(worker.program)
        if expected is not None and not session.link.closed:
            session.link.send(enclaves_pb2.KIND_EXPECT, expected)
        self._needs.ready()

    def balance(self) -> None:
        """Start and end workers until there are as many as are wanted and allowed."""
        if self._closed:
            return
        wants = self._needs.wants()
        programs = {want.program for want in wants}
        for worker in list(self._workers.values()):
            if wants and worker.phase is Phase.READY and worker.program not in programs:
                self.dismiss(worker)
        if wants:
            self._backoff.keep(programs)
        for want in wants:
            self._provide(want, wants)

    def _provide(self, want: Want, wants: list[Want]) -> None:
        if self._backoff.blocked(want.program):
            return
        have = sum(w.waiting and w.program == want.program for w in self._workers.values())
        while have < max(want.queued, want.spares):
            if len(self._workers) >= self._max:
                if have < want.queued:
                    self._make_room({w.program for w in wants if w.queued} | {want.program})
                return
            self._start(want.program)
            have += 1

    def _make_room(self, needed: set[str]) -> None:
        """Let one spare go that no job waits for; its exit balances again."""
        if any(worker.phase is Phase.LEAVING for worker in self._workers.values()):
            return
        for worker in self._workers.values():
            if worker.phase is Phase.READY and worker.program not in needed:
                self.dismiss(worker)
                return

    def _start(self, program: str) -> None:
        token = self._enclaves.admit(WORKER)
        folder = self._folder / f"worker-{token[:16]}"
        exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        worker = Worker(program, token, folder, exited)
        self._workers[token] = worker
        self._tasks.spawn(self._live(worker))

    async def _live(self, worker: Worker) -> None:
        code: int | None = None
        refusal = refusal_of(WorkerUnavailable("The program's worker ended before it had joined."))
        try:
            await asyncio.to_thread(self._prepare, worker)
            worker.process = await self._launcher.launch(self._needs.order(worker))
            if worker.dismissed:
                end_soon(worker.process)
            elif worker.phase is Phase.STARTING:
                loop = asyncio.get_running_loop()
                worker.timers.append(loop.call_later(_JOIN_SECONDS, worker.process.kill))
            code = await worker.process.wait()
        except BlobError as error:
            refusal = refusal_of(error)
        except Exception as error:  # noqa: BLE001
            _log.error("launch-failed kind=%s", type(error).__name__)
        failed = not worker.identity and not worker.dismissed
        worker.cancel_timers()
        self._enclaves.revoke(worker.token)
        del self._workers[worker.token]
        await asyncio.to_thread(shutil.rmtree, worker.folder, True)
        _log.info("exited token=%s code=%s", worker.token[:16], code)
        worker.exited.set_result(code)
        if failed:
            self._failed(worker.program, refusal)
        self.balance()

    def _prepare(self, worker: Worker) -> None:
        (worker.folder / "scratch").mkdir(mode=0o700, parents=True)
        bundle = TicketFacts("", worker.program, 0, 0).bundle
        self._blobs.copy(bundle, worker.folder / "bundle", worker.program)

    def _lapse(self, worker: Worker) -> None:
        if worker.phase is Phase.READY:
            _log.info("lapsing token=%s", worker.token[:16])
            self.dismiss(worker)

    def _failed(self, program: str, refusal: common_pb2.Refusal) -> None:
        count = self._backoff.failed(program)
        _log.warning("start-failed program=%s count=%d", program, count)
        if count >= _MAX_FAILURES or refusal.reason != common_pb2.REASON_WORKER_UNAVAILABLE:
            self._needs.unavailable(program, refusal)
