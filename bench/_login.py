# SPDX-License-Identifier: Apache-2.0
"""What raw calls of a benchmark bring along, as those of the SDK do: a login."""

import grpc.aio

from placet.client import Keys
from placet.client.connection.access import Access, Metadata
from placet.proto.v1 import access_pb2_grpc


async def login(channel: grpc.aio.Channel, charter: str, pin: str, keys: Keys) -> Metadata:
    """Log in over a channel, in a council by its charter's digest."""
    stub = access_pb2_grpc.AccessStub(channel)
    return await Access(stub, keys, lambda: charter, pin, None).ready()
