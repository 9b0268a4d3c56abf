# SPDX-License-Identifier: Apache-2.0
"""Asking a service: which worker, which session, and what is asked again.

A question alone goes by itself (Predict), strictly in order. When one is under way already, or
where questions may be longer than a message, they go on a stream, up to 32 at a time. Each of the
two roads has a session of its own, so that neither overtakes the other's counters.

Asked again, and at most once: what a session refused that the worker does not know any more, and
what was lost with a worker or with the connection; never what was answered. A worker that has too
much to do is asked again when it says, as often as `patience` lasts. Another worker is verified
before it is asked.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from placet.client.connection.connection import CALL_TIMEOUT, Connection
from placet.client.errors import HostUnreachable
from placet.client.services.chain import ServedWorker
from placet.client.services.questions import QuestionSession, SealedQuestion, User
from placet.client.services.stream import QuestionStream
from placet.client.services.workers import GONE, Workers
from placet.governance.documents.serving import USUAL_QUESTION
from placet.proto.v1 import inference_pb2
from placet.refusals import Refusal, Refused, SessionUnknown

IN_FLIGHT = 32
_LATER = ("QUEUE_FULL", "RATE_EXCEEDED")
_LOST = ("WORKER_UNAVAILABLE", "LEASE_CLOSED", "LEASE_EXPIRED", "LEASE_UNKNOWN")
# A lease is renewed every third of its time, and an offer taken until the one after the next: one
# that was fetched when it was about to be followed has a third left.
_PART_OF_OFFER = 4
_PAUSE = 0.1
_LONGEST_NUMBER = 10  # digits of milliseconds; the host may say anything


class _Lost(Exception):
    """A question whose worker serves no more, or whose connection broke off."""

    def __init__(self, worker: ServedWorker, error: Refused | HostUnreachable) -> None:
        super().__init__()
        self.worker = worker
        self.error = error


class _Road:
    """A session, and the offer that it was opened under."""

    def __init__(self) -> None:
        self._session: QuestionSession | None = None
        self._offer = ""

    @contextmanager
    def sealed(
        self, worker: ServedWorker, user: User, content: bytearray
    ) -> Generator[tuple[QuestionSession, SealedQuestion]]:
        """The question in the running session, or in a new one. The session is dropped with an
        opening that fails: of that it is not known whether it arrived."""
        session, question = self._seal(worker, user, content)
        try:
            yield session, question
        except BaseException as error:
            unknown = isinstance(error, Refusal) and error.reason == "SESSION_UNKNOWN"
            if self._session is session and (unknown or question.counter == 0):
                self._session = None
            raise

    def _seal(
        self, worker: ServedWorker, user: User, content: bytearray
    ) -> tuple[QuestionSession, SealedQuestion]:
        offer = worker.offer
        if self._session is None or self._offer != offer.digest:
            self._session = QuestionSession(offer, offer.document.header.charter, user)
            self._offer = offer.digest
        try:
            return self._session, self._session.question(content)
        except SessionUnknown:
            self._session = None
            return self._seal(worker, user, content)


class Asking:
    """Sealed questions to the workers of one service, as one user, beginning with a worker that was
    verified."""

    def __init__(
        self,
        connection: Connection,
        workers: Workers,
        worker: ServedWorker,
        user: User,
        patience: float,
    ) -> None:
        self.worker = worker
        self._connection = connection
        self._workers = workers
        self._user = user
        self._patience = patience
        self._alone, self._together = _Road(), _Road()
        self._turn = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._stream: QuestionStream | None = None
        self._loop = asyncio.get_running_loop()
        self._answered = self._loop.time()
        self._turned_away = 0  # questions that a busy worker did not take
        self._renew_at = self._answered + worker.offer.document.seconds / _PART_OF_OFFER

    async def ask(self, content: bytearray, deadline: float | None, *, alone: bool) -> memoryview:
        """The packed tensors that answer a question, which is the only one of its caller's or one
        of many.

        deadline: by the loop's clock; None: as long as it takes. Raises `Refused`, `OfferInvalid`,
        `Unreachable`, `AnswerMalformed` or `AnswerForged`.
        """
        since = self._loop.time()
        lost, forgotten = False, -1
        while True:
            await self._renew()
            try:
                answer = await self._once(content, deadline, alone)
            except _Lost as loss:
                if lost:
                    raise loss.error from None
                lost = True
                await self._replace(loss.worker)
            except Refused as refused:
                if refused.reason in _LATER:
                    self._turned_away += 1
                    await self._later(refused, max(since, self._answered))
                elif refused.reason == "SESSION_UNKNOWN" and forgotten != self._turned_away:
                    forgotten = self._turned_away  # what was turned away may have been an opening
                else:
                    raise
            else:
                self._answered = self._loop.time()
                return answer

    async def close(self) -> None:
        """End the stream, if there is one."""
        if self._stream is not None:
            await self._stream.close()

    async def _once(self, content: bytearray, deadline: float | None, alone: bool) -> memoryview:
        usual = self.worker.terms.largest_question <= USUAL_QUESTION
        by_itself = alone and usual and not self._turn.locked()
        async with self._turn if by_itself else self._slots:
            worker = self.worker
            try:
                if by_itself:
                    return await self._predict(worker, content, deadline)
                return await self._streamed(worker, content, deadline)
            except HostUnreachable as error:
                raise _Lost(worker, error) from None
            except Refused as refused:
                if refused.reason in _LOST:
                    raise _Lost(worker, refused) from None
                if refused.reason == "SESSION_UNKNOWN" and self.worker.offer is worker.offer:
                    self._renew_at = self._loop.time()
                raise

    async def _predict(
        self, worker: ServedWorker, content: bytearray, deadline: float | None
    ) -> memoryview:
        connection, left = self._connection, self._left(deadline)
        with self._alone.sealed(worker, self._user, content) as (sealed, question):
            request = inference_pb2.PredictRequest(lease=worker.lease.digest, data=question.data)
            timeout = CALL_TIMEOUT if left is None else left
            answer = await connection.ask(connection.inference.Predict, request, timeout=timeout)
        return sealed.answer(question, answer.data)

    async def _streamed(
        self, worker: ServedWorker, content: bytearray, deadline: float | None
    ) -> memoryview:
        stream, left = await self._stream_to(worker), self._left(deadline)
        # From sealing to queueing nobody else gets a turn, so counters leave in their order.
        with self._together.sealed(worker, self._user, content) as (sealed, question):
            wait_ms = 0 if left is None else max(1, int(left * 1000))
            data = await stream.ask(question.data, wait_ms)
        return sealed.answer(question, data)

    async def _stream_to(self, worker: ServedWorker) -> QuestionStream:
        old, lease = self._stream, worker.lease.digest
        if old is not None and not old.broken and old.lease == lease:
            return old
        await self._connection.access.ready()
        new = self._stream = QuestionStream(self._connection, lease)
        if old is not None:
            await old.close()
        return new

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else deadline - self._loop.time()

    async def _later(self, refused: Refused, since: float) -> None:
        """Wait for as long as the worker says. Raises the refusal where that would be beyond all
        patience."""
        told = refused.details.get("retry_ms", "")
        known = told.isdecimal() and len(told) <= _LONGEST_NUMBER
        pause = max(int(told) / 1000 if known else _PAUSE, _PAUSE / 10)
        if self._loop.time() + pause > since + self._patience:
            raise refused
        await asyncio.sleep(pause)

    async def _renew(self) -> None:
        """Take the worker's newer offer once the one that is used is old: sessions end with the
        offer after the next."""
        if self._loop.time() < self._renew_at:
            return
        async with self._changing:
            if self._loop.time() < self._renew_at:
                return
            old = self.worker.offer
            try:
                self.worker = await self._workers.renewed(self.worker)
            except HostUnreachable:
                pass  # what is asked next tells how things are
            except (Refused, *GONE) as refused:
                if isinstance(refused, Refused) and refused.reason not in _LOST:
                    raise
                self.worker = await self._workers.find(self.worker.service, self._patience)
            share = 2 * _PART_OF_OFFER if self.worker.offer.digest == old.digest else _PART_OF_OFFER
            self._renew_at = self._loop.time() + self.worker.offer.document.seconds / share

    async def _replace(self, lost: ServedWorker) -> None:
        """Find a worker to ask again, unless somebody else has meanwhile."""
        async with self._changing:
            if self.worker.lease.digest == lost.lease.digest:
                service, patience = self.worker.service, self._patience
                self.worker = await self._workers.find(service, patience)
                self._renew_at = (
                    self._loop.time() + self.worker.offer.document.seconds / _PART_OF_OFFER
                )
