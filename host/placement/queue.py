# SPDX-License-Identifier: Apache-2.0
"""The jobs that wait for a worker, by program: a plan costs as much however many of them wait."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from placet.governance.documents import Action
from placet.proto.v1 import common_pb2


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that waits. `ticket` is None where it must be read from the store. `last` is what its
    last attempt ended with, if that had a reason and was not the job's end."""

    job: str
    proposal: str
    program: str
    ticket: common_pb2.Ticket | None = None
    action: Action = "job"
    tries: int = 0
    last: common_pb2.Refusal | None = None


class Queue:
    """Jobs by program, the job first that waits longest."""

    def __init__(self) -> None:
        self._jobs: dict[str, Queued] = {}
        self._programs: dict[str, OrderedDict[str, int]] = {}  # jobs and their turns
        self._first = self._last = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, queued: Queued, *, first: bool = False) -> None:
        """Let a job wait, behind the others, or before them where it has waited its turn."""
        turns = self._programs.setdefault(queued.program, OrderedDict())
        if first:
            self._first -= 1
        else:
            self._last += 1
        turns[queued.job] = self._first if first else self._last
        turns.move_to_end(queued.job, last=not first)
        self._jobs[queued.job] = queued

    def take(self, job: str) -> Queued | None:
        """A job has its turn, or waits no more; None where it did not wait."""
        queued = self._jobs.pop(job, None)
        if queued is not None:
            turns = self._programs[queued.program]
            del turns[job]
            if not turns:
                del self._programs[queued.program]
        return queued

    def programs(self) -> list[str]:
        """The programs for which jobs wait, the one first whose job waits longest."""
        turns = {name: next(iter(jobs.values())) for name, jobs in self._programs.items()}
        return sorted(turns, key=turns.__getitem__)

    def waiting(self, program: str) -> int:
        """How many jobs wait for a worker of a program."""
        return len(self._programs.get(program, ()))

    def of(self, program: str) -> Iterator[Queued]:
        """The jobs that wait for a worker of a program, longest first."""
        for job in self._programs.get(program, ()):
            yield self._jobs[job]
