# SPDX-License-Identifier: Apache-2.0
"""One federation that runs: from how the log has it to the next thing that is asked for, until it
has ended.

1. No round yet, or the newest is over: OPEN_ROUND. It was the last one: the federation is finished.
2. The newest round is open: once everybody who may has sent, or its time is over, CLOSE_ROUND.
3. It is closed: its job is made durable and scheduled, and its end awaited. Released, or void for
   want of organisations: the log says so (1). Its attempts are used up: the next round is opened
   all the same (1).
4. Anything else that the authority refuses, or that its job ends with, ends the federation.

All that is known is read from the store before each step, so a lost answer, a restart of the
authority and a restart of the host come to the same: what was done is found done.
"""

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa
from google.protobuf.message import Message

from placet.governance.federation_state import RoundState
from placet.governance.jobs import round_job
from placet.host.placement.attempt import LINE_REASONS, RETRY_SECONDS
from placet.host.runs.federation_record import FederationRecord
from placet.host.runs.run import AGAIN_SECONDS, Needs, Order, Run
from placet.host.store import job_table, run_table
from placet.host.store.job_table import NewJob
from placet.proto.refusals import error_of, refusal_of
from placet.proto.v1 import common_pb2 as pb
from placet.proto.v1 import enclaves_pb2
from placet.refusals import AuthorityUnavailable, QueueFull, Refusal

if TYPE_CHECKING:
    from placet.host.runs.runs import Runs

_BEGIN_SECONDS = 30.0
_log = logging.getLogger("placet.host.federations")


class FederationRun(Run):
    """See the module. It has begun once a round was opened."""

    def __init__(self, order: Order, needs: Needs) -> None:
        super().__init__(order, needs)
        self._opening = enclaves_pb2.OpenRound(ticket=order.ticket, federation=order.run)
        self._expecting = 0  # the round that a worker is kept warm for

    async def begin(self, order: Order, runs: "Runs") -> None:
        """Run it, and return once it has a round; nothing changes if it runs or is finished.

        One that failed goes on; one that was stopped stays so. Without an authority it begins once
        there is one.
        """
        if not runs.live(self):
            most = self._needs.config.max_federations
            if runs.count(FederationRun) >= most:
                raise QueueFull(f"{most} federations run already. Try again later.")
            runs.spawn(self)
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                await asyncio.shield(self.begun)
        except TimeoutError:
            text = "No authority opens the first round now. It is tried again; so ask again."
            raise AuthorityUnavailable(text) from None

    async def run(self) -> None:
        try:
            with self._needs.board.follow(self._id) as wake:
                if await self._enter():
                    await self._steps(lambda: self._step(wake))
        finally:
            self._needs.placement.forget(self._id)

    async def _enter(self) -> bool:
        """Keep what its workers are launched with, then make it durable; False if that is refused.

        One that failed goes on unless the authority, asked again, has no round of it.
        """
        try:
            await self._needs.blobs.keep(self._facts.bundle, self._facts.terms)
        except Refusal as error:
            self.refuse(error)
            return False
        ticket = self._ticket.SerializeToString()
        await self._write(lambda c: run_table.insert_run(c, self._id, "federate", ticket))
        record = await self._record()
        if record.run.state != job_table.FAILED:
            return True
        refusal = await self._ask(enclaves_pb2.KIND_OPEN_ROUND, self._opening, pb.Committed)
        if refusal is not None and refusal.reason != pb.REASON_ROUND_OPEN:
            self.refuse(error_of(refusal))
            return False
        await self._write(partial(self._resume, record))
        return True

    def _resume(self, record: FederationRecord, connection: sa.Connection) -> None:
        """A round that is still to be aggregated gets a new job for the old."""
        run_table.resume_run(connection, self._id)
        if record.job is not None and record.current is not None and not record.current.over:
            job_table.drop_ended(connection, record.job.id)

    async def _step(self, wake: asyncio.Event) -> bool:
        """Do, or wait for, what comes next; True at the end."""
        wake.clear()
        record = await self._record()
        current = record.current
        if current is not None and not self.begun.done():
            self.begun.set_result(None)
        if record.run.ended:
            return True
        if current is None or current.over:
            return await self._open(record, wake)
        self._expect(current)
        if current.status == "open":
            return await self._close(record, current, wake)
        return await self._aggregate(record, current, wake)

    async def _open(self, record: FederationRecord, wake: asyncio.Event) -> bool:
        if record.current is not None and record.current.number >= record.facts.rounds:
            return await self._end(self._stop(record.current))
        refusal = await self._ask(enclaves_pb2.KIND_OPEN_ROUND, self._opening, pb.Committed)
        if refusal is None or refusal.reason == pb.REASON_ROUND_OPEN:
            await _wait(wake, AGAIN_SECONDS)
            return False
        if record.current is None:
            await self._write(lambda c: run_table.drop_run(c, self._id))
            self.refuse(error_of(refusal))
            return True
        return await self._end(refusal)

    def _stop(self, last: RoundState) -> pb.Refusal | None:
        """Why the last round has no future; None where it came to its own end."""
        reason = self._needs.log.stopped(self._id)
        if last.status != "void" or reason is None:
            return None
        return pb.Refusal(reason=reason, message="The federation's proposal was stopped.")

    async def _close(
        self, record: FederationRecord, current: RoundState, wake: asyncio.Event
    ) -> bool:
        left = current.closes + 1 - time.time()  # its last second is part of it
        if not record.complete and left > 0:
            await _wait(wake, left)
            return False
        request = enclaves_pb2.CloseRound(federation=self._id, round=current.number)
        refusal = await self._ask(enclaves_pb2.KIND_CLOSE_ROUND, request, enclaves_pb2.RoundClosed)
        if refusal is None or refusal.reason == pb.REASON_ROUND_OPEN:
            await _wait(wake, AGAIN_SECONDS)
            return False
        return await self._end(refusal)

    async def _aggregate(
        self, record: FederationRecord, current: RoundState, wake: asyncio.Event
    ) -> bool:
        job = record.job
        if job is None:
            name = round_job(self._id, current.number)
            new = NewJob(name, self._id, self._facts.program, ticket=b"")
            await self._needs.placement.submit(new, self._facts, self._ticket)
            return False
        if not job.ended:
            await wake.wait()
            return False
        refusal = pb.Refusal.FromString(job.refusal)
        if refusal.reason == pb.REASON_ATTEMPTS_USED_UP:
            return await self._open(record, wake)
        return await self._end(refusal)

    async def _ask(
        self, kind: enclaves_pb2.Kind.ValueType, request: Message, reply: type[Message]
    ) -> pb.Refusal | None:
        """Ask the authority; its refusal, or None where the log says what came of it."""
        try:
            await self._needs.line.request(kind, request, reply)
        except Exception as error:  # noqa: BLE001
            refusal = refusal_of(error)
            if refusal.reason not in LINE_REASONS:
                return refusal
            await asyncio.sleep(RETRY_SECONDS)
            await self._needs.line.ready()
        return None

    def _expect(self, current: RoundState) -> None:
        """Keep a worker warm for the round, so that it has drawn its noise before the round
        closes."""
        if current.number != self._expecting:
            self._expecting = current.number
            self._needs.placement.expect(self._facts, self._ticket)

    async def _end(self, refusal: pb.Refusal | None) -> bool:
        reason = pb.Reason.Name(refusal.reason) if refusal else "FINISHED"
        _log.info("ended federation=%s reason=%s", self._id, reason)
        await self._write(lambda c: run_table.end_run(c, self._id, refusal))
        return True

    async def _record(self) -> FederationRecord:
        run = await self._needs.board.run(self._id, "federate")
        return FederationRecord.of(run, self._needs.log)


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
