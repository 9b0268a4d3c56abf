# SPDX-License-Identifier: Apache-2.0
"""Puts wait their turn: in the order in which they came, owner by owner, and nobody for ever."""

import asyncio
import os
from contextlib import suppress
from typing import Any

from placet.host.blobs.places import PutPlaces
from placet.refusals import QueueFull


def play(story: Any) -> Any:
    return asyncio.run(asyncio.wait_for(story(), 20))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Line:
    """Whoever has had a place, in that order; each keeps it until `release`."""

    def __init__(self, places: PutPlaces) -> None:
        self.places = places
        self.had: list[str] = []
        self.refused: list[str] = []
        self.held: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """`ada1` and `ada2` are of the owner `ada`."""
        for name in names:
            self.held[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._hold(name))
            await settle()

    async def release(self, name: str) -> None:
        self.held[name].set()
        await settle()

    async def _hold(self, name: str) -> None:
        try:
            async with self.places.place(name.rstrip("0123456789")):
                self.had.append(name)
                await self.held[name].wait()
        except QueueFull:
            self.refused.append(name)


def test_who_came_first_is_first_and_owners_take_turns() -> None:
    async def story() -> None:
        line = Line(PutPlaces(1, 100, 10))
        await line.come("ada0", *(f"ada{n}" for n in range(1, 5)), "ben1", "ben2", "cleo1")
        assert line.had == ["ada0"]
        for _ in range(7):
            await line.release(line.had[-1])
        wanted = ["ada0", "ada1", "ben1", "cleo1", "ada2", "ben2", "ada3", "ada4"]
        assert line.had == wanted
        await line.release("ada4")
        await line.come("ben3")  # the place is free again
        assert line.had[-1] == "ben3"
        await line.release("ben3")

    play(story)


def test_no_more_wait_than_may_and_none_for_ever() -> None:
    async def story() -> None:
        line = Line(PutPlaces(1, 2, 0.2))
        await line.come("ada1", "ben1", "cleo1", "dan1")
        assert line.refused == ["dan1"]
        await asyncio.sleep(0.4)
        assert line.refused == ["dan1", "ben1", "cleo1"]
        await line.release("ada1")
        await line.come("ben2", "cleo2", "dan2")  # nothing is left of those that gave up
        assert line.had == ["ada1", "ben2"]
        await line.release("ben2")
        assert line.had == ["ada1", "ben2", "cleo2"]
        for name in ("cleo2", "dan2"):
            await line.release(name)

    play(story)


def test_whoever_goes_while_waiting_takes_no_place_along() -> None:
    async def story() -> None:
        line = Line(PutPlaces(1, 10, 10))
        await line.come("ada1", "ben1", "ben2", "cleo1")
        line.tasks["ben1"].cancel()
        await line.release("ada1")  # in the same moment
        assert line.had == ["ada1", "ben2"]
        line.tasks["ben2"].cancel()
        await settle()
        assert line.had == ["ada1", "ben2", "cleo1"]
        await line.release("cleo1")
        for task in line.tasks.values():
            with suppress(asyncio.CancelledError):
                await task
        await line.come("dan1")
        assert line.had[-1] == "dan1"
        await line.release("dan1")

    play(story)


def test_a_place_that_is_given_to_whoever_just_went_is_passed_on() -> None:
    async def story() -> None:
        line = Line(PutPlaces(1, 10, 10))
        await line.come("ada1", "ben1", "cleo1")
        line.held["ada1"].set()
        while "ben1" not in line.had and not line.tasks["ada1"].done():
            await asyncio.sleep(0)
        line.tasks["ben1"].cancel()
        await settle()
        assert line.had[-1] == "cleo1"
        await line.release("cleo1")

    play(story)


def test_puts_beyond_the_places_wait_and_arrive(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        limits = {"max_puts": 2, "max_puts_waiting": 6, "put_wait_seconds": 20.0}
        async with world.host(**limits) as (_, client):
            held = [client.blobs.Put(metadata=world.metadata) for _ in range(2)]
            for call in held:
                requests = world.put_requests(bytes(2**20), os.urandom(16).hex())
                await call.write(await anext(requests))
            await asyncio.sleep(0.2)
            waiting = [
                asyncio.ensure_future(client.put(b"small", os.urandom(16).hex())) for _ in range(6)
            ]
            await asyncio.sleep(0.2)
            await refused(client.put(b"one more", os.urandom(16).hex()), "QUEUE_FULL")
            assert not any(task.done() for task in waiting)
            for call in held:
                call.cancel()
            assert all(info.complete for info in await asyncio.gather(*waiting))

    run(body())


def test_a_wait_for_a_place_ends(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(max_puts=1, put_wait_seconds=0.3) as (_, client):
            call = client.blobs.Put(metadata=world.metadata)
            await call.write(await anext(world.put_requests(bytes(2**20), os.urandom(16).hex())))
            await asyncio.sleep(0.1)
            await refused(client.put(b"late", os.urandom(16).hex()), "QUEUE_FULL")
            call.cancel()

    run(body())
