# SPDX-License-Identifier: Apache-2.0
"""Where metrics are scraped: a listener of its own, in plain HTTP, for `GET /metrics` alone.

It answers from the host's own event loop, so that what it shows fits together. A few connections at
a time, a bounded request, a short time for it: whoever reaches it costs little.
"""

import asyncio
import logging
from collections.abc import Callable

from placet.host.logs import kind_of
from placet.host.tasks import Tasks

_MAX_OPEN = 8
_MAX_REQUEST = 16 * 1024
_SECONDS = 5.0
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_log = logging.getLogger("placet.host.metrics")


class Listener:
    """`expose` gives the metrics in Prometheus' text format."""

    def __init__(self, expose: Callable[[], bytes]) -> None:
        self._expose = expose
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
        _log.info("metrics address=%s", self.address)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._tasks.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            async with asyncio.timeout(_SECONDS):
                if self._open <= _MAX_OPEN:
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(request))
                    await writer.drain()
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError) as error:
            _log.info("scrape-failed %s", kind_of(error))
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, request: bytes) -> bytes:
        if request.split(b" ", 2)[:2] != [b"GET", b"/metrics"]:
            return _response("404 Not Found", b"Only GET /metrics is here.\n")
        return _response("200 OK", self._expose())


def _response(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {_TYPE}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
