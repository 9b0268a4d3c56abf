# SPDX-License-Identifier: Apache-2.0
"""The host's line to the authority: requests that wait a little while it is being restarted."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from placet.proto.frames import DEFAULT_TIMEOUT, Link
from placet.proto.v1 import enclaves_pb2
from placet.refusals import AuthorityUnavailable, QueueFull

M = TypeVar("M", bound=Message)
_GRACE = 10.0  # seconds that a request waits for an authority to attach
_MAX_OPEN = 512  # requests under way or waiting


class AuthorityLine:
    """Requests to whichever authority is attached now. `changed` is told whether there is one."""

    def __init__(self, changed: Callable[[bool], None], grace: float = _GRACE) -> None:
        self._changed = changed
        self._link: Link | None = None
        self._attached = asyncio.Event()
        self._grace = grace
        self._open = 0

    @property
    def attached(self) -> bool:
        """Whether an authority is attached."""
        return self._attached.is_set()

    async def ready(self) -> None:
        """Return once an authority is attached."""
        await self._attached.wait()

    def attach(self, link: Link) -> None:
        """Use this link from now on."""
        self._link = link
        self._attached.set()
        self._changed(True)

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
    ) -> M:
        """Ask the authority.

        Raises `Refused` with its refusal, `AuthorityUnavailable` if none attaches in time,
        `LinkClosed` or `DeadlinePassed` if it is unknown what became of the request, or
        `QueueFull`.
        """
        if self._open >= _MAX_OPEN:
            raise QueueFull("Too many requests wait for the authority. Try again later.")
        self._open += 1
        try:
            link = await self._wait()
            return reply.FromString(await link.request(kind, message, timeout=timeout))
        finally:
            self._open -= 1

    async def _wait(self) -> Link:
        try:
            async with asyncio.timeout(self._grace):
                while self._link is None or self._link.closed:
                    self._attached.clear()
                    await self._attached.wait()
                return self._link
        except TimeoutError:
            raise AuthorityUnavailable("No authority is attached. Try again later.") from None
