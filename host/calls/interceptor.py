# SPDX-License-Identifier: Apache-2.0
"""What every call passes first: the gate, version, size, and one way for errors to leave.

1. The gate lets the caller in, or not, before a byte of its message is read (callers/gate.py). So a
   call with one question is served like one with many, and its question is asked for.
2. The metadata must name this version of the wire, once, and the connection be TLS 1.3: gRPC's
   Python server shakes hands over 1.2 as well, and no setting keeps it from that.
3. Every message that comes in must be within the bound of its kind.
4. A refusal leaves by the table; any other exception leaves as INTERNAL with a fixed text, and the
   log gets its type and place only. A stranger's leaves when the gate lets it: one that is refused
   without end is refused slowly.
5. A call with one question and one answer ends with STORE_UNAVAILABLE where nothing becomes durable
   for a while.
6. A stranger's call ends after `_STRANGER_SECONDS`, read or not.

Health and reflection are not Placet's: they pass the gate, and nothing else is asked of them. A
stranger's stream of questions without end is answered slowly.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from inspect import isawaitable
from typing import Any, Protocol, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from placet.host.callers.caller import Caller, Role, current
from placet.host.calls.bounds import MAX_BYTES, within_bound
from placet.host.calls.handlers import Found, Handler, behaviour_of, remade
from placet.host.calls.refusals import abort
from placet.host.logs import place_of
from placet.proto.limits import VERSION_KEY, WIRE_VERSION
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2
from placet.refusals import DeadlinePassed, MessageTooLarge, RequestMalformed, WireVersion

_PREFIX = "/placet.v1."
_TLS = "TLSv1.3"
_NOT_STORED = frozenset({"/placet.v1.Inference/Predict"})  # nothing of it waits for the store
_READ_SECONDS = 30.0  # within which a call's one question has come
_STRANGER_SECONDS = 300.0
_log = logging.getLogger("placet.host.calls")
Context = grpc.aio.ServicerContext[Any, Any]
M = TypeVar("M", bound=Message)
Steady = Callable[[], AbstractAsyncContextManager[None]]


class Gate(Protocol):
    def admit(
        self, method: str, metadata: "dict[str, str]", peer: str
    ) -> AbstractAsyncContextManager[Caller]:
        """Let a call of "Service.Method" in until it has ended, or raise."""
        ...

    async def late(self, caller: Caller) -> None:
        """Return when a refusal of this caller's may leave, or the next answer of a stream."""
        ...


class WireInterceptor(grpc.aio.ServerInterceptor):
    """Of one server. `steady` is the store's."""

    def __init__(self, gate: Gate, steady: Steady) -> None:
        self._gate = gate
        self._steady = steady
        self._made: dict[str, Handler] = {}  # by method: a server's handlers stay

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Found]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Found:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        if method not in self._made:
            self._made[method] = self._make(handler, method)
        return self._made[method]

    def _make(self, handler: Handler, method: str) -> Handler:
        waits = not handler.request_streaming and method not in _NOT_STORED
        steady = self._steady if method.startswith(_PREFIX) and waits else nullcontext
        return _Call(self._gate, handler, method, steady).handler()


class _Call:
    """One method behind the checks; its answers keep their kind."""

    def __init__(self, gate: Gate, handler: Handler, method: str, steady: Steady) -> None:
        self._gate = gate
        self._handler = handler
        self._method = method
        self._steady = steady
        self._ours = method.startswith(_PREFIX)
        service, _, name = method.rpartition("/")
        self._name = f"{service.rpartition('.')[2]}.{name}"
        self._inner: Any = behaviour_of(handler)

    def handler(self) -> Handler:
        return remade(self._handler, self._unary, self._stream, asks=True)

    async def _unary(self, messages: AsyncIterator[Any], context: Context) -> Any:
        try:
            async with self._admitted(context), self._steady():
                return await self._inner(await self._taken(messages), context)
        except Exception as error:  # noqa: BLE001
            await self._leave(context, error)

    async def _stream(self, messages: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        try:
            async with self._admitted(context):
                answers = self._inner(await self._taken(messages), context)
                if isawaitable(answers):  # health writes its answers by itself
                    await answers
                    return
                async with aclosing(answers):
                    async for answer in answers:
                        yield answer
        except Exception as error:  # noqa: BLE001
            await self._leave(context, error)

    @asynccontextmanager
    async def _admitted(self, context: Context) -> AsyncGenerator[None]:
        """Rules 1, 2 and 6."""
        given = list(cast("Any", context.invocation_metadata() or ()))
        async with self._gate.admit(self._name, dict(given), context.peer()) as caller:
            if self._ours:
                _check_tls(context)
            spoken = [value for key, value in given if key == VERSION_KEY]
            if self._ours and spoken != [str(WIRE_VERSION)]:
                raise _wrong_version()
            async with _bounded(caller):
                yield

    async def _taken(self, messages: AsyncIterator[Any]) -> Any:
        """What the method is given: its one question, or the stream of them."""
        if self._handler.request_streaming:
            return _each_within(messages) if self._ours else self._slowly(messages)
        try:
            async with asyncio.timeout(_READ_SECONDS):
                question = await anext(aiter(messages), None)
        except TimeoutError:
            raise DeadlinePassed("The call's message did not come in time. Try again.") from None
        if question is None:
            raise RequestMalformed("The call has no message.")
        return _within(question) if self._ours else question

    async def _slowly(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for message in messages:
            await self._gate.late(current())
            yield message

    async def _leave(self, context: Context, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        refusal = refusal_of(error)
        if refusal.reason == common_pb2.REASON_INTERNAL:
            kind, place = type(error).__name__, place_of(error)
            _log.error("fault method=%s kind=%s at=%s", self._method, kind, place)
        await self._gate.late(current())
        await abort(context, refusal)


@asynccontextmanager
async def _bounded(caller: Caller) -> AsyncGenerator[None]:
    """Rule 6. Raises `DeadlinePassed`."""
    if caller.role is not Role.STRANGER:
        yield
        return
    bound = asyncio.timeout(_STRANGER_SECONDS)
    try:
        async with bound:
            yield
    except TimeoutError:
        if not bound.expired():
            raise
        raise DeadlinePassed(
            f"A call without a login lasts {_STRANGER_SECONDS:g} seconds. Log in, or call again."
        ) from None


def _within(message: M) -> M:
    if not within_bound(message):
        name = message.DESCRIPTOR.name
        bound = MAX_BYTES.get(message.DESCRIPTOR.full_name, 0)
        raise MessageTooLarge(
            f"A {name} has at most {bound} bytes; this one has {message.ByteSize()}.",
            claim=name,
            expected=str(bound),
            actual=str(message.ByteSize()),
        )
    return message


async def _each_within(messages: AsyncIterator[M]) -> AsyncIterator[M]:
    async for message in messages:
        yield _within(message)


def _check_tls(context: Context) -> None:
    """Raises `WireVersion` over an older TLS."""
    spoken = b"".join(context.auth_context().get("ssl_tls_version", ())).decode()
    if spoken != _TLS:
        raise WireVersion(
            f"This host speaks {_TLS} only.", claim="tls", expected=_TLS, actual=spoken or "none"
        )


def _wrong_version() -> WireVersion:
    return WireVersion(
        f"This host speaks version {WIRE_VERSION} of the wire; send it as metadata {VERSION_KEY}.",
        claim=VERSION_KEY,
        expected=str(WIRE_VERSION),
        remedy="Use a client of the same version as the host.",
    )
