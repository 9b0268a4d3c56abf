# SPDX-License-Identifier: Apache-2.0
"""Methods that there are not: whoever calls them without end is told so slowly.

This comes before the other interceptors, so that a name which a caller has made up is no label of a
metric.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from placet.host.callers.caller import stranger
from placet.host.callers.slowly import Slowly
from placet.host.calls.handlers import Found

Context = grpc.aio.ServicerContext[Any, Any]


class UnknownMethods(grpc.aio.ServerInterceptor):
    def __init__(self, slowly: Slowly) -> None:
        self._slowly = slowly
        # gRPC reads nothing of a stream that nobody asks for, so this fits every call.
        self._handler: Any = grpc.stream_stream_rpc_method_handler(self._refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Found]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Found:
        return await continuation(handler_call_details) or self._handler

    async def _refuse(self, _: AsyncIterator[bytes], context: Context) -> None:
        await self._slowly.answer(stranger(context.peer()).id)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
