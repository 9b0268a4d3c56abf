# SPDX-License-Identifier: Apache-2.0
"""Questions on one PredictStream: what is queued leaves in one message, and answers come back in
any order.

The order in which `ask` is called is the order on the wire: a session's counters have to rise.
"""

import asyncio
from collections import deque
from typing import Any

import grpc.aio

from placet.client.connection.calls import translated
from placet.client.connection.connection import Connection
from placet.client.connection.told import refused_of
from placet.client.errors import AnswerMalformed, HostUnreachable
from placet.proto.limits import MAX_COALESCED, MAX_WHOLE
from placet.proto.pieces import Arriving, cut
from placet.proto.v1 import inference_pb2
from placet.refusals import Refusal

# Answers that are taken in before whoever waited asks again. Were it all that are under way, user
# and worker would each wait for the other's whole load; with half of it both are at work.
_AT_ONCE = 16
_MOST_ARRIVING = 4 * MAX_WHOLE


class QuestionStream:
    """One stream to the worker of one lease. After it failed it takes nothing more, and another has
    to be opened."""

    def __init__(self, connection: Connection, lease: str) -> None:
        self.lease = lease
        self._call: Any = connection.inference.PredictStream(metadata=connection.access.metadata())
        self._waiting: dict[int, asyncio.Future[bytes | bytearray]] = {}
        self._queued: deque[inference_pb2.Ask] = deque()
        self._arriving = Arriving(MAX_WHOLE, _MOST_ARRIVING)
        self._cancelled: list[int] = []
        self._wake = asyncio.Event()
        self._next = 1
        self._failed: Refusal | None = None
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    @property
    def broken(self) -> bool:
        """Whether it takes nothing more."""
        return self._failed is not None

    def ask(self, data: bytes, wait_ms: int) -> "asyncio.Future[bytes | bytearray]":
        """Queue a sealed question; its sealed answer, or `Refused`, or what the stream failed with.

        Whoever stops waiting cancels the future, and the worker is told.
        """
        answer: asyncio.Future[bytes | bytearray] = asyncio.get_running_loop().create_future()
        if self._failed is not None:
            answer.set_exception(self._failed)
            return answer
        id, self._next = self._next, self._next + 1
        self._waiting[id] = answer
        answer.add_done_callback(lambda done: self._done(id, done))
        for piece, size in cut(data):
            self._queued.append(inference_pb2.Ask(id=id, data=piece, wait_ms=wait_ms, size=size))
        self._wake.set()
        return answer

    async def close(self) -> None:
        """End the stream; what is under way is not answered any more."""
        self._fail(HostUnreachable("The client has been closed. Open a new one."))
        for task in self._tasks:
            task.cancel()
        self._call.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, id: int, answer: "asyncio.Future[bytes | bytearray]") -> None:
        left = self._waiting.pop(id, None) is not None and answer.cancelled()
        if any(ask.id == id for ask in self._queued):  # of what was refused the rest stays here
            self._queued = deque(ask for ask in self._queued if ask.id != id)
            left = True
        if left:
            self._arriving.drop(id)
            self._cancelled.append(id)
            self._wake.set()

    async def _write(self) -> None:
        await self._guarded(self._send())

    async def _read(self) -> None:
        await self._guarded(self._receive())

    async def _send(self) -> None:
        await self._call.write(inference_pb2.Asks(lease=self.lease))
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queued or self._cancelled:
                await self._call.write(self._batch())

    def _batch(self) -> inference_pb2.Asks:
        """What is queued, up to the size of a message."""
        asks, size = inference_pb2.Asks(), 0
        while self._queued and (not size or size + len(self._queued[0].data) <= MAX_COALESCED):
            size += len(self._queued[0].data)
            asks.asks.append(self._queued.popleft())
        asks.cancelled.extend(self._cancelled)
        self._cancelled.clear()
        return asks

    async def _receive(self) -> None:
        while True:
            answers = await self._call.read()
            if answers is grpc.aio.EOF:
                raise HostUnreachable("The host ended the stream. Ask again.")
            for number, answer in enumerate(answers.answers, 1):
                self._answered(answer)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _answered(self, answer: inference_pb2.Answer) -> None:
        if not 0 < answer.id < self._next:
            raise AnswerMalformed("The host answered what was not asked.", claim="id")
        waiting = self._waiting.get(answer.id)
        if waiting is None or waiting.done():
            return  # cancelled in the meantime
        if answer.HasField("refusal"):
            self._arriving.drop(answer.id)
            del self._waiting[answer.id]
            waiting.set_exception(refused_of(answer.refusal))
        elif (data := self._whole(answer)) is not None:
            del self._waiting[answer.id]
            waiting.set_result(data)

    def _whole(self, answer: inference_pb2.Answer) -> bytes | bytearray | None:
        try:
            return self._arriving.add(answer.id, answer.data, answer.size)
        except Refusal:
            raise AnswerMalformed(
                "The pieces of an answer do not fit together.", claim="size"
            ) from None

    async def _guarded(self, work: Any) -> None:
        """Whatever ends reading or writing ends the stream."""
        try:
            with translated():
                await work
        except Refusal as error:
            self._fail(error)
        except asyncio.InvalidStateError:
            return  # written after the stream's end: whoever reads is told how it ended

    def _fail(self, error: Refusal) -> None:
        if self._failed is None:
            self._failed = error
        for waiting in list(self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(self._failed)
        self._waiting.clear()
