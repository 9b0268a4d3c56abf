# SPDX-License-Identifier: Apache-2.0
"""One reading of all updates of a cohort: window by window, on several threads, in memory that does
not grow with it.

A window is a few segments at the same place of every client's stream. Each is one call of the
kernel, which opens and folds them without the interpreter's lock. Threads take whatever window is
next; as they add integers at disjoint coordinates, neither their number nor the size of the windows
can be seen in the result.

A client's fault is found out on the way and judged at the end: its `Fault`, by its name.
Nobody is stopped in the middle, so one reading finds all that can be found.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from typing_extensions import Buffer

from placet.enclave import _kernel
from placet.enclave.worker.federation.sameness import Sameness
from placet.enclave.worker.federation.updates import Fault, Opened, Shape
from placet.refusals import JobEnded

# What to do with the windows of all clients: cohort, windows, first segment, number of segments.
Fold = Callable[[_kernel.Cohort, Sequence[Buffer], int, int], None]
Verdict = tuple[list[int], list[int]]  # squares and states, one a client

# Ciphertext of all clients that one thread holds at a time: many segments a call, and still in the
# last-level cache.
_ROOM_BYTES = 8 << 20
# Windows a thread takes at least, so that none of them waits long for the last.
_WINDOWS_A_THREAD = 8


class Passes:
    """The buffers with which a cohort of at most `clients` is read, as often as it takes.

    `together` says that a fold looks at all clients at once; otherwise it gets them in groups, and
    more clients take no more memory.
    """

    def __init__(
        self,
        shape: Shape,
        clients: int,
        threads: int,
        cancelled: Callable[[], bool],
        *,
        together: bool,
    ) -> None:
        if not together:
            clients = min(clients, _ROOM_BYTES // shape.segment_bytes)
        fitting = _ROOM_BYTES // (clients * shape.segment_bytes)
        fair = shape.segments // (threads * _WINDOWS_A_THREAD)
        self._count = max(1, min(fitting, fair))
        self._shape = shape
        self._cancelled = cancelled
        size = self._count * shape.segment_bytes
        # Not cleared, so that what no source writes into is never made real.
        rooms = np.empty((threads, clients, size), np.uint8)
        self._rooms = [[memoryview(room) for room in of_thread] for of_thread in rooms]

    def run(
        self,
        clients: Sequence[Opened],
        fold: Fold,
        *,
        weighted: bool = False,
        sameness: Sameness | None = None,
    ) -> dict[str, Fault]:
        """Read every segment of every client once; return who has to go, and why.

        Raises `JobEnded` within one window of being told.
        """
        reading = _Reading(self._shape, self._count, clients, self._cancelled, sameness)
        with ThreadPoolExecutor(len(self._rooms)) as pool:
            futures = [pool.submit(reading.run, fold, weighted, rooms) for rooms in self._rooms]
        return reading.judge([future.result() for future in futures])


class _Reading:
    """The state that the threads of one reading share."""

    def __init__(
        self,
        shape: Shape,
        count: int,
        clients: Sequence[Opened],
        cancelled: Callable[[], bool],
        sameness: Sameness | None,
    ) -> None:
        self._shape = shape
        self._clients = clients
        self._count = count
        self._cancelled = cancelled
        self._sameness = sameness
        self._faults: dict[str, Fault] = {}
        self._starts: Iterator[int] = iter(range(0, shape.segments, count))
        self._lock = threading.Lock()

    def run(self, fold: Fold, weighted: bool, rooms: Sequence[memoryview]) -> Verdict:
        """Do the work of one thread; there is a room for each client of a group."""
        starts = range(0, len(self._clients), len(rooms))
        groups = [self._clients[start : start + len(rooms)] for start in starts]
        cohorts = [self._cohort(group, weighted) for group in groups]
        try:
            while (first := self._next()) is not None:
                for cohort, group in zip(cohorts, groups, strict=True):
                    fold(cohort, self._windows(group, first, rooms), first, self._size(first))
            squares = [square for cohort in cohorts for square in cohort.squares()]
            return squares, [state for cohort in cohorts for state in cohort.states()]
        except BaseException:
            self._starts = iter(())  # the other threads need not go on
            raise
        finally:
            for cohort in cohorts:
                cohort.wipe()

    def _cohort(self, clients: Sequence[Opened], weighted: bool) -> _kernel.Cohort:
        return _kernel.Cohort(
            [(client.key, client.prefix) for client in clients],
            [client.update.multiplier for client in clients],
            [client.update.weight if weighted else 1 for client in clients],
            encoding=self._shape.encoding,
            elements=self._shape.elements,
            segment_bytes=self._shape.segment_bytes,
        )

    def _next(self) -> int | None:
        if self._cancelled():
            raise JobEnded("The aggregation was cancelled. Ask for it again.")
        with self._lock:
            return next(self._starts, None)

    def _size(self, first: int) -> int:
        return min(self._count, self._shape.segments - first)

    def _windows(
        self, clients: Sequence[Opened], first: int, rooms: Sequence[memoryview]
    ) -> list[Buffer]:
        start = first * self._shape.segment_bytes
        size = min(self._count * self._shape.segment_bytes, self._shape.sealed_bytes - start)
        return [
            self._window(client, start, room[:size])
            for client, room in zip(clients, rooms, strict=False)
        ]

    def _window(self, client: Opened, start: int, room: memoryview) -> Buffer:
        """The client's bytes; if they are not there, or not those of before, bytes that do not
        open."""
        try:
            window = client.update.source.window(start, room)
        except (EOFError, OSError):
            fault = Fault.LENGTH
        else:
            if self._sameness is None or self._sameness.holds(client.update.client, start, window):
                return window
            fault = Fault.CHANGED
        self._faults[client.update.client] = fault
        room[:] = bytes(len(room))
        return room

    def judge(self, verdicts: Sequence[Verdict]) -> dict[str, Fault]:
        """Who has to go. The integers decide: those that were added, whatever norm was declared."""
        squares = [sum(parts) for parts in zip(*(v[0] for v in verdicts), strict=True)]
        states = [_union(parts) for parts in zip(*(v[1] for v in verdicts), strict=True)]
        lost = dict[str, Fault]()
        for client, square, state in zip(self._clients, squares, states, strict=True):
            name = client.update.client
            if name in self._faults:
                lost[name] = self._faults[name]
            elif state & _kernel.FORGED:
                lost[name] = Fault.SEGMENT_FORGED
            elif state & _kernel.NONFINITE:
                lost[name] = Fault.NONFINITE
            elif square > _kernel.LIMIT**2:
                lost[name] = Fault.NORM_EXCEEDED
        return lost


def _union(states: Sequence[int]) -> int:
    union = 0
    for state in states:
        union |= state
    return union
