# SPDX-License-Identifier: Apache-2.0
"""A handler of a method in other clothes: what interceptors do to it, whether messages stream or
not."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Found: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Unary = Callable[[Any, Any], Awaitable[Any]]
Stream = Callable[[Any, Any], AsyncIterator[Any]]

# By (request streams, response streams).
_MAKERS: dict[tuple[bool, bool], Any] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def behaviour_of(handler: Handler) -> Any:
    """What a handler calls."""
    return next(
        behaviour
        for behaviour in (
            handler.unary_unary,
            handler.unary_stream,
            handler.stream_unary,
            handler.stream_stream,
        )
        if behaviour is not None
    )


def remade(handler: Handler, unary: Unary, stream: Stream, *, asks: bool = False) -> Handler:
    """The same handler with another behaviour: `unary` where it gives one answer, else `stream`.
    asks: it is given an iterator also for one question, which is read when it asks for it."""
    make = _MAKERS[(asks or handler.request_streaming, handler.response_streaming)]
    made = make(
        stream if handler.response_streaming else unary,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
    return cast("Handler", made)
