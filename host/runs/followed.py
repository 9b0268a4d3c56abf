# SPDX-License-Identifier: Apache-2.0
"""Things of many changes (federations, services) as they are now, and whoever follows them.

Whoever follows is woken by every change and then reads the newest state; one read serves all who
ask before the next change, and changes that come faster than one reads are coalesced.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from placet.host.errors import AuthorityUnavailable, QueueFull


class Record(Protocol):
    """What the store has of a thing."""

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        ...


R = TypeVar("R", bound=Record)
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Shown(Generic[R, M]):
    """A thing, and the message by which callers see it: made once for all of them."""

    record: R
    message: M


class Followed(ABC, Generic[R, M]):
    """See the module. `max_watchers` bounds the watchers of all together; `kind` names them in
    refusals."""

    def __init__(self, kind: str, max_watchers: int) -> None:
        self._kind = kind
        self._max_watchers = max_watchers
        self._count = 0
        self._wakes: dict[str, set[asyncio.Event]] = {}
        self._reads: dict[str, asyncio.Future[Shown[R, M]]] = {}  # of those that are followed
        self._closed = False

    @abstractmethod
    async def read(self, name: str) -> Shown[R, M]:
        """How it is now. Raises the refusal that says that there is none."""

    def changed(self, name: str) -> None:
        """Something of a thing is different from now on."""
        self._reads.pop(name, None)
        for wake in self._wakes.get(name, ()):
            wake.set()

    def close(self) -> None:
        self._closed = True
        for wakes in self._wakes.values():
            for wake in wakes:
                wake.set()

    async def get(self, name: str) -> Shown[R, M]:
        """How it is now. Raises what `read` raises."""
        read = self._reads.get(name)
        if read is None:
            read = asyncio.ensure_future(self._read(name))
            if name in self._wakes:
                self._reads[name] = read
        return await asyncio.shield(read)

    @contextmanager
    def follow(self, name: str) -> Generator[asyncio.Event, None, None]:
        """What is set by every change from now on; whoever waits for it clears it, then reads."""
        wake = asyncio.Event()
        self._wakes.setdefault(name, set()).add(wake)
        try:
            yield wake
        finally:
            self._wakes[name].discard(wake)
            if not self._wakes[name]:
                del self._wakes[name]
                self._reads.pop(name, None)

    async def watch(self, name: str) -> AsyncGenerator[M, None]:
        """How it is now and after each change, until it has ended.

        Raises `QueueFull`, what `read` raises, or `AuthorityUnavailable` when the host ends.
        """
        if self._count >= self._max_watchers:
            raise QueueFull(f"Too many calls watch {self._kind}. Ask with Get, or try again later.")
        self._count += 1
        try:
            with self.follow(name) as wake:
                seen: Shown[R, M] | None = None
                while seen is None or not seen.record.ended:
                    if self._closed:
                        raise AuthorityUnavailable("The host is shutting down. Watch again later.")
                    wake.clear()
                    shown = await self.get(name)
                    if seen is None or shown.message != seen.message:
                        seen = shown
                        yield shown.message
                    else:
                        await wake.wait()
        finally:
            self._count -= 1

    async def _read(self, name: str) -> Shown[R, M]:
        try:
            return await self.read(name)
        except BaseException:
            self._reads.pop(name, None)
            raise
