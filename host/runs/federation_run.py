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
import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from google.protobuf.message import Message

from placet.governance.federation_state import RoundState
from placet.governance.jobs import round_job
from placet.host.blobs.blob_store import BlobStore
from placet.host.documents import TicketFacts
from placet.host.enclaves.authority import AuthorityLine
from placet.host.errors import AuthorityUnavailable, HostError
from placet.host.logs import place_of
from placet.host.placement.attempt import LINE_REASONS, RETRY_SECONDS
from placet.host.placement.placement import Placement
from placet.host.runs.federation_board import FederationBoard
from placet.host.runs.federation_record import FederationRecord
from placet.host.store import federation_table, job_table
from placet.host.store.federation_table import FAILED
from placet.host.store.job_table import NewJob
from placet.host.store.store import Store
from placet.proto.refusals import PeerRefused, refusal_of
from placet.proto.v1 import common_pb2 as pb
from placet.proto.v1 import enclaves_pb2
from placet.sealing import context

_AGAIN_SECONDS = 1.0  # until the authority is asked again for what is not over yet
_log = logging.getLogger("placet.host.federations")


@dataclass(frozen=True, slots=True)
class RunNeeds:
    """What a federation takes of the rest of the host."""

    store: Store
    board: FederationBoard
    blobs: BlobStore
    line: AuthorityLine
    placement: Placement


class FederationRun:
    def __init__(self, facts: TicketFacts, ticket: pb.Ticket, needs: RunNeeds) -> None:
        self._facts = facts
        self._ticket = ticket
        self._needs = needs
        self._id = facts.proposal
        self._opening = enclaves_pb2.OpenRound(ticket=ticket, federation=facts.proposal)
        self._expecting = 0  # the round that a worker is kept warm for
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Run it to its end."""
        try:
            with self._needs.board.follow(self._id) as wake:
                if await self._enter():
                    while not await self._try_step(wake):
                        pass
        finally:
            self._needs.placement.forget(self._id)
            if not self.begun.done():
                self._refuse_begin(AuthorityUnavailable("The start was interrupted. Ask again."))

    async def _enter(self) -> bool:
        """Keep what its workers are launched with, then make it durable; False if that is refused.

        One that failed goes on unless the authority, asked again, has no round of it.
        """
        try:
            await self._needs.blobs.keep(self._facts.bundle, self._facts.terms)
        except HostError as error:
            self._refuse_begin(error)
            return False
        ticket = self._ticket.SerializeToString()
        await self._write(lambda c: federation_table.insert_federation(c, self._id, ticket))
        record = (await self._needs.board.get(self._id)).record
        if record.row.state != FAILED:
            return True
        refusal = await self._ask(enclaves_pb2.KIND_OPEN_ROUND, self._opening, pb.Committed)
        if refusal is not None and refusal.reason != pb.REASON_ROUND_OPEN:
            self._refuse_begin(PeerRefused(refusal))
            return False
        await self._write(partial(self._resume, record))
        return True

    def _resume(self, record: FederationRecord, connection: sa.Connection) -> None:
        """A round that is still to be aggregated gets a new job for the old."""
        federation_table.resume_federation(connection, self._id)
        if record.job is not None and record.current is not None and not record.current.over:
            job_table.drop_ended(connection, record.job.id)

    async def _try_step(self, wake: asyncio.Event) -> bool:
        """As `_step`; what fails for a reason of the host's own, such as a full disk, is tried
        again."""
        try:
            return await self._step(wake)
        except Exception as error:  # noqa: BLE001
            _log.error("fault kind=%s at=%s", type(error).__name__, place_of(error))
            await asyncio.sleep(_AGAIN_SECONDS)
            return False

    async def _step(self, wake: asyncio.Event) -> bool:
        """Do, or wait for, what comes next; True at the end."""
        wake.clear()
        record = (await self._needs.board.get(self._id)).record
        current = record.current
        if current is not None and not self.begun.done():
            self.begun.set_result(None)
        if record.ended:
            return True
        if current is None or current.over:
            return await self._open(record, wake)
        self._expect(current)
        if current.status == "open":
            return await self._close(record, current, wake)
        return await self._aggregate(record, current, wake)

    async def _open(self, record: FederationRecord, wake: asyncio.Event) -> bool:
        if record.current is not None and record.current.number >= record.facts.rounds:
            return await self._end(None)
        refusal = await self._ask(enclaves_pb2.KIND_OPEN_ROUND, self._opening, pb.Committed)
        if refusal is None or refusal.reason == pb.REASON_ROUND_OPEN:
            await _wait(wake, _AGAIN_SECONDS)
            return False
        if record.current is None:
            await self._write(lambda c: federation_table.drop_federation(c, self._id))
            self._refuse_begin(PeerRefused(refusal))
            return True
        return await self._end(refusal)

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
            await _wait(wake, _AGAIN_SECONDS)
            return False
        return await self._end(refusal)

    async def _aggregate(
        self, record: FederationRecord, current: RoundState, wake: asyncio.Event
    ) -> bool:
        job = record.job
        if job is None:
            new = _job_of(self._facts, current.number)
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
        await self._write(lambda c: federation_table.end_federation(c, self._id, refusal))
        return True

    async def _write(self, change: Callable[[sa.Connection], None]) -> None:
        await self._needs.store.write(change, then=lambda _: self._needs.board.changed(self._id))

    def _refuse_begin(self, error: Exception) -> None:
        self.begun.set_exception(error)
        self.begun.exception()  # after a restart nobody waits for it


def _job_of(facts: TicketFacts, number: int) -> NewJob:
    """The job of a round: the same one whenever it is made."""
    name = context("placet/host/round/v1", facts.proposal.encode(), number.to_bytes(4, "big"))
    return NewJob(
        id=round_job(facts.proposal, number),
        request_id=hashlib.sha256(name).digest()[:16],
        proposal=facts.proposal,
        program=facts.program,
        ticket=b"",
    )


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
