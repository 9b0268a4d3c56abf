# SPDX-License-Identifier: Apache-2.0
"""Those who ask: a call with one question, and a stream with many.

What is longer than a message goes through in pieces, as they come; a call takes none.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from placet.host.runs.routes import Route
from placet.proto.limits import MAX_COALESCED, MAX_SEALED, MIB
from placet.proto.refusals import error_of, refusal_of
from placet.proto.v1 import inference_pb2
from placet.refusals import DeadlinePassed, MessageTooLarge, QueueFull, RequestMalformed

_MAX_OPEN = 1024  # questions of a stream whose answer has not left
_MAX_ANSWERS = 8 * _MAX_OPEN  # that were not read, most of them refusals then
_MAX_UNREAD = 64 * MIB  # or two of the largest answers
_MAX_BEGUN = 256  # questions of a stream whose last piece has not come
_STALLED = 30.0  # seconds after which the next piece of a question has come
_RETRY_MS = 20
_OVERHEAD = 32  # what an answer adds to its data


@dataclass(slots=True, eq=False)
class _Begun:
    """A question whose last piece has not come: its id on the route, unless it was refused, the
    bytes that are left, and until when the next piece has to be here."""

    number: int | None
    left: int
    until: float


class Call:
    def __init__(self) -> None:
        self._answer: asyncio.Future[inference_pb2.Answer] = (
            asyncio.get_running_loop().create_future()
        )

    def answered(self, answer: inference_pb2.Answer, last: bool) -> None:
        if not last:
            text = "The answer is longer than a message. Ask on a stream."
            answer = inference_pb2.Answer(refusal=refusal_of(MessageTooLarge(text, claim="data")))
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
        self._begun: dict[int, _Begun] = {}  # by the caller's ids
        self._most_unread = max(_MAX_UNREAD, 2 * route.largest)
        self._answers: deque[inference_pb2.Answer] = deque()
        self._unread = 0  # bytes
        self._error: Exception | None = None
        self._done = False  # nothing more is asked
        self._wake = asyncio.Event()

    def answered(self, answer: inference_pb2.Answer, last: bool) -> None:
        if last:
            self._open.pop(answer.id, None)
        self._unread += len(answer.data)
        if self._unread > self._most_unread:
            self._fail(QueueFull("The answers are not read. Read them, or ask less at a time."))
            return
        self._answers.append(answer)
        self._wake.set()

    async def read(
        self, first: inference_pb2.Asks, rest: AsyncIterator[inference_pb2.Asks]
    ) -> None:
        """Take in questions until the caller closes its side."""
        messages = aiter(rest)
        asks: inference_pb2.Asks | None = first
        try:
            while asks is not None:
                self._take(asks)
                asks = await self._next(messages)
            if self._begun:
                raise RequestMalformed("The stream ended within a question.", claim="size")
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

    async def _next(self, messages: AsyncIterator[inference_pb2.Asks]) -> inference_pb2.Asks | None:
        """Room is kept for what has begun to come, so its rest has to follow. Raises
        `DeadlinePassed`."""
        try:
            until = min((begun.until for begun in self._begun.values()), default=None)
            async with asyncio.timeout_at(until):
                return await anext(messages, None)
        except TimeoutError:
            text = f"The rest of a question did not come within {_STALLED:g} s. Ask again."
            raise DeadlinePassed(text, claim="size") from None

    def close(self) -> None:
        for number in self._open.values():
            self._route.cancel(number)
        self._open.clear()

    def _take(self, asks: inference_pb2.Asks) -> None:
        if asks.lease not in ("", self._lease):
            text = "A stream is for one worker. Open another stream for another lease."
            raise RequestMalformed(text, claim="lease", expected=self._lease)
        for ask in asks.asks:
            if ask.id in self._begun:
                self._more(ask)
                continue
            if ask.id in self._open:
                raise RequestMalformed("Two questions have one id.", claim="id")
            if len(self._answers) >= _MAX_ANSWERS:
                raise QueueFull("The answers are not read. Read them, or ask less at a time.")
            if ask.size > len(ask.data):
                self._check_begins(ask)
            number = self._ask(ask)
            if ask.size > len(ask.data):
                until = asyncio.get_running_loop().time() + _STALLED
                self._begun[ask.id] = _Begun(number, ask.size - len(ask.data), until)
        for name in asks.cancelled:
            self._begun.pop(name, None)
            number = self._open.pop(name, None)
            if number is not None:
                self._route.cancel(number)

    def _check_begins(self, ask: inference_pb2.Ask) -> None:
        """Room is kept for all of a question by its first piece, which is a full one, and what is
        begun is remembered, taken or not. Raises `RequestMalformed` or `QueueFull`."""
        if len(ask.data) < MAX_SEALED:
            raise RequestMalformed("The first piece of a question is not full.", claim="size")
        if len(self._begun) >= _MAX_BEGUN:
            raise QueueFull("Too many questions have begun. Send one after the other.")

    def _ask(self, ask: inference_pb2.Ask) -> int | None:
        """Its id on the route; None where it is refused, which is its answer."""
        try:
            if len(self._open) + len(self._answers) >= _MAX_OPEN:
                text = "The stream has too many questions under way."
                raise QueueFull(text, expected=str(_MAX_OPEN), retry_ms=str(_RETRY_MS))
            data = ask.data
            check_sealed(data)
            number = self._route.ask(self, ask.id, data, ask.wait_ms, ask.size)
            self._open[ask.id] = number
            return number
        except Exception as error:  # noqa: BLE001
            self.answered(inference_pb2.Answer(id=ask.id, refusal=refusal_of(error)), True)
            return None

    def _more(self, ask: inference_pb2.Ask) -> None:
        """A further piece; of what was refused it goes nowhere."""
        begun, data = self._begun[ask.id], ask.data
        check_sealed(data)
        begun.left -= len(data)
        begun.until = asyncio.get_running_loop().time() + _STALLED
        if begun.left < 0 or (begun.left and len(data) < MAX_SEALED):
            text = "A question is not as long as it says, or a piece of it is not full."
            raise RequestMalformed(text, claim="size")
        if not begun.left:
            del self._begun[ask.id]
        if begun.number is not None:
            self._route.more(begun.number, data)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake.set()


def check_sealed(data: bytes) -> None:
    """Raises `MessageTooLarge` for more than a sealed question may have."""
    if len(data) > MAX_SEALED:
        raise MessageTooLarge(
            f"A message of a question has at most {MAX_SEALED} bytes. Ask with fewer rows.",
            claim="data",
            expected=f"at most {MAX_SEALED}",
            actual=str(len(data)),
        )
