# SPDX-License-Identifier: Apache-2.0
"""What every call to a Placet service passes before all else: it is counted, and told who answers.

A method that there is not has no handler, and so no label. `placet doctor` asks with a call what
time it is here, and which release this is; the answer comes with the call's end.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from importlib.metadata import version
from typing import Any

import grpc
import grpc.aio

from placet.host.calls.handlers import Found, Handler, behaviour_of, remade
from placet.host.seen.metrics import Metrics
from placet.proto.limits import ASK_KEY, RELEASE_KEY, TIME_KEY

Context = grpc.aio.ServicerContext[Any, Any]
_PREFIX = "/placet.v1."
RELEASE = version("placet")


class SeenCalls(grpc.aio.ServerInterceptor):
    """The first of the interceptors."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Found]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Found:
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(_PREFIX):
            return handler
        return _seen(handler, handler_call_details, self._metrics)


def _seen(handler: Handler, details: grpc.HandlerCallDetails, metrics: Metrics) -> Handler:
    inner = behaviour_of(handler)
    method = details.method.removeprefix(_PREFIX)
    given: Any = details.invocation_metadata or ()
    asked = any(key == ASK_KEY for key, _ in given)

    async def unary(request: Any, context: Context) -> Any:
        with metrics.call(method, context):
            if asked:
                context.set_trailing_metadata(_who_answers())
            return await inner(request, context)

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        with metrics.call(method, context):
            async with aclosing(inner(request, context)) as messages:
                async for message in messages:
                    yield message

    return remade(handler, unary, stream)


def _who_answers() -> tuple[tuple[str, str], ...]:
    return (TIME_KEY, str(time.time_ns() // 1_000_000)), (RELEASE_KEY, RELEASE)
