# SPDX-License-Identifier: Apache-2.0
"""Those who ask: a call with one question, and a stream with many."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from placet.host.runs.routes import Route
from placet.proto.limits import MAX_COALESCED, MAX_SEALED, MIB
from placet.proto.refusals import error_of, refusal_of
from placet.proto.v1 import inference_pb2
from placet.refusals import MessageTooLarge, QueueFull, RequestMalformed

_MAX_OPEN = 1024  # questions of a stream whose answer has not left
_MAX_ANSWERS = 8 * _MAX_OPEN  # that were not read, most of them refusals then
_MAX_UNREAD = 64 * MIB
_RETRY_MS = 20
_OVERHEAD = 32  # what an answer adds to its data


class Call:
    def __init__(self) -> None:
        self._answer: asyncio.Future[inference_pb2.Answer] = (
            asyncio.get_running_loop().create_future()
        )

    def answered(self, answer: inference_pb2.Answer) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)

    async def ask(self, route: Route, data: bytes, wait_ms: int) -> bytes:
        """The sealed answer. Raises what `Route.ask` raises, or `Refused`."""
        check_sealed(data)
        number = route.ask(self, 0, data, wait_ms)
        try:
            answer = await self._answer
        finally:
            route.cancel(number)
        if answer.HasField("refusal"):
            raise error_of(answer.refusal)
        return answer.data


class Stream:
    """Many questions to one worker; answers leave as they come, as many in a message as there
    are."""

    def __init__(self, route: Route, lease: str) -> None:
        self._route = route
        self._lease = lease
        self._open: dict[int, int] = {}  # the caller's ids -> those of the route
        self._answers: deque[inference_pb2.Answer] = deque()
        self._unread = 0  # bytes
        self._error: Exception | None = None
        self._done = False  # nothing more is asked
        self._wake = asyncio.Event()

    def answered(self, answer: inference_pb2.Answer) -> None:
        self._open.pop(answer.id, None)
        self._unread += len(answer.data)
        if self._unread > _MAX_UNREAD:
            self._fail(QueueFull("The answers are not read. Read them, or ask less at a time."))
            return
        self._answers.append(answer)
        self._wake.set()

    async def read(
        self, first: inference_pb2.Asks, rest: AsyncIterator[inference_pb2.Asks]
    ) -> None:
        """Take in questions until the caller closes its side."""
        try:
            self._take(first)
            async for asks in rest:
                self._take(asks)
        except Exception as error:  # noqa: BLE001
            self._fail(error)
        self._done = True
        self._wake.set()

    async def answers(self) -> AsyncIterator[inference_pb2.Answers]:
        """Messages to write until everything is answered; raises why the stream ended early."""
        while True:
            while not self._answers and self._error is None:
                if self._done and not self._open:
                    return
                self._wake.clear()
                await self._wake.wait()
            if self._error is not None:
                raise self._error
            message, size = inference_pb2.Answers(), 0
            while self._answers and size <= MAX_COALESCED:
                answer = self._answers.popleft()
                size += len(answer.data) + _OVERHEAD
                self._unread -= len(answer.data)
                message.answers.append(answer)
            yield message

    def close(self) -> None:
        for number in self._open.values():
            self._route.cancel(number)
        self._open.clear()

    def _take(self, asks: inference_pb2.Asks) -> None:
        if asks.lease not in ("", self._lease):
            text = "A stream is for one worker. Open another stream for another lease."
            raise RequestMalformed(text, claim="lease", expected=self._lease)
        for ask in asks.asks:
            if ask.id in self._open:
                raise RequestMalformed("Two questions have one id.", claim="id")
            if len(self._answers) >= _MAX_ANSWERS:
                raise QueueFull("The answers are not read. Read them, or ask less at a time.")
            try:
                if len(self._open) + len(self._answers) >= _MAX_OPEN:
                    text = "The stream has too many questions under way."
                    raise QueueFull(text, expected=str(_MAX_OPEN), retry_ms=str(_RETRY_MS))
                data = ask.data
                check_sealed(data)
                self._open[ask.id] = self._route.ask(self, ask.id, data, ask.wait_ms)
            except Exception as error:  # noqa: BLE001
                self.answered(inference_pb2.Answer(id=ask.id, refusal=refusal_of(error)))
        for name in asks.cancelled:
            number = self._open.pop(name, None)
            if number is not None:
                self._route.cancel(number)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake.set()


def check_sealed(data: bytes) -> None:
    """Raises `MessageTooLarge` for more than a sealed question may have."""
    if len(data) > MAX_SEALED:
        raise MessageTooLarge(
            f"A question has at most {MAX_SEALED} bytes. Ask with fewer rows.",
            claim="data",
            expected=f"at most {MAX_SEALED}",
            actual=str(len(data)),
        )
