# SPDX-License-Identifier: Apache-2.0
"""One worker enclave as the pool sees it, from its launch order to its exit code."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from placet.host.enclaves.attach import Session
from placet.host.enclaves.launcher import Running
from placet.proto.v1 import common_pb2


class Phase(Enum):
    """STARTING until the authority let it join, READY as a spare, BUSY with a job, LEAVING at
    last."""

    STARTING = auto()
    READY = auto()
    BUSY = auto()
    LEAVING = auto()


@dataclass(slots=True, eq=False)
class Worker:
    """A worker bound to one program. `exited` gives its exit code, or None if it never started."""

    program: str
    token: str
    folder: Path
    exited: asyncio.Future[int | None]
    phase: Phase = Phase.STARTING
    process: Running | None = None
    session: Session | None = None
    identity: str = ""  # digest of its identity document, known once it joined
    job: str = ""
    refusal: common_pb2.Refusal | None = None  # what it said of its end
    dismissed: bool = False  # the host ended it
    timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])

    @property
    def waiting(self) -> bool:
        """Whether it will be, or is, free for a job."""
        return self.phase in (Phase.STARTING, Phase.READY)

    def cancel_timers(self) -> None:
        """Forget what was planned for it."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
