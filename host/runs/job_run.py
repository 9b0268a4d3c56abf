# SPDX-License-Identifier: Apache-2.0
"""One job that a caller submits: leased at once where a worker is free, or else admitted and made
durable, to wait for one. From there on it is the placement's.

What was begun is finished, though the caller may leave: it finds the job by the same request.
"""

import asyncio
from typing import TYPE_CHECKING

from placet.host.runs.run import Order, Run
from placet.host.store import job_table
from placet.host.store.job_table import NewJob
from placet.proto.v1 import enclaves_pb2
from placet.refusals import BlobIncomplete, BlobNotFound, QueueFull

if TYPE_CHECKING:
    from placet.host.runs.runs import Runs


class JobRun(Run):
    async def begin(self, order: Order, runs: "Runs") -> None:
        """The same request again finds what the first one has made, or is making."""
        if not runs.live(self):
            if self._needs.store.peek(lambda c: job_table.find_job(c, self._id)):
                return
            waiting, most = self._needs.board.waiting, self._needs.config.max_queue
            if waiting + runs.count(JobRun) >= most:
                raise QueueFull(f"{most} jobs wait already. Try again later.")
            runs.spawn(self)
        await asyncio.shield(self.begun)

    async def run(self) -> None:
        try:
            await self._start()
            self.begun.set_result(None)
        except Exception as error:  # noqa: BLE001
            self.refuse(error)

    async def _start(self) -> None:
        facts, needs = self._facts, self._needs
        ticket = self._ticket.SerializeToString()
        new = NewJob(self._id, facts.proposal, facts.program, ticket)
        if await needs.placement.start(new, facts, self._ticket) is None:
            await self._check_bundle()
            await needs.line.request(enclaves_pb2.KIND_ADMIT, self._ticket, enclaves_pb2.Admitted)
            await needs.placement.submit(new, facts, self._ticket)

    async def _check_bundle(self) -> None:
        bundle = self._facts.bundle
        remedy = f"Put the program's bundle as blob {bundle}, then submit again."
        try:
            info = await self._needs.blobs.stat(bundle)
        except BlobNotFound:
            text = "The bundle of the proposal's program is not here."
            raise BlobNotFound(text, claim="program", actual=bundle, remedy=remedy) from None
        if not info.complete:
            text = "The bundle of the proposal's program was not received whole."
            raise BlobIncomplete(text, claim="program", actual=bundle, remedy=remedy)
