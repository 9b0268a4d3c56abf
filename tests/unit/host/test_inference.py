# SPDX-License-Identifier: Apache-2.0
"""Questions through the host to a worker that does what each says, and answers back."""

import asyncio
from typing import Any, cast

import grpc.aio
import pytest
from google.rpc import (  # pyright: ignore[reportMissingTypeStubs]
    error_details_pb2,
    status_pb2,
)

from placet.host.runs import questions, routes
from placet.proto.frames import Link
from placet.proto.limits import MAX_SEALED
from placet.proto.pieces import cut
from placet.proto.v1 import common_pb2, inference_pb2
from placet.refusals import QueueFull
from tests.support.hosting.scripted_worker import LARGEST

R = common_pb2.Reason


def asks(*said: bytes, lease: str = "", first: int = 0) -> inference_pb2.Asks:
    """Questions with ids from `first` on."""
    message = inference_pb2.Asks(lease=lease)
    for number, data in enumerate(said, first):
        message.asks.add(id=number, data=data)
    return message


class Stream:
    """A stream of questions, and the answers by id as they come."""

    def __init__(self, client: Any, world: Any, timeout: float | None = None) -> None:
        self.call = client.inference.PredictStream(metadata=world.metadata, timeout=timeout)
        self.answers: dict[int, inference_pb2.Answer] = {}

    async def ask(self, message: inference_pb2.Asks) -> None:
        await self.call.write(message)

    async def until(self, count: int) -> dict[int, inference_pb2.Answer]:
        """Read until there are so many answers."""
        while len(self.answers) < count:
            message = await self.call.read()
            assert message is not grpc.aio.EOF
            for answer in message.answers:
                assert answer.id not in self.answers
                self.answers[answer.id] = answer
        return self.answers


async def said(client: Any, lease: str, what: bytes, timeout: float | None = None) -> int:
    """A number that the worker says."""
    return int((await client.predict(lease, what, timeout)).data)


async def until_cancelled(client: Any, lease: str, count: int) -> None:
    while await said(client, lease, b"cancelled") != count:
        await asyncio.sleep(0.02)


def test_one_question_one_answer(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            lease = await client.ready(world.service())
            data = bytes(range(256)) * 16
            assert (await client.predict(lease, data)).data == data
            largest = b"x" * MAX_SEALED
            assert (await client.predict(lease, largest)).data == largest
            details = await refused(client.predict(lease, largest + b"x"), "MESSAGE_TOO_LARGE")
            assert details["actual"] == str(MAX_SEALED + 1)
            assert await said(client, lease, b"wait") == 0
            assert 20_000 < await said(client, lease, b"wait", 30) <= 31_000  # gRPC rounds up
            await refused(client.predict(lease, b"refuse SESSION_UNKNOWN"), "SESSION_UNKNOWN")
            await refused(client.predict("sha256:" + "0" * 64, b"x"), "WORKER_UNAVAILABLE")
            await check_pressure(client, lease)

    run(body())


async def check_pressure(client: Any, lease: str) -> None:
    """The status says when to come again."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.predict(lease, b"refuse QUEUE_FULL")
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers: dict[str, Any] = dict(caught.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.metadata["retry_ms"] == "250"
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 250


def test_who_leaves_cancels_what_it_asked(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            lease = await client.ready(world.service())
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.predict(lease, b"hold", 0.2)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await until_cancelled(client, lease, 1)
            stream = Stream(client, world)
            await stream.ask(asks(b"hold", b"hold", b"hold", b"echo", lease=lease))
            assert list(await stream.until(1)) == [3]
            await stream.ask(inference_pb2.Asks(cancelled=[1, 7]))
            await until_cancelled(client, lease, 2)
            stream.call.cancel()
            await until_cancelled(client, lease, 4)
            await check_streams(client, world, refused, lease)
            await until_cancelled(client, lease, 6)
            assert (await client.predict(lease, b"free")).data == b"free"

    run(body())


def test_a_stream_gets_each_answer_once_whatever_the_order(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            lease = await client.ready(world.service())
            streams = [Stream(client, world) for _ in range(3)]
            for index, stream in enumerate(streams):  # all with the same ids
                await stream.ask(asks(*(b"%d-%d" % (index, n) for n in range(500)), lease=lease))
                await stream.ask(asks(b"hold %d" % index, first=500))
                await stream.ask(asks(b"refuse QUESTION_REPLAYED", first=501))
            for index, stream in enumerate(streams):
                answers = await stream.until(501)
                assert all(answers[n].data == b"%d-%d" % (index, n) for n in range(500))
                assert answers[501].refusal.reason == R.REASON_QUESTION_REPLAYED
            assert await said(client, lease, b"most") >= 500
            await client.predict(lease, b"free")
            for index, stream in enumerate(streams):
                assert (await stream.until(502))[500].data == b"hold %d" % index
                await stream.call.done_writing()
                assert await stream.call.read() is grpc.aio.EOF

    run(body())


async def check_streams(client: Any, world: Any, refused: Any, lease: str) -> None:
    """A stream is for one worker, and its ids are its own."""
    for messages, reason in (
        ([asks(b"echo", lease="sha256:" + "0" * 64)], "WORKER_UNAVAILABLE"),
        ([asks(b"echo")], "WORKER_UNAVAILABLE"),
        ([asks(b"hold", lease=lease), asks(b"echo", lease="x")], "REQUEST_MALFORMED"),
        ([asks(b"hold", lease=lease), asks(b"echo")], "REQUEST_MALFORMED"),
    ):
        call = client.inference.PredictStream(iter(messages), metadata=world.metadata)
        await refused(call, reason)
    empty = client.inference.PredictStream(iter([]), metadata=world.metadata)
    assert await empty.read() is grpc.aio.EOF


def test_too_many_questions_are_refused_one_by_one(
    world: Any, run: Any, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "_MAX_OPEN", 4)
    monkeypatch.setattr(routes, "MAX_UNDER_WAY", 6)

    async def body() -> None:
        async with world.host() as (_, client):
            lease = await client.ready(world.service())
            first, second = Stream(client, world), Stream(client, world)
            await first.ask(asks(*[b"hold"] * 5, lease=lease))
            refusal = (await first.until(1))[4].refusal
            assert refusal.reason == R.REASON_QUEUE_FULL
            assert int(refusal.details["retry_ms"]) > 0
            await second.ask(asks(*[b"hold"] * 3, b"x" * (MAX_SEALED + 1), lease=lease))
            answers = await second.until(2)
            assert answers[2].refusal.reason == R.REASON_QUEUE_FULL
            assert answers[3].refusal.reason == R.REASON_MESSAGE_TOO_LARGE
            await refused(client.predict(lease, b"echo"), "QUEUE_FULL")
            second.call.cancel()
            await until_free(client, lease)
            await client.predict(lease, b"free")
            answers = await first.until(5)
            assert all(answers[n].data == b"hold" for n in range(4))
            monkeypatch.undo()
            monkeypatch.setattr(questions, "_MAX_UNREAD", 3 * 2**20)
            await check_unread(client, world, lease)

    run(body())


async def until_free(client: Any, lease: str) -> None:
    while True:
        try:
            await client.predict(lease, b"echo")
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            await asyncio.sleep(0.02)
        else:
            return


async def check_unread(client: Any, world: Any, lease: str) -> None:
    """Answers that nobody reads end the stream."""
    stream = Stream(client, world)
    await stream.ask(asks(*[b"large"] * 64, lease=lease))
    while await said(client, lease, b"most") < 64:
        await asyncio.sleep(0.02)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.until(64)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await client.predict(lease, b"echo")).data == b"echo"


def in_pieces(id: int, data: bytes, size: int = 0) -> list[inference_pb2.Asks]:
    """A question as its pieces, a message each, which says that it has so many bytes."""
    made = [inference_pb2.Ask(id=id, data=piece, size=whole) for piece, whole in cut(data)]
    made[0].size = size or made[0].size
    return [inference_pb2.Asks(asks=[ask]) for ask in made]


async def whole(stream: Stream, id: int) -> bytes:
    """The pieces of an answer, the last of which completes what the first says."""
    found, size = b"", 1
    while len(found) < size:
        message = await stream.call.read()
        for answer in message.answers:
            assert answer.id == id and not answer.HasField("refusal")
            size = answer.size or size
            found += answer.data
    return found


def test_a_question_longer_than_a_message_goes_in_pieces(world: Any, run: Any) -> None:
    """Whole at the worker, its answer whole at the user; others go on meanwhile."""

    async def body() -> None:
        async with world.host() as (_, client):
            lease = await client.ready(world.service())
            stream, data = Stream(client, world), b"echo " + bytes(range(256)) * 12_000
            first, *rest = in_pieces(1, data)
            first.lease = lease
            assert len(rest) == 2
            await stream.ask(first)
            await stream.ask(asks(b"echo", first=2))
            assert (await stream.until(1))[2].data == b"echo"
            for message in rest:
                await stream.ask(message)
            assert await whole(stream, 1) == data
            # What is given up half-way frees its id, its room, and the worker from its pieces.
            await stream.ask(in_pieces(3, data)[0])
            await stream.ask(inference_pb2.Asks(cancelled=[3]))
            await until_cancelled(client, lease, 1)
            for message in in_pieces(3, data):
                await stream.ask(message)
            assert await whole(stream, 3) == data

    run(body())


def test_large_questions_have_bounds(world: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one, of those of a caller, and of the time that the rest of one takes."""
    monkeypatch.setattr(routes, "_MAX_BYTES", 2 * LARGEST)

    async def body() -> None:
        async with world.host() as (_, client):
            lease = await client.ready(world.service())
            stream, piece = Stream(client, world), bytes(MAX_SEALED)
            for wrong in ([piece, piece], [b"x"], [b""]):
                other = Stream(client, world)
                await other.ask(inference_pb2.Asks(lease=lease))
                for number, data in enumerate([piece, *wrong]):
                    ask = inference_pb2.Ask(
                        id=1, data=data, size=0 if number else 2 * len(piece) + 10
                    )
                    await other.ask(inference_pb2.Asks(asks=[ask]))
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await other.until(9)
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            await stream.ask(inference_pb2.Asks(lease=lease))
            for id, data, size in ((1, piece, LARGEST + 1), (2, piece, LARGEST), (3, b"echo", 0)):
                ask = inference_pb2.Ask(id=id, data=data, size=size)
                await stream.ask(inference_pb2.Asks(asks=[ask]))
            answers = await stream.until(2)
            assert answers[1].refusal.reason == R.REASON_MESSAGE_TOO_LARGE
            assert answers[3].refusal.reason == R.REASON_QUEUE_FULL
            await stream.ask(asks(piece, first=1))  # of what was refused the rest goes nowhere
            monkeypatch.setattr(questions, "_STALLED", 0.2)
            await stream.ask(asks(piece, first=2))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.until(9)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert (await client.predict(lease, b"echo")).data == b"echo"

    run(body())


def test_room_is_kept_for_full_pieces_alone_and_for_few(
    world: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte that says to be the first of many would keep others out; so would many beginnings."""
    monkeypatch.setattr(questions, "_MAX_BEGUN", 2)

    async def body() -> None:
        async with world.host() as (_, client):
            lease = await client.ready(world.service())
            for pieces, code in (
                ([b"x"], grpc.StatusCode.INVALID_ARGUMENT),
                ([bytes(MAX_SEALED)] * 3, grpc.StatusCode.RESOURCE_EXHAUSTED),
            ):
                stream = Stream(client, world)
                await stream.ask(inference_pb2.Asks(lease=lease))
                for id, data in enumerate(pieces, 1):
                    ask = inference_pb2.Ask(id=id, data=data, size=LARGEST + 1)
                    await stream.ask(inference_pb2.Asks(asks=[ask]))
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stream.until(9)
                assert caught.value.code() is code
            assert (await client.predict(lease, b"echo")).data == b"echo"

    run(body())


def test_a_flood_of_questions_ends_its_stream(world: Any, run: Any) -> None:
    """A short message of many questions is not turned into as many refusals."""

    async def body() -> None:
        async with world.host() as (_, client):
            lease = await client.ready(world.service())
            stream = Stream(client, world)
            flood = asks(*[b""] * 30_000, lease=lease)
            assert flood.ByteSize() < 200_000
            await stream.ask(flood)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.until(30_000)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await client.predict(lease, b"echo")).data == b"echo"

    run(body())


def test_what_was_cancelled_counts_until_it_has_left(run: Any) -> None:
    """A worker that does not read yet: whoever asks and cancels gets no further than who asks."""

    async def nothing(frame: object) -> None:
        """Never called."""

    async def body() -> None:
        route = routes.Route(cast("Any", None), Link(nothing))
        data, caller = bytes(MAX_SEALED), questions.Call()
        with pytest.raises(QueueFull):
            for _ in range(100):
                route.cancel(route.ask(caller, 0, data, 0))
                await asyncio.sleep(0)

    run(body())


def test_the_end_of_a_worker_answers_everybody(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            for how, reason in ((b"die", "WORKER_UNAVAILABLE"), (b"end VETOED", "VETOED")):
                lease = await client.ready(world.service())
                stream = Stream(client, world)
                await stream.ask(asks(b"hold", b"hold", lease=lease))
                waiting = client.predict(lease, b"hold")
                await client.predict(lease, b"echo")
                await stream.ask(asks(how, first=2))
                expected = R.Value("REASON_" + reason)
                answers = await stream.until(3)
                assert [answers[n].refusal.reason for n in range(3)] == [expected] * 3
                await refused(waiting, reason)
                await stream.ask(asks(b"echo", first=3))
                assert (await stream.until(4))[3].refusal.reason == expected

    run(body())


def test_the_least_busy_worker_is_described(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            ticket = world.service()
            first = await client.ready(ticket, 2)
            stream = Stream(client, world)
            await stream.ask(asks(b"hold", b"echo", lease=first))
            await stream.until(1)
            second = world.lease_in(await client.describe(world.digest(ticket.proposal)))
            assert second != first
            more = Stream(client, world)
            await more.ask(asks(b"hold", b"hold", b"echo", lease=second))
            await more.until(1)
            service = world.digest(ticket.proposal)
            assert world.lease_in(await client.describe(service)) == first
            await client.serve(ticket, 1)  # the least busy goes, once it has answered
            await client.until_service(service, ready=1)
            assert world.lease_in(await client.describe(service)) == second
            assert 0 not in stream.answers

    run(body())
