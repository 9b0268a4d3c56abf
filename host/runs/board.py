# SPDX-License-Identifier: Apache-2.0
"""Jobs, federations and services as they are now, and whoever follows them.

The jobs that have not ended are kept here, as they are now; what else is shown is read. Whoever
follows is woken by every change and then looks at the newest state: what changes faster than one
looks is coalesced, and one read serves all who ask before the next change.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from placet.governance.documents import Action
from placet.host.runs.routes import Routes
from placet.host.store.job_table import LEASED, QUEUED, RUNNING, JobRecord, now_ms
from placet.host.store.run_table import Record, RunRecord, get_run, list_runs
from placet.host.store.store import Store
from placet.proto.v1 import common_pb2, runs_pb2
from placet.refusals import AuthorityUnavailable, QueueFull, RunNotFound

Show = Callable[[RunRecord, Routes], runs_pb2.Run]


@dataclass(frozen=True)
class Shown:
    """A run, and the message by which callers see it: made once for all of them."""

    record: Record
    show: Callable[[], runs_pb2.Run]

    @cached_property
    def message(self) -> runs_pb2.Run:
        return self.show()


class Wake(asyncio.Event):
    """Set by every change; whoever waits for it clears it, then looks. `jobs` are the newest
    records of the jobs that have changed."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, JobRecord] = {}

    def clear(self) -> None:
        super().clear()
        self.jobs = {}


class Board:
    """See the module. `shows` makes the messages of runs by action; `max_watchers` bounds the calls
    that watch; `ended` is told of each job that has; `routes` has the workers of services that are
    ready."""

    def __init__(
        self,
        store: Store,
        shows: Mapping[Action, Show],
        max_watchers: int,
        ended: Callable[[JobRecord], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._ended = ended
        self._shows = shows
        self.routes = Routes(self.changed)
        self._max_watchers = max_watchers
        self._watching = 0
        self._jobs: dict[str, JobRecord] = {}
        self._waiting = set[str]()  # of them, those without a worker
        self._held: dict[str, common_pb2.Refusal] = {}
        self._wakes: dict[str, set[Wake]] = {}
        # Of what is followed.
        self._reads: dict[str, asyncio.Future[Shown]] = {}
        self._closed = False

    def job(self, job: str) -> JobRecord | None:
        """A job's record, if it has not ended."""
        return self._jobs.get(job)

    @property
    def active(self) -> Collection[JobRecord]:
        """The jobs that have not ended."""
        return self._jobs.values()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        return len(self._waiting)

    def publish(self, record: JobRecord) -> None:
        """Show a job's record that is durable."""
        if record.ended:
            if self._jobs.pop(record.id, None) is not None:
                self._ended(record)
        else:
            self._jobs[record.id] = record
        (self._waiting.add if record.state == QUEUED else self._waiting.discard)(record.id)
        for name in (record.id, record.proposal):
            for wake in self._wakes.get(name, ()):
                wake.jobs.pop(record.id, None)  # the order is that of the newest records
                wake.jobs[record.id] = record
            self.changed(name)

    def hold(self, program: str, why: common_pb2.Refusal) -> None:
        """Say of jobs of a program that wait why no worker comes; "": of all jobs."""
        self._held[program] = why
        self._tell_waiting(program)

    def unhold(self, program: str) -> None:
        """Workers come."""
        if self._held.pop(program, None) is not None:
            self._tell_waiting(program)

    def progress(self, job: str, lease: str, percent: int) -> bool:
        """Show that a lease runs and how far it is; False if that is nothing new."""
        record = self._jobs.get(job)
        if record is None or record.lease != lease or record.state not in (LEASED, RUNNING):
            return False
        percent = max(record.progress, min(percent, 100))
        if record.state == RUNNING and record.progress == percent:
            return False
        self.publish(replace(record, state=RUNNING, progress=percent, changed_ms=now_ms()))
        return True

    def changed(self, name: str) -> None:
        """Something is different from now on."""
        self._reads.pop(name, None)
        for wake in self._wakes.get(name, ()):
            wake.set()

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        for name in list(self._wakes):
            self.changed(name)

    async def get(self, name: str) -> Shown:
        """How a run is now. Raises `RunNotFound`."""
        if job := self._jobs.get(name):
            return self._shown(job)
        read = self._reads.get(name)
        if read is None:
            read = asyncio.ensure_future(self._read(name))
            if name in self._wakes:
                self._reads[name] = read
        return await asyncio.shield(read)

    async def newest(self, limit: int, before: str, action: str, proposal: str) -> list[Shown]:
        """How runs are now; see `list_runs`."""
        found = await self._store.read(lambda c: list_runs(c, limit, before, action, proposal))
        return list(map(self._shown, found))

    async def run(self, name: str, action: Action) -> RunRecord:
        """How a federation or a service is now. Raises `RunNotFound` where the run is none."""
        record = (await self.get(name)).record
        if not isinstance(record, RunRecord) or record.action != action:
            raise RunNotFound("The run is of another kind.", claim="action", expected=action)
        return record

    @contextmanager
    def follow(self, name: str) -> Generator[Wake, None, None]:
        """What is set by every change of a run, or of the jobs of a proposal, from now on."""
        wake = Wake()
        self._wakes.setdefault(name, set()).add(wake)
        try:
            yield wake
        finally:
            self._wakes[name].discard(wake)
            if not self._wakes[name]:
                del self._wakes[name]
                self._reads.pop(name, None)

    @contextmanager
    def watcher(self, name: str) -> Generator[Wake, None, None]:
        """As `follow`, for a caller. Raises `QueueFull`."""
        if self._watching >= self._max_watchers:
            raise QueueFull("Too many calls watch. Ask with Get, or try again later.")
        self._watching += 1
        try:
            with self.follow(name) as wake:
                yield wake
        finally:
            self._watching -= 1

    async def watch(self, name: str) -> AsyncGenerator[runs_pb2.Run, None]:
        """How a run is now and after each change, until it has ended.

        Raises `QueueFull`, what `get` raises, or `AuthorityUnavailable` when the host ends.
        """
        with self.watcher(name) as wake:
            seen: Shown | None = None
            while seen is None or not seen.record.ended:
                wake.clear()
                shown = await self.get(name)
                if seen is None or shown.message != seen.message:
                    seen = shown
                    yield shown.message
                else:
                    await self._woken(wake)

    async def changed_jobs(self, wake: Wake) -> list[JobRecord]:
        """The newest record of each job that has changed since it was last asked.

        Raises `AuthorityUnavailable` when the host ends.
        """
        await self._woken(wake)
        changed = list(wake.jobs.values())
        wake.clear()
        return changed

    def _message(self, job: JobRecord) -> runs_pb2.Run:
        run = job.to_proto()
        why = self._held.get("") or self._held.get(job.program)
        if job.state == QUEUED and why is not None:
            run.refusal.CopyFrom(why)
        return run

    def _tell_waiting(self, program: str) -> None:
        for job in self._waiting:
            if program in ("", self._jobs[job].program):
                self.changed(job)

    async def _woken(self, wake: Wake) -> None:
        if not self._closed:
            await wake.wait()
        if self._closed:
            raise AuthorityUnavailable("The host is shutting down. Watch again later.")

    async def _read(self, name: str) -> Shown:
        try:
            return self._shown(await self._store.read(lambda c: get_run(c, name)))
        except BaseException:
            self._reads.pop(name, None)
            raise

    def _shown(self, record: Record) -> Shown:
        """A job's progress is shown before it is stored."""
        if isinstance(record, JobRecord):
            job = self._jobs.get(record.id) or record
            return Shown(job, lambda: self._message(job))
        run = replace(record, jobs=tuple(self._jobs.get(job.id) or job for job in record.jobs))
        return Shown(run, lambda: self._shows[run.action](run, self.routes))
