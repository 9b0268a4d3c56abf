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
    """Of one server, before the interceptor that asks who calls."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._made: dict[str, Handler] = {}  # by method: a server's handlers stay

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Found]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Found:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_PREFIX):
            return handler
        if method not in self._made:
            self._made[method] = _seen(handler, method.removeprefix(_PREFIX), self._metrics)
        return self._made[method]


def _seen(handler: Handler, method: str, metrics: Metrics) -> Handler:
    inner = behaviour_of(handler)

    async def unary(request: Any, context: Context) -> Any:
        with metrics.call(method, context):
            given: Any = context.invocation_metadata() or ()
            if any(key == ASK_KEY for key, _ in given):
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
