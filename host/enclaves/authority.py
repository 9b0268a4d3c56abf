# SPDX-License-Identifier: Apache-2.0
"""The host's line to the authority: requests that wait a little while it is being restarted.

The authority answers one request after the other. So only a few of each lane are given to it at a
time, and the rest wait here: a stop never stands behind more than a few of what anybody may ask,
and a principal's never behind strangers'.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, TypeVar

from google.protobuf.message import Message

from placet.governance.judgements.admission import says_no
from placet.host.callers.caller import Role, current
from placet.proto.frames import DEFAULT_TIMEOUT, Link
from placet.proto.v1 import enclaves_pb2, governance_pb2
from placet.refusals import (
    AuthorityUnavailable,
    ClockJumped,
    DeadlinePassed,
    QueueFull,
    Refusal,
    Refused,
)

M = TypeVar("M", bound=Message)
# What an authority that can tell a jump by itself does all the same.
_TIMELESS = (enclaves_pb2.KIND_EVIDENCE, enclaves_pb2.KIND_CLOSE)
_START_SECONDS = 3600.0  # the longest that reading a log may take
_GRACE = 10.0  # seconds that a request waits for an authority to attach


class Lane:
    """Requests of a sort: so many are with the authority, others wait for their turn, and beyond
    `most` in all they are refused."""

    def __init__(self, at_once: int, most: int) -> None:
        self._most = most
        self.turn = asyncio.Semaphore(at_once)
        self.open = 0

    @contextmanager
    def place(self) -> Generator[None, None, None]:
        """Raises `QueueFull`."""
        if self.open >= self._most:
            raise QueueFull("Too many requests wait for the authority. Try again later.")
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1


# Evidence takes the authority longest, and whoever reaches the host may ask for it. What the host
# asks for of itself has places that no caller can take.
_AT_ONCE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "stops": 64,
        "host": 64,
        "principals": 16,
        "evidence": 2,
        "strangers' stops": 8,
        "strangers": 2,
    }
)
_LANES: Final[Mapping[int, str]] = MappingProxyType(
    {
        enclaves_pb2.KIND_EVIDENCE: "evidence",
        enclaves_pb2.KIND_LEASE: "host",
        enclaves_pb2.KIND_CLOSE: "host",
        enclaves_pb2.KIND_OPEN_ROUND: "host",
        enclaves_pb2.KIND_CLOSE_ROUND: "host",
    }
)


def _says_no(message: Message) -> bool:
    return isinstance(message, governance_pb2.DocumentRequest) and says_no(message.envelope)


def _lane_of(kind: enclaves_pb2.Kind.ValueType, stop: bool) -> str:
    lane = "stops" if stop else _LANES.get(kind, "principals")
    if lane == "host" or current().role is not Role.STRANGER:
        return lane
    return "strangers' stops" if stop else "strangers"


class AuthorityLine:
    """Requests to whichever authority is there now. `changed` is told whether there is one; `why`
    says why there is none, if that is known.

    `check_clock` refuses what is judged by a clock that nobody believes; a stop goes by it.
    one_clock: the authority has no other clock to tell a jump by.
    """

    def __init__(
        self,
        changed: Callable[[bool], None],
        most: int = 512,
        grace: float = _GRACE,
        check_clock: Callable[[], None] = lambda: None,
        *,
        why: Callable[[], str] = lambda: "",
        one_clock: bool = False,
    ) -> None:
        self._why = why
        self._timeless = _TIMELESS[:1] if one_clock else _TIMELESS
        self._changed = changed
        self._check_clock = check_clock
        self._link: Link | None = None
        self._since = 0.0
        self._attached = asyncio.Event()
        self._grace = grace
        self._lanes = {name: Lane(at_once, most) for name, at_once in _AT_ONCE.items()}

    @property
    def open(self) -> Mapping[str, int]:
        """How many requests of each lane are with the authority, or wait for it."""
        return {name: lane.open for name, lane in self._lanes.items()}

    @property
    def age(self) -> float:
        """Seconds since the authority attached."""
        return time.monotonic() - self._since

    async def answers(self) -> bool:
        """Whether the authority answers at all, or there is none: it refuses a frame of no kind at
        once, and judges nothing. The frame passes every lane, so it tells nothing of them."""
        try:
            if self._link is not None:
                await self._link.request(enclaves_pb2.KIND_UNSPECIFIED, b"")
        except DeadlinePassed:
            return False
        except Refusal:  # it is an answer, or nobody is there any more
            pass
        return True

    @property
    def attached(self) -> bool:
        """Whether an authority is attached that has come to life."""
        return self._attached.is_set()

    async def ready(self) -> None:
        """Return once an authority is attached that has come to life."""
        await self._attached.wait()

    async def attach(self, link: Link) -> bool:
        """Use this link once the authority behind it answers; False if it ends before.

        It answers once it has read its log: one that cannot start attaches, and ends.
        """
        self._link = link
        try:
            await link.request(enclaves_pb2.KIND_UNSPECIFIED, b"", timeout=_START_SECONDS)
        except Refused:
            pass  # nothing is of this kind, and that is an answer
        except Refusal:
            return False
        if self._link is not link:
            return False
        self._since = time.monotonic()
        self._attached.set()
        self._changed(True)
        return True

    def detach(self, link: Link) -> None:
        """Use the link no more, if it is still the one in use."""
        if self._link is link:
            self._link = None
            self._attached.clear()
            self._changed(False)

    async def request(
        self,
        kind: enclaves_pb2.Kind.ValueType,
        message: Message,
        reply: type[M],
        *,
        timeout: float = DEFAULT_TIMEOUT,
        stop: bool = False,
    ) -> M:
        """Ask the authority. A stop has the right of way.

        Raises `Refused` with its refusal, `AuthorityUnavailable` if none attaches in time,
        `LinkClosed` or `DeadlinePassed` if it is unknown what became of the request, `ClockJumped`
        or `QueueFull`.
        """
        with (lane := self._lanes[_lane_of(kind, stop)]).place():
            await self._wait()  # nobody keeps a turn while there is no authority
            async with lane.turn:
                link = await self._wait()
                self._check(kind, message)
                return reply.FromString(await link.request(kind, message, timeout=timeout))

    def _check(self, kind: enclaves_pb2.Kind.ValueType, message: Message) -> None:
        """Raises `ClockJumped`, but never for what says no."""
        try:
            self._check_clock()
        except ClockJumped:
            if kind not in self._timeless and not _says_no(message):
                raise

    async def _wait(self) -> Link:
        try:
            async with asyncio.timeout(self._grace):
                while True:
                    await self._attached.wait()
                    if self._link is not None and not self._link.closed:
                        return self._link
                    self._attached.clear()
        except TimeoutError:
            why = self._why()
            raise AuthorityUnavailable(
                f"The authority cannot start, and the host's operator has to help: {why}"
                if why
                else "No authority is attached. Try again later."
            ) from None
