# SPDX-License-Identifier: Apache-2.0
"""The workers that there are: each is started for one program, serves one lease, and is gone with
its process."""

import asyncio
import logging
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from placet.host.blobs.blob_store import BlobStore
from placet.host.documents import bundle_of
from placet.host.enclaves.attach import WORKER, Session, Tokens
from placet.host.enclaves.last_words import in_words, last_words
from placet.host.enclaves.launcher import Launcher, LaunchOrder
from placet.host.enclaves.supervisor import Ended
from placet.host.logs import kind_of
from placet.host.placement.worker import Phase, Worker
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2
from placet.refusals import (
    BlobDigest,
    BlobIncomplete,
    BlobNotFound,
    BlobTooLarge,
    WorkerUnavailable,
)

_log = logging.getLogger("placet.host.workers")


class Workers:
    def __init__(
        self,
        launcher: Launcher,
        tokens: Tokens,
        blobs: BlobStore,
        order: Callable[[Worker], LaunchOrder],
        folder: Path,
        ended: Ended,
    ) -> None:
        self._launcher = launcher
        self._tokens = tokens
        self._blobs = blobs
        self._order = order
        self._folder = folder
        self._ended = ended
        self._workers: dict[str, Worker] = {}  # by token

    @property
    def all(self) -> Collection[Worker]:
        """Every worker, the oldest first."""
        return self._workers.values()

    def of(self, session: Session) -> Worker | None:
        """The worker behind a stream."""
        return self._workers.get(session.token)

    def busy_with(self, job: str) -> Worker | None:
        """The worker that has a job."""
        busy = (w for w in self.all if w.job == job and w.phase is Phase.BUSY)
        return next(busy, None)

    def add(self, program: str, *, serves: bool) -> Worker:
        """A worker that is to live."""
        token = self._tokens.admit(WORKER)
        worker = Worker(token, program, self._folder / f"worker-{token[:16]}", serves)
        self._workers[token] = worker
        return worker

    async def live(self, worker: Worker) -> common_pb2.Refusal | None:
        """Run it to its end; why it never joined, if nobody ended it before."""
        try:
            why = await self._run(worker)
        except (BlobDigest, BlobIncomplete, BlobNotFound, BlobTooLarge) as error:
            why = refusal_of(error)
        except Exception as error:  # noqa: BLE001
            why = None
            _log.error("launch-failed %s", kind_of(error))
        failed = not worker.identity and not worker.dismissed
        worker.cancel_timers()
        self._tokens.revoke(worker.token)
        del self._workers[worker.token]
        with suppress(RuntimeError):  # no thread to be had: the next host empties the folder
            await asyncio.to_thread(shutil.rmtree, worker.folder, True)
        # It said so on its stream, or its log has it: one of them arrives.
        worker.refusal = why = worker.refusal or why
        words = "" if worker.code == 0 else " " + in_words(why)
        _log.info("exited token=%s code=%s%s", worker.token[:16], worker.code, words)
        self._ended(WORKER, why, worker.code)
        worker.exited.set()
        unknown = WorkerUnavailable("The program's worker ended before it had joined.")
        return (why or refusal_of(unknown)) if failed else None

    async def _run(self, worker: Worker) -> common_pb2.Refusal | None:
        """Start it and wait for its end; the reason that its log gives."""
        await asyncio.to_thread(self._prepare, worker)
        order = self._order(worker)
        worker.launched(process := await self._launcher.launch(order))
        worker.code = await process.wait()
        await worker.hear_out()
        return await asyncio.to_thread(last_words, order.log)

    def dismiss_all(self) -> None:
        for worker in list(self.all):
            worker.dismiss()

    def _prepare(self, worker: Worker) -> None:
        (worker.folder / "scratch").mkdir(mode=0o700, parents=True)
        blob = bundle_of(worker.program)
        self._blobs.copy(blob, worker.folder / "bundle", worker.program)
