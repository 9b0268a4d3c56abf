# SPDX-License-Identifier: Apache-2.0
"""A relay before a host, with the host's own certificate: what a host can do to whoever calls it.

It passes every call on as it is, and notes which. A test may have a method answered otherwise:
`relay.lie("Log.GetDocument", lie)`.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, message_factory

from placet.host.calls.refusals import STATUS_TRAILER, abort
from placet.proto.limits import GRPC_OPTIONS
from placet.proto.refusals import refusal_of
from placet.refusals import Refusal

Ask = Callable[[str, AsyncIterator[bytes]], Any]


class BrokenOff(Exception):
    """Raised by a lie: the connection breaks."""


class Call:
    """A call as a lie sees it. `request` is its only one; None where `requests` are a stream."""

    def __init__(self, method: str, requests: AsyncIterator[bytes], ask: Ask) -> None:
        self._kinds, self._streams = _kinds(method)
        self._method, self._raw, self._ask = method, requests, ask
        self.request: Any = None

    async def begin(self) -> None:
        """Read the request where there is one."""
        if not self._streams:
            self.request = self._kinds[0].FromString(await anext(self._raw))

    async def requests(self) -> AsyncIterator[Any]:
        async for data in self._raw:
            yield self._kinds[0].FromString(data)

    async def forward(self, requests: AsyncIterator[Any] | None = None) -> AsyncIterator[Any]:
        """What the host answers to `request`, or to these."""
        given = _one(self.request) if requests is None else requests
        async for data in self._ask(self._method, _packed(given)):
            yield self._kinds[1].FromString(data)

    async def answer(self) -> Any:
        """The only answer of the host."""
        async for answer in self.forward():
            return answer

    async def other(self, name: str, request: Any) -> Any:
        """What the host answers to another call of whoever calls."""
        method = "/placet.v1." + name.replace(".", "/")
        async for data in self._ask(method, _packed(_one(request))):
            return _kinds(method)[0][1].FromString(data)


def _kinds(method: str) -> tuple[list[Any], bool]:
    """The messages of a method, and whether its requests are a stream."""
    service, _, name = method.lstrip("/").rpartition("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    kinds = (found.input_type, found.output_type)
    return [message_factory.GetMessageClass(kind) for kind in kinds], found.client_streaming


async def _one(request: Any) -> AsyncIterator[Any]:
    yield request


async def _packed(requests: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request.SerializeToString()


Lie = Callable[[Call], Any]


class Relay:
    """Serves in an event loop from `start` to `stop`."""

    def __init__(self) -> None:
        self.address = ""
        self.called: list[str] = []  # methods, in their order
        self._lies: dict[str, Lie] = {}

    def lie(self, method: str, lie: Lie) -> None:
        """Let a coroutine function answer, or an async generator function, which may refuse."""
        self._lies[method] = lie

    def honest(self, *methods: str) -> None:
        """Pass these on again; by default all."""
        for method in methods or tuple(self._lies):
            self._lies.pop(method, None)

    async def start(self, address: str, certificate: bytes, key: bytes) -> None:
        """Serve, and pass calls on to the host at an address."""
        options = (*GRPC_OPTIONS, ("grpc.ssl_target_name_override", "localhost"))
        credentials = grpc.ssl_channel_credentials(certificate)
        self._channel = grpc.aio.secure_channel(address, credentials, options=options)
        self._server = grpc.aio.server(options=GRPC_OPTIONS)
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        own = grpc.ssl_server_credentials([(key, certificate)])
        self.address = f"127.0.0.1:{self._server.add_secure_port('127.0.0.1:0', own)}"
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)
        await self._channel.close()

    async def serve(
        self, method: str, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        """Answer a call."""
        name = method.rpartition(".")[2].replace("/", ".")
        self.called.append(name)
        sent = tuple((k, v) for k, v in context.invocation_metadata() if not _own(k))

        async def ask(method: str, given: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            channel, left = cast("Any", self._channel), context.time_remaining()
            if method in _STREAMS:
                call = channel.stream_stream(method)(given, metadata=sent, timeout=left)
            else:  # whoever sends a stream may lose the refusal of who has not read it
                question = await anext(aiter(given))
                call = channel.unary_stream(method)(question, metadata=sent, timeout=left)
            async for answer in call:
                yield answer

        lie = self._lies.get(name)
        answers = ask(method, requests) if lie is None else _told(lie, Call(method, requests, ask))
        try:
            async for data in answers:
                yield data
        except Refusal as refusal:
            await abort(context, refusal_of(refusal))
        except BrokenOff:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
        except grpc.aio.AioRpcError as error:
            told = [(k, v) for k, v in error.trailing_metadata() or () if k == STATUS_TRAILER]
            await context.abort(error.code(), error.details() or "", tuple(told))


# Methods that take many messages.
_STREAMS = frozenset({"/placet.v1.Blobs/Put", "/placet.v1.Inference/PredictStream"})


def _own(key: str) -> bool:
    """Whether metadata is of gRPC itself."""
    return key == "user-agent" or key.startswith("grpc-")


async def _told(lie: Lie, call: Call) -> AsyncIterator[bytes]:
    await call.begin()
    if inspect.isasyncgenfunction(lie):
        async for message in lie(call):
            yield message.SerializeToString()
    else:
        yield (await lie(call)).SerializeToString()


_handler: Any = grpc.stream_stream_rpc_method_handler


class _Handlers(grpc.GenericRpcHandler):
    """One handler for every method."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method

        async def serve(requests: Any, context: Any) -> AsyncIterator[bytes]:
            async for data in self._relay.serve(method, requests, context):
                yield data

        return _handler(serve)
