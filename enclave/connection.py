# SPDX-License-Identifier: Apache-2.0
"""The one way out of an enclave: it dials the host, attaches, and speaks frames. It never listens.

TLS to the host protects nothing that matters: whatever is secret is sealed inside, and whatever
decides is signed. The host's certificate is taken as the root that the launcher handed over.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from placet.proto.frames import Handler, Link, LinkClosed
from placet.proto.limits import GRPC_OPTIONS, TOKEN_KEY, VERSION_KEY, WIRE_VERSION
from placet.proto.refusals import refusal_of
from placet.proto.v1 import enclaves_pb2, enclaves_pb2_grpc
from placet.refusals import RequestMalformed

_CERTIFICATE_NAME = "localhost"

if TYPE_CHECKING:
    Stream = grpc.aio.StreamStreamCall[enclaves_pb2.Frames, enclaves_pb2.Frames]


class Connection:
    """A channel to the host with the Attach stream on it. `channel` serves unary calls and bulk
    bytes as well."""

    def __init__(self, address: str, certificate: bytes, token: str, handle: Handler) -> None:
        # What every call brings along: the version, and the launch token.
        self.metadata = ((VERSION_KEY, str(WIRE_VERSION)), (TOKEN_KEY, token))
        credentials = grpc.ssl_channel_credentials(root_certificates=certificate)
        options = (*GRPC_OPTIONS, ("grpc.ssl_target_name_override", _CERTIFICATE_NAME))
        self.channel = grpc.aio.secure_channel(address, credentials, options=options)
        self.link = Link(handle)
        self.enclave_id = ""
        self.leaving = False  # set by whoever is about to close it
        self._tasks: list[asyncio.Task[None]] = []

    async def attach(self, role: str) -> None:
        """Open the stream by the launch token, and say hello. Raises `RequestMalformed` if the host
        speaks another version."""
        stub = enclaves_pb2_grpc.EnclavesStub(self.channel)
        call = stub.Attach(metadata=self.metadata)
        self._tasks = [
            asyncio.create_task(self._write(call)),
            asyncio.create_task(self._read(call)),
        ]
        hello = enclaves_pb2.Hello(wire_version=WIRE_VERSION, role=role)
        reply = await self.link.request(enclaves_pb2.KIND_HELLO, hello)
        welcome = enclaves_pb2.Welcome.FromString(reply)
        if welcome.wire_version != WIRE_VERSION:
            raise RequestMalformed(
                "The host speaks another version of the wire.",
                claim="wire_version",
                expected=str(WIRE_VERSION),
                actual=str(welcome.wire_version),
            )
        self.enclave_id = welcome.enclave_id

    def say_why(self, error: Exception) -> None:
        """Tell the host why we end without a lease, if it still hears us; `close` sends it."""
        with suppress(LinkClosed):
            message = enclaves_pb2.Ended(refusal=refusal_of(error))
            self.link.send(enclaves_pb2.KIND_ENDED, message)

    async def ended(self) -> None:
        """Return once the stream has ended, from either side."""
        await asyncio.wait(self._tasks[1:])

    async def close(self) -> None:
        """Send what is queued, end the stream, and wait until the host has taken it in."""
        self.link.close()
        await asyncio.wait(self._tasks, timeout=5)
        await self.channel.close()

    async def _write(self, call: "Stream") -> None:
        try:
            async for message in self.link.outgoing():
                await call.write(message)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            self.link.close()

    async def _read(self, call: "Stream") -> None:
        try:
            async for message in call:
                self.link.receive(message)
        except grpc.aio.AioRpcError:
            pass
        finally:
            self.link.close()
