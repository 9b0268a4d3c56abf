# SPDX-License-Identifier: Apache-2.0
"""Keeping a lease: renewed well before its deadline, and the process ends with it, whatever the
program is doing.

The deadline is the kernel's: a timer that ends the process even where native code holds the
interpreter. The clock, and what the host passes on as the authority's answer, are the host's; a
host that lies about them keeps a worker running, and the authority then refuses the release.
"""

import asyncio
from collections.abc import Callable

from placet.enclave import _kernel
from placet.enclave.connection import Connection
from placet.enclave.worker.leaving import EXIT_DEADLINE, end
from placet.enclave.worker.program import progress_clock
from placet.proto.frames import LinkClosed
from placet.proto.refusals import refusal_of
from placet.proto.v1 import enclaves_pb2
from placet.refusals import DeadlinePassed, Refused

_RENEWALS_A_LEASE = 3
_SHORTEST_WAIT = 0.05


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
        self._deadline = min(progress_clock() + lease_seconds, self._ends)
        _kernel.exit_at(self.seconds_left, EXIT_DEADLINE)

    @property
    def seconds_left(self) -> float:
        """For how long the process has still to live, unless the lease is renewed."""
        return max(self._deadline - progress_clock(), 0.0)

    def start(self, lease_seconds: float) -> None:
        """Begin to renew; called on the stream's loop."""
        self._task = asyncio.get_running_loop().create_task(self._renew(lease_seconds))

    async def stop(self) -> None:
        """Renew no more; the deadline stands."""
        if self._task is not None:
            self._task.cancel()

    async def _renew(self, lease_seconds: float) -> None:
        """A refusal ends the attempt at once; no answer is asked for again, until the deadline."""
        while True:
            wait = max(lease_seconds / _RENEWALS_A_LEASE, _SHORTEST_WAIT)
            await asyncio.sleep(wait)
            request = enclaves_pb2.RenewRequest(lease=self._lease)
            asked = progress_clock()
            try:
                reply = await self._connection.link.request(
                    enclaves_pb2.KIND_RENEW, request, peer="authority", timeout=wait
                )
            except DeadlinePassed:
                continue
            except LinkClosed:
                return
            except Refused as refusal:
                await end(self._connection, self._lease, refusal_of(refusal))
                return
            # Counted from when it was asked for: what the answer took on its way is part of it.
            lease_seconds = enclaves_pb2.Renewed.FromString(reply).remaining_ms / 1000
            self.arm(lease_seconds - (progress_clock() - asked))
            if self.renewed is not None:
                self.renewed()
