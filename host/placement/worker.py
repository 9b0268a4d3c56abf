# SPDX-License-Identifier: Apache-2.0
"""One worker enclave as the host sees it, from its launch order to its exit code."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from placet.host.enclaves.attach import Session
from placet.host.enclaves.launcher import Running
from placet.host.enclaves.supervisor import END_SECONDS, end_soon
from placet.proto.v1 import common_pb2

_JOIN_SECONDS = 60.0
_LAPSE_MARGIN = 60.0
_log = logging.getLogger("placet.host.workers")


class Phase(Enum):
    """STARTING until the authority let it join, READY as a spare, BUSY with a job, LEAVING at
    last."""

    STARTING = auto()
    READY = auto()
    BUSY = auto()
    LEAVING = auto()


@dataclass(slots=True, eq=False)
class Worker:
    """A worker bound to one program. `code` is None until it has exited, and if it never
    started."""

    token: str
    program: str
    folder: Path = Path()
    serves: bool = False  # it is a service's
    phase: Phase = Phase.STARTING
    process: Running | None = None
    session: Session | None = None
    identity: str = ""  # digest of its identity document, known once it joined
    job: str = ""
    runs: bool = False  # the job has said that it runs
    refusal: common_pb2.Refusal | None = None  # what it said of its end
    dismissed: bool = False  # the host ended it
    silent: asyncio.Event = field(default_factory=asyncio.Event)  # its stream has ended
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    code: int | None = None
    _timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])

    @property
    def waiting(self) -> bool:
        """Whether it will be, or is, free for a job."""
        return self.phase in (Phase.STARTING, Phase.READY)

    @property
    def beginning(self) -> bool:
        """Whether it has a job that does not run yet."""
        return self.phase is Phase.BUSY and not self.runs

    def launched(self, process: Running) -> None:
        """Its process runs: it ends if it is wanted no more, or does not join in time."""
        self.process = process
        if self.dismissed:
            end_soon(process)
        elif self.phase is Phase.STARTING:
            self._after(_JOIN_SECONDS, process.kill)

    def joined(self, identity: str, lapses: float) -> None:
        """The authority let it join; it is free until shortly before its membership lapses."""
        self.identity, self.phase = identity, Phase.READY
        self.cancel_timers()
        left = lapses - time.time()
        self._after(left - min(_LAPSE_MARGIN, left / 10), self._lapse)

    def take(self, job: str) -> None:
        """It has a job from now on."""
        self.phase, self.job = Phase.BUSY, job
        self.cancel_timers()

    def release(self) -> None:
        """No lease was given to it: it is free again."""
        if self.phase is Phase.BUSY:
            self.phase, self.job = Phase.READY, ""

    def leave(self) -> None:
        """It is done, and is killed if it does not end by itself soon."""
        self.phase = Phase.LEAVING
        self.cancel_timers()
        if self.process is not None:
            self._after(2 * END_SECONDS, self.process.kill)

    async def hear_out(self) -> None:
        """Take in what it said before its process ended, which may still be on its way."""
        if self.session is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self.silent.wait()

    def dismiss(self) -> None:
        self.dismissed = True
        self.leave()
        if self.process is not None:
            end_soon(self.process)

    def cancel_timers(self) -> None:
        """Forget what was planned for it."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, act))

    def _lapse(self) -> None:
        if self.phase is Phase.READY:
            _log.info("lapsing token=%s", self.token[:16])
            self.dismiss()
