# SPDX-License-Identifier: Apache-2.0
"""Keeps one authority running: starts it, and starts it again, ever more slowly, when it ends.

Why it ended is known by its exit code, by its last words in its log, and by what it said on the
stream. Any may be missing: the exit code is no more than that of an enclave without a host where
the host was quicker. The log of the host has all that arrived.
"""

import asyncio
import logging
from collections.abc import Callable

from placet.host.enclaves.attach import AUTHORITY, Session, Tokens
from placet.host.enclaves.last_words import in_words, last_words, length_of
from placet.host.enclaves.launcher import Launcher, LaunchOrder, Running
from placet.host.logs import kind_of
from placet.proto.refusals import reason_name
from placet.proto.v1 import common_pb2

_FIRST_DELAY = 0.1
_LAST_DELAY = 10.0
_SETTLED_SECONDS = 30.0  # an authority that lived this long is started again at once
_HELLO_SECONDS = 60.0
END_SECONDS = 5.0  # how long an enclave may take to end by itself
_log = logging.getLogger("placet.host.authority")
# Told of an enclave's role, of why it ended as it said, and of its exit code, if it ever ran.
Ended = Callable[[str, common_pb2.Refusal | None, int | None], None]


class Supervisor:
    def __init__(
        self,
        launcher: Launcher,
        tokens: Tokens,
        order: Callable[[str], LaunchOrder],
        ended: Ended,
        complain: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._complain = complain
        self._trouble: common_pb2.Refusal | None = None
        self._ended = ended
        self._launcher = launcher
        self._tokens = tokens
        self._order = order
        self._process: Running | None = None
        self._hello: asyncio.TimerHandle | None = None
        self._said: common_pb2.Refusal | None = None

    @property
    def trouble(self) -> str:
        """Why the authority cannot start, in its words; empty where it serves, or never said."""
        return "" if self._trouble is None else self._trouble.message

    def serves(self) -> None:
        """The authority has come to life."""
        self._trouble = None

    def ended(self, refusal: common_pb2.Refusal) -> None:
        """The authority says why it is about to end."""
        self._said = refusal

    def attached(self, session: Session) -> None:
        """The authority has said hello."""
        if self._hello is not None:
            self._hello.cancel()
        _log.info("attached enclave=%s", session.enclave)

    def detached(self) -> None:
        """Its stream has ended: whatever the process does now, it must be started anew."""
        if self._process is not None:
            end_soon(self._process)

    async def run(self) -> None:
        """Supervise until cancelled; then end the authority."""
        loop, delay = asyncio.get_running_loop(), _FIRST_DELAY
        while True:
            started = loop.time()
            await self._once()
            settled = loop.time() - started > _SETTLED_SECONDS
            delay = _FIRST_DELAY if settled else min(delay * 2, _LAST_DELAY)
            await asyncio.sleep(delay)

    async def _once(self) -> None:
        token = self._tokens.admit(AUTHORITY)
        process: Running | None = None
        self._said = None
        try:
            order = self._order(token)
            before = await asyncio.to_thread(length_of, order.log)
            process = self._process = await self._launcher.launch(order)
            loop = asyncio.get_running_loop()
            self._hello = loop.call_later(_HELLO_SECONDS, process.kill)
            code = await process.wait()
            why = await self._why(order, before)
            _log.warning("exited code=%d %s log=%s", code, in_words(why), order.log)
            self._tell(why)
            self._ended(AUTHORITY, why, code)
        except asyncio.CancelledError:
            if process is not None:
                await end_now(process)
            raise
        except Exception as error:  # noqa: BLE001
            _log.error("launch-failed %s", kind_of(error))
            self._ended(AUTHORITY, None, None)
        finally:
            if self._hello is not None:
                self._hello.cancel()
            self._process = None
            self._tokens.revoke(token)

    def _tell(self, why: common_pb2.Refusal | None) -> None:
        """Complain once of each reason, and not every second of the same."""
        if why is not None and why != self._trouble:
            self._complain(f"The authority cannot go on ({reason_name(why.reason)}): {why.message}")
        self._trouble = why or self._trouble

    async def _why(self, order: LaunchOrder, before: int) -> common_pb2.Refusal | None:
        """The reason of its end, as it said it, or else as its log has it behind so many bytes."""
        return self._said or await asyncio.to_thread(last_words, order.log, before)


def end_soon(process: Running) -> None:
    """Ask an enclave to end, and end it if it does not."""
    process.end()
    asyncio.get_running_loop().call_later(END_SECONDS, process.kill)


async def end_now(process: Running) -> None:
    """Ask an enclave to end, end it if it does not, and return when it has."""
    process.end()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
