# SPDX-License-Identifier: Apache-2.0
"""Questions that pass a relay: which came, and what the host can do to them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from placet.proto.refusals import refusal_of
from placet.proto.v1 import inference_pb2
from placet.refusals import Refused, WorkerUnavailable
from tests.support.inside.hosted import Hosted
from tests.support.inside.relay import BrokenOff, Call


def refused(reason: str, details: dict[str, str]) -> Refused:
    """A refusal with this reason."""
    return Refused(reason, f"Told by a test: {reason}.", details)


def brief(renew: Callable[..., bytes]) -> Callable[..., bytes]:
    """`Offers.renew` of a lease that is nearly over."""

    def renewed(offers: Any, seconds: float) -> bytes:
        return renew(offers, 0)

    return renewed


class Questions:
    """See the module. The attributes are what tests change."""

    def __init__(self, host: Hosted) -> None:
        self.refusals: list[str | None] = []  # of the next questions, in the clear; None: passed on
        self.details: dict[str, str] = {}  # of those refusals
        self.break_after = -1  # answers on a stream after which it breaks off, once
        self.held: threading.Event | None = None  # answers are given once it is set
        self.away = False  # no worker is told of
        self.told: inference_pb2.Description | None = None  # the newest description
        self.forged: dict[str, Any] = {}  # fields of a description to tell instead
        self.kept: inference_pb2.Description | None = None  # to tell whatever happens
        self.messages: list[tuple[int, int]] = []  # asks and cancelled of each message on a stream
        self._host = host
        host.relay.lie("Inference.Predict", self._predict)
        host.relay.lie("Inference.PredictStream", self._stream)
        host.relay.lie("Inference.Describe", self._describe)

    @property
    def asked(self) -> list[tuple[str, int, int]]:
        """User, counter and rows of each question that a worker took in."""
        return [question for worker in self._host.workers for question in worker.asked]

    @property
    def described(self) -> int:
        """How often a worker was asked for."""
        return self._host.called.count("Inference.Describe")

    @property
    def alone(self) -> int:
        """How many questions came in a call of their own."""
        return self._host.called.count("Inference.Predict")

    @property
    def sent(self) -> int:
        """How many questions came at all."""
        return self.alone + sum(asks for asks, _ in self.messages)

    async def _describe(self, call: Call) -> inference_pb2.Description:
        if self.away:
            raise WorkerUnavailable("No worker serves.")
        if self.kept is not None:
            return self.kept
        told: inference_pb2.Description = await call.answer()
        self.told = told
        kept = {field.name: value for field, value in told.ListFields()}
        return inference_pb2.Description(**{**kept, **self.forged})

    def _refusal(self) -> Refused | None:
        reason = self.refusals.pop(0) if self.refusals else None
        return refused(reason, self.details) if reason else None

    async def _let_go(self) -> None:
        while self.held is not None and not self.held.is_set():
            await asyncio.sleep(0.01)

    async def _predict(self, call: Call) -> inference_pb2.PredictResponse:
        if (refusal := self._refusal()) is not None:
            raise refusal
        answer: inference_pb2.PredictResponse = await call.answer()
        await self._let_go()
        return answer

    async def _stream(self, call: Call) -> AsyncIterator[inference_pb2.Answers]:
        answers: asyncio.Queue[Any] = asyncio.Queue()
        pump = asyncio.create_task(self._pump(call, answers))
        given = 0
        try:
            while (found := await answers.get()) is not None:
                if isinstance(found, Exception):
                    raise found
                await self._let_go()
                given += len(found.answers)
                if 0 <= self.break_after <= given:
                    self.break_after = -1
                    raise BrokenOff
                yield found
        finally:
            pump.cancel()

    async def _pump(self, call: Call, answers: "asyncio.Queue[Any]") -> None:
        """The answers of the host and of this one, and how they end."""
        try:
            async for answer in call.forward(self._asks(call, answers)):
                answers.put_nowait(answer)
            answers.put_nowait(None)
        except Exception as error:  # noqa: BLE001 - raised where they are given
            answers.put_nowait(error)

    async def _asks(self, call: Call, answers: "asyncio.Queue[Any]") -> AsyncIterator[Any]:
        """The questions that are passed on."""
        first = True
        async for message in call.requests():
            if not first:  # which names the lease
                self.messages.append((len(message.asks), len(message.cancelled)))
            first = False
            kept = list[inference_pb2.Ask]()
            for ask in message.asks:
                if (refusal := self._refusal()) is None:
                    kept.append(ask)
                    continue
                answer = inference_pb2.Answer(id=ask.id, refusal=refusal_of(refusal))
                answers.put_nowait(inference_pb2.Answers(answers=[answer]))
            del message.asks[:]
            message.asks.extend(kept)
            yield message
