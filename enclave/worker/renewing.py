# SPDX-License-Identifier: Apache-2.0
"""Keeping a lease: renewed well before its deadline, and the process ends with it, whatever the
program is doing.

A stall is no refusal. While no answer comes, the renewal is asked for again, several times in what
is left of the lease; what was asked before stands, so a late answer counts. The process ends with
one code where its lease ran out, and with another where the job's own time is over: the first says
nothing about the program.

The deadline is the kernel's: a timer that ends the process even where native code holds the
interpreter. The clock, and what the host passes on as the authority's answer, are the host's; a
host that lies about them keeps a worker running, and the authority then refuses the release.
"""

import asyncio
from collections.abc import Callable

from placet.enclave import _kernel
from placet.enclave.connection import Connection
from placet.enclave.worker.leaving import EXIT_DEADLINE, EXIT_LEASE_OVER, end
from placet.enclave.worker.patience import unanswered
from placet.enclave.worker.program import progress_clock
from placet.proto.frames import LinkClosed
from placet.proto.refusals import refusal_of
from placet.proto.v1 import enclaves_pb2
from placet.refusals import Refusal

_RENEWALS_A_LEASE = 3
_ASKS_A_LEASE = 6  # at most four of them for one renewal: an answered one is an entry of the log
_SHORTEST_WAIT = 0.05

_Answer = asyncio.Future[tuple[float, enclaves_pb2.Renewed]]


class Renewing:
    """Renews one lease. `ends` is when the job's own time is over, by `progress_clock`."""

    def __init__(self, connection: Connection, lease: str, ends: float) -> None:
        self._connection = connection
        self._lease = lease
        self._ends = ends
        self._deadline = ends
        self._task: asyncio.Task[None] | None = None
        self.renewed: Callable[[], None] | None = (
            None  # called after each renewal, on the stream's loop
        )

    def arm(self, lease_seconds: float) -> None:
        """End the process when the lease does, or the job's time, whichever comes first."""
        lease_ends = progress_clock() + lease_seconds
        self._deadline = min(lease_ends, self._ends)
        code = EXIT_LEASE_OVER if lease_ends < self._ends else EXIT_DEADLINE
        _kernel.exit_at(self.seconds_left, code)

    @property
    def seconds_left(self) -> float:
        """For how long the process has still to live, unless the lease is renewed."""
        return max(self._deadline - progress_clock(), 0.0)

    @property
    def work_seconds_left(self) -> float:
        """How long the job's own time still lasts, beyond which no lease is renewed."""
        return max(self._ends - progress_clock(), 0.0)

    def start(self, lease_seconds: float) -> None:
        """Begin to renew; called on the stream's loop."""
        self._task = asyncio.get_running_loop().create_task(self._renew(lease_seconds))

    async def stop(self) -> None:
        """Renew no more; the deadline stands."""
        if self._task is not None:
            self._task.cancel()

    async def _renew(self, lease_seconds: float) -> None:
        """Renew again and again; a refusal ends the attempt at once."""
        while True:
            await asyncio.sleep(max(lease_seconds / _RENEWALS_A_LEASE, _SHORTEST_WAIT))
            try:
                asked, renewed = await self._answer(
                    max(lease_seconds / _ASKS_A_LEASE, _SHORTEST_WAIT)
                )
            except LinkClosed:
                return
            except Refusal as refusal:
                await end(self._connection, self._lease, refusal_of(refusal))
                return
            # Counted from when it was asked for: what the answer took on its way is part of it.
            lease_seconds = renewed.remaining_ms / 1000
            self.arm(lease_seconds - (progress_clock() - asked))
            if self.renewed is not None:
                self.renewed()

    async def _answer(self, patience: float) -> tuple[float, enclaves_pb2.Renewed]:
        """The first answer, and when it was asked for; it is asked for again every `patience`
        seconds. Raises `LinkClosed`, or what refuses the renewal."""
        answer: _Answer = asyncio.get_running_loop().create_future()
        asks = list[asyncio.Task[None]]()
        try:
            while not answer.done():
                asks.append(asyncio.create_task(self._ask(answer)))
                await asyncio.wait([answer], timeout=patience)
            return answer.result()
        finally:
            for ask in asks:
                ask.cancel()

    async def _ask(self, answer: _Answer) -> None:
        """Ask once; nothing is answered where nothing was judged."""
        asked = progress_clock()
        request = enclaves_pb2.RenewRequest(lease=self._lease)
        try:
            reply = await self._connection.link.request(
                enclaves_pb2.KIND_RENEW, request, peer="authority", timeout=self.seconds_left
            )
            if not answer.done():
                answer.set_result((asked, enclaves_pb2.Renewed.FromString(reply)))
        except Refusal as refusal:
            if not answer.done() and not unanswered(refusal):
                answer.set_exception(refusal)
