# SPDX-License-Identifier: Apache-2.0
"""What every call to a Placet service passes first: version, size, and one way for errors to leave.

1. The metadata must name this version of the wire, once.
2. Every message that comes in must be within the bound of its kind.
3. A refusal leaves by the table; any other exception leaves as INTERNAL with a fixed text, and the
   log gets its type and place only.
4. A call with one question and one answer ends with STORE_UNAVAILABLE where nothing becomes durable
   for a while.

Services that are not Placet's (health, reflection) pass untouched.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeAlias, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from placet.host.calls.bounds import MAX_BYTES, within_bound
from placet.host.calls.refusals import abort
from placet.host.logs import place_of
from placet.proto.limits import VERSION_KEY, WIRE_VERSION
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2
from placet.refusals import MessageTooLarge, WireVersion

_PREFIX = "/placet.v1."
_NOT_STORED = frozenset({"/placet.v1.Inference/Predict"})  # nothing of it waits for the store
_log = logging.getLogger("placet.host.calls")
Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
M = TypeVar("M", bound=Message)
Steady = Callable[[], AbstractAsyncContextManager[None]]

# By (request streams, response streams).
_MAKERS: dict[tuple[bool, bool], Any] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class WireInterceptor(grpc.aio.ServerInterceptor):
    """`steady` is the store's."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_PREFIX):
            return handler
        spoken = [
            value
            for key, value in cast("Any", handler_call_details.invocation_metadata or ())
            if key == VERSION_KEY
        ]
        waits = not handler.request_streaming and method not in _NOT_STORED
        steady = self._steady if waits else nullcontext
        return _wrap(handler, method, spoken == [str(WIRE_VERSION)], steady)


def _wrap(handler: Any, method: str, version_fits: bool, steady: Steady) -> Handler:
    """The same handler behind the checks; streams in and out keep their kind."""
    inner = next(
        behaviour
        for behaviour in (
            handler.unary_unary,
            handler.unary_stream,
            handler.stream_unary,
            handler.stream_stream,
        )
        if behaviour is not None
    )

    def taken(request: Any) -> Any:
        if not version_fits:
            raise _wrong_version()
        return _each_within(request) if handler.request_streaming else _within(request)

    async def unary(request: Any, context: Context) -> Any:
        try:
            async with steady():
                return await inner(taken(request), context)
        except Exception as error:  # noqa: BLE001
            await _leave(context, error, method)

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            async for message in inner(taken(request), context):
                yield message
        except Exception as error:  # noqa: BLE001
            await _leave(context, error, method)

    make = _MAKERS[(handler.request_streaming, handler.response_streaming)]
    wrapped = make(
        stream if handler.response_streaming else unary,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
    return cast("Handler", wrapped)


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


def _wrong_version() -> WireVersion:
    return WireVersion(
        f"This host speaks version {WIRE_VERSION} of the wire; send it as metadata {VERSION_KEY}.",
        claim=VERSION_KEY,
        expected=str(WIRE_VERSION),
        remedy="Use a client of the same version as the host.",
    )


async def _leave(context: Context, error: Exception, method: str) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    refusal = refusal_of(error)
    if refusal.reason == common_pb2.REASON_INTERNAL:
        _log.error("fault method=%s kind=%s at=%s", method, type(error).__name__, place_of(error))
    await abort(context, refusal)
