# SPDX-License-Identifier: Apache-2.0
"""A listener in plain HTTP for what anybody may read: metrics, and the published log.

It answers GET alone, from the host's own event loop, so that what it shows fits together. A few
connections at a time, one request each, a bounded request, a short time for it: whoever reaches it
costs little.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from placet.host.logs import kind_of
from placet.host.tasks import Tasks
from placet.refusals import Refusal

_MAX_OPEN = 8
_MAX_REQUEST = 16 * 1024
_TEXT = "text/plain; charset=utf-8"
_log = logging.getLogger("placet.host.listener")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. keep: for how many seconds others may keep it; None: nothing is said."""

    body: bytes
    type: str
    keep: int | None = None


class Listener:
    """`answer` gives the page of a path, or None. `name` is for the host's log."""

    def __init__(
        self, name: str, answer: Callable[[str], Awaitable[Page | None]], seconds: float = 5.0
    ) -> None:
        self._name, self._answer, self._seconds = name, answer, seconds
        self._open = 0
        self._tasks = Tasks()
        self._server: asyncio.Server | None = None
        self.address = ""

    async def start(self, address: str) -> None:
        """Listen at "address:port". Raises OSError."""
        host, _, port = address.rpartition(":")
        self._server = await asyncio.start_server(
            lambda reader, writer: self._tasks.spawn(self._serve(reader, writer)),
            host.strip("[]"),
            int(port),
            limit=_MAX_REQUEST,
        )
        self.address = f"{host}:{self._server.sockets[0].getsockname()[1]}"
        _log.info("%s address=%s", self._name, self.address)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._tasks.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            async with asyncio.timeout(self._seconds):
                if self._open <= _MAX_OPEN:
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._answered(request))
                    await writer.drain()
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError) as error:
            _log.info("%s-failed %s", self._name, kind_of(error))
        finally:
            self._open -= 1
            writer.close()

    async def _answered(self, request: bytes) -> bytes:
        method, path = [*request.split(b" ", 2), b""][:2]
        try:
            text = path.decode("ascii").removeprefix("/")
            page = await self._answer(text) if method == b"GET" else None
        except UnicodeDecodeError:
            page = None
        except Refusal as refusal:
            why = f"{refusal.reason}\n".encode()
            return _response("503 Service Unavailable", Page(why, _TEXT))
        if page is None:
            return _response("404 Not Found", Page(b"There is no such page here.\n", _TEXT))
        return _response("200 OK", page)


def _response(status: str, page: Page) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {page.type}",
        f"Content-Length: {len(page.body)}",
        *([] if page.keep is None else [f"Cache-Control: max-age={page.keep}"]),
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + page.body
