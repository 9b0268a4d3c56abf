# SPDX-License-Identifier: Apache-2.0
"""How the bytes of a put come in: one step after the other, while no newer put of the blob has
taken over, and while something comes at all."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from placet.host.blobs._put import Put
from placet.host.blobs.room import disk_refusal
from placet.refusals import BlobConflict, DeadlinePassed

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Digest:
    """SHA-256 of all bytes of a put, which comes after the last of them."""

    sha256: bytes


class Slot:
    """Who may write a blob: the newest put of it, one step at a time."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.newest = 0
        self.users = 0


class Turns:
    """The steps of one put, each in a thread, while no newer one has taken over."""

    def __init__(self, slot: Slot, turn: int) -> None:
        self._slot = slot
        self._turn = turn

    async def step(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Raises `BlobConflict`, or `StoreUnavailable` where the disk takes nothing more."""
        async with self._slot.lock:
            if self._slot.newest != self._turn:
                raise BlobConflict("A newer put of this blob took over.")
            try:
                return await to_end(function, *args, **kwargs)
            except Exception as error:
                refusal = disk_refusal(error)
                if refusal is None:
                    raise
                raise refusal from None


async def receive(
    put: Put,
    offset: int,
    pieces: AsyncIterator[bytes | Digest],
    turns: Turns,
    written: Callable[[int], None],
) -> bool:
    """Begin at the offset, write whole parts, and complete the blob if all of it came; whether it
    is complete. `written` is told the bytes that are on the disk."""
    if await turns.step(put.begin, offset):
        return True

    async def write(part: int, data: memoryview) -> None:
        # The digest is made on another core, while the disk takes its time.
        hashing = asyncio.create_task(asyncio.to_thread(put.hash, data))
        try:
            await turns.step(put.write, part, data)
        finally:
            await asyncio.wait([hashing])
        written(len(data))

    pending: asyncio.Task[None] | None = None
    try:
        async for piece in pieces:
            if isinstance(piece, Digest):
                put.expect(piece.sha256)
                break
            # One part is written while the next one is received.
            for part, data in put.take(piece):
                if pending is not None:
                    await pending
                pending = asyncio.create_task(write(part, data))
        if pending is not None:
            await pending
    except BaseException:
        if pending is not None:
            await asyncio.wait([pending])
            pending.exception()
        raise
    if put.whole:
        await turns.step(put.complete)
    return put.whole


async def not_idle(items: AsyncIterator[T], seconds: float) -> AsyncGenerator[T, None]:
    """The items as they come; raises `DeadlinePassed` where none comes for so long."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                item = await anext(items)
        except StopAsyncIteration:
            return
        except TimeoutError:
            text = f"Nothing came for {seconds:g} s, so the put was ended. Resume it."
            raise DeadlinePassed(text, claim="chunk") from None
        yield item


async def to_end(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run in a thread; a cancelled caller waits for its end, so that it never leaves a lock
    early."""
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
