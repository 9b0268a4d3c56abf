# SPDX-License-Identifier: Apache-2.0
"""Links: two of them, wired to each other in memory, speak as the two ends of an Attach stream
do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

import pytest

from placet.proto.frames import Handler, Link, LinkClosed
from placet.proto.limits import MAX_COALESCED, MAX_FRAME
from placet.proto.refusals import INTERNAL_TEXT, error_of, refusal_of
from placet.proto.v1 import common_pb2
from placet.proto.v1 import enclaves_pb2 as pb
from placet.refusals import DeadlinePassed, MessageTooLarge, Refusal, Refused

KIND = pb.KIND_EVIDENCE


class Wire:
    """Two links and the tasks that carry messages between them; counts what it carries."""

    def __init__(self, here: Handler, there: Handler) -> None:
        self.here, self.there = Link(here), Link(there)
        self.messages: list[int] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._carry(self.here, self.there)),
            asyncio.create_task(self._carry(self.there, self.here)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.here.close()
        self.there.close()
        await asyncio.gather(*self._tasks)

    async def _carry(self, source: Link, target: Link) -> None:
        async for message in source.outgoing():
            self.messages.append(len(message.frames))
            target.receive(pb.Frames.FromString(message.SerializeToString()))


async def echo(frame: pb.Frame) -> bytes:
    return frame.payload


async def silent(frame: pb.Frame) -> None:
    del frame


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await work()

    asyncio.run(bounded())


def test_requests_get_their_own_replies_whatever_the_order() -> None:
    async def late_first(frame: pb.Frame) -> bytes:
        if frame.payload == b"0":
            await others.wait()
        elif frame.payload == b"9":
            others.set()
        return frame.payload

    others = asyncio.Event()

    async def work() -> None:
        async with Wire(echo, late_first) as wire:
            payloads = [str(n).encode() for n in range(10)]
            replies = await asyncio.gather(*(wire.here.request(KIND, p) for p in payloads))
            assert replies == payloads

    run(work)


def test_what_is_queued_together_travels_together() -> None:
    async def work() -> None:
        async with Wire(echo, echo) as wire:
            await asyncio.gather(*(wire.here.request(KIND, b"x") for _ in range(50)))
            assert max(wire.messages) == 50

    run(work)


def test_a_message_stays_below_its_size_however_much_is_queued() -> None:
    async def work() -> None:
        link = Link(echo)
        for _ in range(5):
            link.send(KIND, bytes(MAX_COALESCED // 2))
        link.close()
        sizes = [message.ByteSize() async for message in link.outgoing()]
        assert len(sizes) > 2
        assert max(sizes) <= MAX_COALESCED + 1024

    run(work)


def test_a_refusal_is_raised_with_its_reason_and_details() -> None:
    async def refuse(frame: pb.Frame) -> None:
        del frame
        raise error_of(
            common_pb2.Refusal(
                reason=common_pb2.REASON_VETOED, message="no", details={"rule": "r1"}
            )
        )

    async def work() -> None:
        async with Wire(echo, refuse) as wire:
            with pytest.raises(Refused, match="no") as caught:
                await wire.here.request(KIND, b"")
            assert (caught.value.reason, caught.value.details) == ("VETOED", {"rule": "r1"})

    run(work)


def test_the_text_of_an_unknown_exception_goes_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(frame: pb.Frame) -> None:
        del frame
        raise KeyError("patient 4711")

    async def work() -> None:
        async with Wire(echo, fail) as wire:
            with pytest.raises(Refused) as caught:
                await wire.here.request(KIND, b"")
            assert (caught.value.reason, str(caught.value)) == ("INTERNAL", INTERNAL_TEXT)

    run(work)
    assert "KeyError" in caplog.text
    assert "4711" not in caplog.text


def test_a_refusal_that_is_none_is_internal() -> None:
    async def work() -> None:
        link = Link(echo)
        waiting = asyncio.ensure_future(link.request(KIND, b""))
        await asyncio.sleep(0)
        garbage = pb.Frame(reply_to=1, kind=pb.KIND_REFUSAL, payload=b"\xff\xff")
        link.receive(pb.Frames(frames=[garbage]))
        with pytest.raises(Refused) as caught:
            await waiting
        assert caught.value.reason == "INTERNAL"

    run(work)


def test_no_reply_in_time_is_an_error_and_a_later_one_is_dropped() -> None:
    async def work() -> None:
        async with Wire(echo, silent) as wire:
            with pytest.raises(DeadlinePassed):
                await wire.here.request(KIND, b"", timeout=0.01)

    run(work)


def test_closing_refuses_what_waits_and_what_comes_later() -> None:
    async def work() -> None:
        async with Wire(echo, silent) as wire:
            waiting = asyncio.create_task(wire.here.request(KIND, b""))
            await asyncio.sleep(0)
            wire.here.close()
            with pytest.raises(LinkClosed):
                await waiting
            with pytest.raises(LinkClosed):
                wire.here.send(KIND, b"")

    run(work)


def test_a_payload_above_its_bound_is_not_sent() -> None:
    async def work() -> None:
        with pytest.raises(MessageTooLarge):
            Link(echo).send(KIND, bytes(MAX_FRAME + 1))

    run(work)


def test_an_exception_with_an_unknown_reason_is_internal() -> None:
    class Odd(Refusal):
        reason = "NO_SUCH_REASON"

    assert refusal_of(Odd("x")).reason == common_pb2.REASON_INTERNAL
