# SPDX-License-Identifier: Apache-2.0
"""What a thousand watches that nobody tells anything cost the host, in resident memory.

Each client watches the jobs of a proposal, of which there are none; ten clients share a connection.

    python bench/watches.py
"""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from _figures import Figure, arguments, figure, tell
from _host.council import Scene, connected, scene
from _inference.process import find_process

from placet.proto.limits import MIB
from placet.proto.v1 import runs_pb2, runs_pb2_grpc

A_CONNECTION = 10
LIMIT_MB = 60


def run(watches: int) -> Iterator[Figure]:
    """The line to print."""
    room = str(2 * watches)
    with scene(1, ("--max-watchers", room, "--max-calls", room)) as made:
        grown = asyncio.run(measure(made, watches)) / MIB
    yield figure("watch_1000_mb", grown, "MiB", LIMIT_MB, grown / LIMIT_MB, watches=watches)


async def measure(made: Scene, watches: int) -> int:
    """Bytes that the host has more once all of them are open."""
    host = find_process("placet.host", str(made.folder))
    async with AsyncExitStack() as stack:
        before, calls = 0, list[Any]()
        for number in range(-1, watches // A_CONNECTION):
            own = connected(made.address, made.certificate, own=True)
            channel = await stack.enter_async_context(own)
            metadata = await made.login(channel)
            runs = runs_pb2_grpc.RunsStub(channel)
            request = runs_pb2.WatchRequest(proposal=made.proposal)
            opened = [runs.Watch(request, metadata=metadata) for _ in range(A_CONNECTION)]
            await asyncio.gather(*(call.initial_metadata() for call in opened))
            calls += opened
            if number == -1:  # what the first ones take is the host's own
                before = host.memory
        await asyncio.sleep(1)
        return host.memory - before


if __name__ == "__main__":
    small = arguments(__doc__).parse_args().small
    tell(run(20 if small else 1000))
