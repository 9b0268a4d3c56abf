# SPDX-License-Identifier: Apache-2.0
"""One end of an Attach stream: requests with replies, and frames coalesced into messages.

    link = Link(handle)                       # handle(frame) answers requests of the other side
    writer: `async for message in link.outgoing()` sends what is queued, several frames a message
    reader: `link.receive(message)` for every message that arrives
    reply = await link.request(Kind.KIND_COMMIT, commit)

Rules: a frame's id is unique on its stream; a reply names the id that it answers; a refusal is a
reply of kind KIND_REFUSAL and is raised as `Refused`; an exception of a handler leaves as a
refusal; after `close` every request that waits is refused. All of it runs in one event loop and
takes no lock.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from google.protobuf.message import DecodeError, Message

from placet.proto.limits import MAX_COALESCED, MAX_FRAME
from placet.proto.refusals import INTERNAL_TEXT, error_of, refusal_of
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import AuthorityUnavailable, DeadlinePassed, MessageTooLarge

Handler = Callable[[enclaves_pb2.Frame], Awaitable[Message | bytes | None]]

DEFAULT_TIMEOUT = 30.0
_log = logging.getLogger("placet.link")


class LinkClosed(AuthorityUnavailable):
    """The stream ended while a reply was awaited, or before a frame could be sent."""


class Link:
    """One end of an Attach stream. `handle` answers the other side's requests; None means that no
    reply is owed."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._queue: deque[enclaves_pb2.Frame] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_id = 1
        self._closed = False

    def send(
        self, kind: enclaves_pb2.Kind.ValueType, message: Message | bytes, *, peer: str = ""
    ) -> None:
        """Queue a frame that wants no reply."""
        self._put(enclaves_pb2.Frame(kind=kind, payload=_payload(message), peer=peer))

    async def request(
        self,
        kind: enclaves_pb2.Kind.ValueType,
        message: Message | bytes,
        *,
        peer: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> bytes:
        """Send a request and return the payload of its reply.

        Raises `Refused`, `DeadlinePassed` after `timeout` seconds, `LinkClosed`, or
        `MessageTooLarge`.
        """
        frame = enclaves_pb2.Frame(
            id=self._next_id,
            kind=kind,
            payload=_payload(message),
            peer=peer,
            deadline_ms=int((time.time() + timeout) * 1000),
        )
        self._next_id += 1
        waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._put(frame)
        self._waiting[frame.id] = waiter
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError:
            raise DeadlinePassed(f"No reply came within {timeout:.0f} s. Try again.") from None
        finally:
            self._waiting.pop(frame.id, None)

    def receive(self, message: enclaves_pb2.Frames) -> None:
        """Take in a message that arrived: settle replies, start handling requests in their
        order."""
        for frame in message.frames:
            if frame.reply_to:
                self._settle(frame)
                continue
            task = asyncio.ensure_future(self._answer(frame))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def outgoing(self) -> AsyncIterator[enclaves_pb2.Frames]:
        """Messages to write, each with as many queued frames as fit, until the link is closed."""
        while True:
            while not self._queue:
                if self._closed:
                    return
                self._wake.clear()
                await self._wake.wait()
            message, size = enclaves_pb2.Frames(), 0
            while self._queue and (not size or size + self._queue[0].ByteSize() <= MAX_COALESCED):
                frame = self._queue.popleft()
                self._queued -= len(frame.payload)
                size += frame.ByteSize()
                message.frames.append(frame)
            yield message

    def close(self) -> None:
        """End the link: nothing more is accepted, requests that wait are refused, handlers are
        cancelled."""
        self._closed = True
        self._wake.set()
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(LinkClosed("The stream ended before the reply. Try again."))
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    @property
    def queued(self) -> int:
        """Bytes of payload that have not left yet."""
        return self._queued

    @property
    def closed(self) -> bool:
        return self._closed

    def _put(self, frame: enclaves_pb2.Frame) -> None:
        if self._closed:
            raise LinkClosed("The stream has ended. Try again once the enclave is back.")
        if len(frame.payload) > MAX_FRAME:
            raise MessageTooLarge(
                f"A frame holds at most {MAX_FRAME} bytes; this one {len(frame.payload)}."
            )
        self._queue.append(frame)
        self._queued += len(frame.payload)
        self._wake.set()

    def _settle(self, frame: enclaves_pb2.Frame) -> None:
        waiter = self._waiting.pop(frame.reply_to, None)
        if waiter is None or waiter.done():
            return
        if frame.kind == enclaves_pb2.KIND_REFUSAL:
            waiter.set_exception(error_of(_refusal_in(frame)))
        else:
            waiter.set_result(frame.payload)

    async def _answer(self, frame: enclaves_pb2.Frame) -> None:
        kind = frame.kind
        try:
            reply = await self._handle(frame)
        except Exception as error:  # noqa: BLE001 - whatever it was leaves as a refusal
            refusal = refusal_of(error)
            if refusal.reason == common_pb2.REASON_INTERNAL:
                # The kind of the fault and where it arose, never its text: that may quote what it
                # was about.
                _log.error(
                    "fault kind=%s frame=%d at=%s", type(error).__name__, kind, _where(error)
                )
            kind, reply = enclaves_pb2.KIND_REFUSAL, refusal
        if frame.id and reply is not None and not self._closed:
            self._put(enclaves_pb2.Frame(reply_to=frame.id, kind=kind, payload=_payload(reply)))


def _payload(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def _refusal_in(frame: enclaves_pb2.Frame) -> common_pb2.Refusal:
    """The refusal that a frame carries; one of our own where it carries something else."""
    try:
        return common_pb2.Refusal.FromString(frame.payload)
    except DecodeError:
        return common_pb2.Refusal(reason=common_pb2.REASON_INTERNAL, message=INTERNAL_TEXT)


def _where(error: BaseException) -> str:
    """File name and line of the innermost frame."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
