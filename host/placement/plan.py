# SPDX-License-Identifier: Apache-2.0
"""Which job gets which worker, which workers are started, and which are ended: a pure function of
what there is.

1. A job that waits gets a free worker of its program; the job that waits longest comes first.
2. A free worker is ended if nothing wants its program. If nothing wants any program, it stays: the
   next ticket is likely to name its program.
3. Workers are started for the jobs that still wait, then as spares, as far as there is room. The
   spare that a job took is replaced only once the job runs: the job's start needs the processor.
4. Where a job waits and there is no room, a spare is ended. Spares are ended one at a time; each
   exit makes a further plan.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from placet.host.placement.queue import Queue, Queued
from placet.host.placement.worker import Phase, Worker


@dataclass(frozen=True, slots=True)
class View:
    """What a plan is made from.

    `spares` says how many spares a program is worth, the most important program first. No worker
    of the programs in `blocked` may be started yet.
    """

    queue: Queue
    workers: Collection[Worker]
    spares: Mapping[str, int]
    blocked: Collection[str]
    max_workers: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker of a program."""

    program: str


@dataclass(frozen=True, slots=True)
class End:
    """End a worker that has no job."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class Give:
    """Give a free worker to a job that waits."""

    worker: Worker
    queued: Queued


Step = Start | End | Give


def plan(view: View) -> list[Step]:
    """What to do now, in this order."""
    given = list(_gives(view))
    return [*given, *_balance(view, [give.worker for give in given])]


def _gives(view: View) -> Iterator[Give]:
    """Step 1 alone."""
    free: dict[str, list[Worker]] = {}
    for worker in view.workers:
        if worker.phase is Phase.READY:
            free.setdefault(worker.program, []).append(worker)
    for program, workers in free.items():
        for worker, queued in zip(workers, view.queue.of(program), strict=False):
            yield Give(worker, queued)


def _balance(view: View, given: list[Worker]) -> Iterator[Start | End]:
    """Steps 2 to 4, once jobs have these workers."""
    programs = view.queue.programs()
    waiting = Counter({program: view.queue.waiting(program) for program in programs})
    waiting -= Counter(worker.program for worker in given)
    wanted = [*waiting, *(program for program in view.spares if program not in waiting)]
    others = [worker for worker in view.workers if worker not in given]
    free = [worker for worker in others if worker.phase is Phase.READY]
    useless = [worker for worker in free if wanted and worker.program not in wanted]
    yield from map(End, useless)
    leaving = bool(useless) or any(worker.phase is Phase.LEAVING for worker in others)
    beginning = {w.program for w in [*given, *(w for w in others if w.beginning)]}
    have = Counter(worker.program for worker in others if worker.waiting)
    room = view.max_workers - len(view.workers)
    for program in wanted:
        if program in view.blocked:
            continue
        spares = 0 if program in beginning else view.spares.get(program, 0)
        started = max(0, min(max(waiting[program], spares) - have[program], room))
        yield from [Start(program)] * started
        room -= started
        if waiting[program] > have[program] + started and free and not leaving:
            yield End(free[0])  # no job waits for it, or it would have been given
            leaving = True
