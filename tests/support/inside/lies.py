# SPDX-License-Identifier: Apache-2.0
"""What connections do to transfers, as a relay can do it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from placet.host.blobs.blob_files import PART
from placet.proto.v1 import blobs_pb2
from tests.support.inside.relay import BrokenOff, Call, Relay


def break_put(relay: Relay, after: int, times: int = 1) -> list[int]:
    """Let puts break off after so many bytes, a few times, of which the host keeps whole parts;
    returns where puts begin, from now on."""
    offsets = list[int]()

    async def lie(call: Call) -> Any:
        broken = asyncio.Event()

        async def some() -> AsyncIterator[Any]:
            taken = 0
            async for request in call.requests():
                if request.HasField("header"):
                    offsets.append(request.header.offset)
                    taken = request.header.offset
                    call.request = request.header
                taken += len(request.chunk)
                if len(offsets) <= times and taken > after:
                    broken.set()
                    await asyncio.Event().wait()
                yield request

        answer, breaks = (
            asyncio.ensure_future(_only(call, some())),
            asyncio.ensure_future(broken.wait()),
        )
        await asyncio.wait([answer, breaks], return_when=asyncio.FIRST_COMPLETED)
        breaks.cancel()
        if not broken.is_set():
            return await answer
        await _kept(call, after // PART * PART)
        answer.cancel()
        raise BrokenOff

    relay.lie("Blobs.Put", lie)
    return offsets


async def _only(call: Call, requests: AsyncIterator[Any]) -> Any:
    async for answer in call.forward(requests):
        return answer


async def _kept(call: Call, size: int) -> None:
    """Wait until the host has so much of a put."""
    request = blobs_pb2.StatRequest(id=call.request.id)
    async with asyncio.timeout(20):
        while (await call.other("Blobs.Stat", request)).received < size:
            await asyncio.sleep(0.01)


def break_get(relay: Relay, after: int) -> list[int]:
    """Let one get break off once so many bytes have come; returns where gets begin, from now on."""
    offsets = list[int]()

    async def lie(call: Call) -> Any:
        offsets.append(call.request.offset)
        taken = call.request.offset
        async for chunk in call.forward():
            if len(offsets) == 1 and taken >= after:
                raise BrokenOff
            taken += len(chunk.data)
            yield chunk

    relay.lie("Blobs.Get", lie)
    return offsets
