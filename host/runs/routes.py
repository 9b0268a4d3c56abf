# SPDX-License-Identifier: Apache-2.0
"""Questions on their way to the workers of services, and answers on their way back, by lease.

1. A worker that offers sessions has a route. It is ended with the worker, for the worker's reason;
   whoever waits gets it.
2. A question has the id that its asker chose, unique among the asker's own, and another on the
   worker's stream.
3. What is asked in one turn of the event loop goes out in one frame. Nothing here reads `data`.
4. Everything is bounded: questions under way to a worker, and their bytes, of all callers and of
   one; how many ended routes are remembered. A question that comes in pieces counts as a whole from
   its first piece on, so what has begun can be finished, and its pieces are relayed as they come.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from placet.governance.state import LeaseState
from placet.host.callers.caller import current
from placet.proto.frames import Link, LinkClosed
from placet.proto.limits import MAX_COALESCED, MAX_SEALED, MAX_WHOLE, MIB
from placet.proto.refusals import error_of, refusal_of
from placet.proto.v1 import common_pb2, enclaves_pb2, inference_pb2
from placet.refusals import MessageTooLarge, QueueFull, WorkerUnavailable

MAX_UNDER_WAY = 8192  # questions to a worker
_MAX_BYTES = 64 * MIB  # of them together, or two of the largest; and half as much of a caller
_RETRY_MS = 50
_KEPT_ENDS = 1024


class Asker(Protocol):
    """Who asks: a call or a stream."""

    def answered(self, answer: inference_pb2.Answer, last: bool) -> None:
        """An answer to one of its questions, or a piece of it, whether the last one; `id` is the
        asker's."""


@dataclass(slots=True, eq=False)
class _UnderWay:
    """A question without an answer: whose it is, its bytes, how many of them have not come yet, and
    how many of its answer."""

    asker: Asker
    name: int
    caller: str
    size: int
    unsent: int
    unanswered: int = 0


class Route:
    """The way to the worker of a lease. `offer` is its newest one; `described` is what else users
    verify, once one has asked. `largest` are the bytes of a sealed question, as the worker says."""

    def __init__(self, lease: LeaseState, link: Link, largest: int = 0) -> None:
        self.lease = lease
        self.largest = min(max(largest, MAX_SEALED), MAX_WHOLE)
        self.offer = b""
        self.described: inference_pb2.Description | None = None
        self.draining = False
        self._ended: common_pb2.Refusal | None = None
        self.idle = asyncio.Event()  # nothing is under way
        self.idle.set()
        self._link = link
        self._under_way: dict[int, _UnderWay] = {}
        self._bytes: dict[str, int] = {}  # by caller
        self._next_id = 1
        self._leaving, self._size = inference_pb2.Asks(), 0
        self._planned = False

    @property
    def under_way(self) -> int:
        """How many questions have no answer yet."""
        return len(self._under_way)

    def ask(self, asker: Asker, name: int, data: bytes, wait_ms: int, size: int = 0) -> int:
        """Send a question, or the first piece of one of so many bytes; returns its id here, for
        `more` and `cancel`.

        Raises `MessageTooLarge`, `QueueFull`, `WorkerUnavailable`, or `Refused` for what the worker
        has ended with.
        """
        whole, caller = max(size, len(data)), current().id
        if self._ended is not None:
            raise error_of(self._ended)
        if self.draining:
            raise WorkerUnavailable("The worker takes no more questions. Ask for another one.")
        self._check_room(whole, self._bytes.get(caller, 0) + whole)
        number = self._next_id
        self._next_id += 1
        self._under_way[number] = _UnderWay(asker, name, caller, whole, whole - len(data))
        self._bytes[caller] = self._bytes.get(caller, 0) + whole
        self.idle.clear()
        self._relay(inference_pb2.Ask(id=number, data=data, wait_ms=wait_ms, size=size))
        return number

    def more(self, number: int, data: bytes) -> None:
        """Send a further piece; nothing is sent of what has been answered."""
        held = self._under_way.get(number)
        if held is not None:
            held.unsent -= len(data)
            self._relay(inference_pb2.Ask(id=number, data=data))

    def _check_room(self, whole: int, of_caller: int) -> None:
        if whole > self.largest:
            raise MessageTooLarge(
                f"A sealed question to this service has at most {self.largest} bytes. Ask with "
                "fewer rows.",
                claim="data",
                expected=f"at most {self.largest}",
                actual=str(whole),
            )
        # What was cancelled may still be on its way, and would not count.
        most = max(sum(self._bytes.values()), self._link.queued) + whole
        bound = max(_MAX_BYTES, 2 * self.largest)
        full = len(self._under_way) >= MAX_UNDER_WAY or most > bound or of_caller > bound // 2
        if full:
            raise QueueFull("The worker has too many questions under way.", retry_ms=str(_RETRY_MS))

    def _relay(self, ask: inference_pb2.Ask) -> None:
        size = len(ask.data)
        if self._size + size > MAX_COALESCED:
            self._flush()
        self._size += size
        self._leaving.asks.append(ask)
        self._plan()

    def cancel(self, number: int) -> None:
        """Nobody waits for the answer any more; nothing changes if it has come."""
        if self._forget(number) is not None:
            self._leaving.cancelled.append(number)
            self._plan()

    def answer(self, answers: inference_pb2.Answers) -> None:
        """Answers that the worker gave, or pieces of them; those that nobody waits for are
        dropped."""
        for answer in answers.answers:
            held = self._under_way.get(answer.id)
            if held is None:
                continue
            whole = 0 if answer.HasField("refusal") else held.unanswered or answer.size
            held.unanswered = max(whole - len(answer.data), 0)
            if not held.unanswered:
                self._forget(answer.id)
                if held.unsent > 0:  # the worker waits for the rest of what it has refused
                    self._leaving.cancelled.append(answer.id)
                    self._plan()
            answer.id = held.name
            held.asker.answered(answer, not held.unanswered)

    def end(self, refusal: common_pb2.Refusal) -> None:
        """The worker answers nothing more."""
        self._ended = refusal
        for number in list(self._under_way):
            held = self._forget(number)
            if held is not None:
                held.asker.answered(inference_pb2.Answer(id=held.name, refusal=refusal), True)

    def _forget(self, number: int) -> _UnderWay | None:
        held = self._under_way.pop(number, None)
        if held is None:
            return None
        left = self._bytes.pop(held.caller, 0) - held.size
        if left:
            self._bytes[held.caller] = left
        if not self._under_way:
            self.idle.set()
        return held

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        leaving, self._leaving = self._leaving, inference_pb2.Asks()
        self._size, self._planned = 0, False
        with suppress(LinkClosed):  # its end is on the way
            if leaving.asks or leaving.cancelled:
                self._link.send(enclaves_pb2.KIND_ASKS, leaving)


class Routes:
    """Every route. `changed` is told of each service that has another number of ready workers."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._routes: dict[str, Route] = {}  # by lease
        self._leases: dict[Link, str] = {}
        self._ends: OrderedDict[str, common_pb2.Refusal] = OrderedDict()  # by lease

    def offer(self, lease: str, route: Route, link: Link, offer: bytes) -> None:
        """The worker of a lease offers sessions, again or for the first time: then this is its
        route."""
        if link.closed or lease in self._ends:
            return
        known = self._routes.setdefault(lease, route)
        known.offer = offer
        if known is route:
            self._leases[link] = lease
            self._changed(route.lease.proposal)

    def answer(self, link: Link, answers: inference_pb2.Answers) -> None:
        lease = self._leases.get(link)
        if lease is not None:
            self._routes[lease].answer(answers)

    def end(self, link: Link, refusal: common_pb2.Refusal) -> None:
        """A worker answers nothing more; only the first reason counts."""
        lease = self._leases.pop(link, None)
        if lease is None:
            return
        self._ends[lease] = refusal
        if len(self._ends) > _KEPT_ENDS:
            self._ends.popitem(last=False)
        route = self._routes.pop(lease)
        route.end(refusal)
        self._changed(route.lease.proposal)

    def lost(self, link: Link) -> None:
        """A worker's stream has ended."""
        text = "The worker has gone. Ask for another one."
        self.end(link, refusal_of(WorkerUnavailable(text)))

    def lost_all(self) -> None:
        """Every worker is being dismissed."""
        for link in list(self._leases):
            self.lost(link)

    def find(self, lease: str) -> Route:
        """The route of a lease. Raises `WorkerUnavailable`, or what its worker ended with."""
        route = self._routes.get(lease)
        if route is not None:
            return route
        refusal = self._ends.get(lease)
        if refusal is not None:
            raise error_of(refusal)
        raise WorkerUnavailable("No worker serves under this lease. Ask for another one.")

    def ready(self, service: str) -> dict[str, Route]:
        """The routes of a service that take questions, by lease."""
        return {
            lease: route
            for lease, route in self._routes.items()
            if route.lease.proposal == service and not route.draining
        }

    async def drain(self, job: str) -> None:
        """Let a job's worker answer what is under way and take nothing more; return when it has."""
        for route in list(self._routes.values()):
            if route.lease.job == job:
                route.draining = True
                self._changed(route.lease.proposal)
                await route.idle.wait()
