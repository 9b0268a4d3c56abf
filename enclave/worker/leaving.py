# SPDX-License-Identifier: Apache-2.0
"""How a worker's process ends, and with which code (the host reads both, and can rely on
neither)."""

import asyncio
import os

from placet.enclave.connection import Connection
from placet.proto.frames import LinkClosed
from placet.proto.v1 import common_pb2, enclaves_pb2

EXIT_RELEASED = 0
EXIT_ENDED = 70
EXIT_HOST_GONE = 75
EXIT_DEADLINE = 86
EXIT_LEASE_OVER = 87

_SENDING_SECONDS = 5.0


async def end(connection: Connection, lease: str, refusal: common_pb2.Refusal) -> None:
    """Say how the attempt ended, and leave the process, whatever the program is doing. Does not
    return."""
    try:
        message = enclaves_pb2.Ended(lease=lease, refusal=refusal)
        connection.link.send(enclaves_pb2.KIND_ENDED, message)
    except LinkClosed:
        pass
    await leave(connection, EXIT_ENDED)


async def leave(connection: Connection, code: int) -> None:
    """Send what is queued and end the process; a host that does not take it in is not waited for
    long. Does not return. Whoever comes second waits for the end that the first one brings: to
    close the stream twice would cut off what the first one says."""
    if connection.leaving:
        await asyncio.get_running_loop().create_future()
    connection.leaving = True
    try:
        async with asyncio.timeout(_SENDING_SECONDS):
            await connection.close()
    finally:
        # Also when it is cancelled: this may run in a task of the very link that closes.
        os._exit(code)
