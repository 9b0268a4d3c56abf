# SPDX-License-Identifier: Apache-2.0
"""Reads of the checkpoint, 32 under way at once, over the same call to a bare grpc.aio server with
the same TLS, which answers as many bytes from memory.

    python bench/unary.py
"""

import asyncio
from collections.abc import Iterator

import grpc.aio
from _figures import Figure, arguments, figure, ratio, tell
from _host.bare import bare_peer
from _host.council import Scene, connected, scene

from placet.client.connection.access import Metadata
from placet.proto.v1 import log_pb2, log_pb2_grpc

AT_ONCE = 32


def run(calls: int, passes: int) -> Iterator[Figure]:
    """The line to print."""
    with scene(1) as made, bare_peer(made) as bare:
        rates = asyncio.run(timed(made, bare, calls, passes))
    ours, against = rates
    share = ratio(ours, against)
    yield figure("unary_over_bare", max(ours), "calls/s", max(against), share, at_once=AT_ONCE)


async def timed(made: Scene, bare: str, calls: int, passes: int) -> tuple[list[float], list[float]]:
    """Calls a second of each pass, ours and the bare peer's, which take turns."""
    ours, against = list[float](), list[float]()
    async with (
        connected(made.address, made.certificate) as one,
        connected(bare, made.certificate) as other,
    ):
        metadata = await made.login(one)
        for number in range(passes + 1):
            pair = await rate(one, metadata, calls), await rate(other, metadata, calls)
            if number:  # the first pass warms up
                ours.append(pair[0])
                against.append(pair[1])
    return ours, against


async def rate(channel: grpc.aio.Channel, metadata: Metadata, calls: int) -> float:
    """Calls a second over a channel."""
    log = log_pb2_grpc.LogStub(channel)
    left = iter(range(calls))

    async def some() -> None:
        for _ in left:
            await log.GetCheckpoint(log_pb2.GetCheckpointRequest(), metadata=metadata)

    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return calls / (loop.time() - started)


if __name__ == "__main__":
    small = arguments(__doc__).parse_args().small
    tell(run(200, 1) if small else run(4000, 5))
