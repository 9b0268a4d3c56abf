# SPDX-License-Identifier: Apache-2.0
"""Calls that the authority answers: the host passes request and reply on, and reads neither."""

from typing import Any

import grpc.aio
from google.protobuf.message import Message

from placet.host.enclaves.authority import AuthorityLine
from placet.proto.v1 import enclaves_pb2

Context = grpc.aio.ServicerContext[Any, Any]


class Forwarding:
    """A service some of whose methods are made by `forwarded`."""

    def __init__(self, line: AuthorityLine) -> None:
        self.line = line


# The stubs declare methods, and type checkers let nothing else take their place.
def forwarded(kind: enclaves_pb2.Kind.ValueType, reply: type[Message]) -> Any:
    """The method of a service that passes its call on as a frame of this kind; see
    `AuthorityLine.request`."""

    async def call(self: Forwarding, request: Message, context: Context) -> Message:
        return await self.line.request(kind, request, reply)

    return call
