# SPDX-License-Identifier: Apache-2.0
"""Asking the plain peer (`plain_server.py`), in the event loop of the caller."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
from _inference.models import Array, Arrays, Served
from _inference.process import Process

from placet.proto.limits import GRPC_OPTIONS
from placet.proto.tensors import Tensor, pack, unpack
from placet.proto.v1.inference_pb2 import Answer, Ask, PredictRequest, PredictResponse

SERVER = Path(__file__).with_name("plain_server.py")


class PlainPeer:
    """A channel to the peer. `server` is its process."""

    def __init__(self, channel: grpc.aio.Channel, served: Served, server: Process) -> None:
        self.server = server
        self._questions = served.questions
        self._predict: Any = channel.unary_unary(
            "/Plain/Predict", PredictRequest.SerializeToString, PredictResponse.FromString
        )
        self._stream: Any = channel.stream_stream(
            "/Plain/PredictStream", Ask.SerializeToString, Answer.FromString
        )

    async def alone(self, number: int) -> Array:
        """The answer to one question, by a call of its own."""
        question = self._questions[number % len(self._questions)]
        return answer_of((await self._predict(PredictRequest(data=packed(question)))).data)

    async def calls(self, count: int, in_flight: int) -> float:
        """Seconds for so many questions, each by a call of its own."""
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                await self.alone(number)

        started = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(in_flight)))
        return time.perf_counter() - started

    async def stream(self, count: int, in_flight: int) -> float:
        """Seconds for so many questions on one stream."""
        room = asyncio.Semaphore(in_flight)
        started = time.perf_counter()
        call = self._stream()
        asking = asyncio.create_task(self._ask(call, count, room))
        for _ in range(count):
            answer_of((await call.read()).data)
            room.release()
        seconds = time.perf_counter() - started
        await asking
        await call.done_writing()
        return seconds

    async def _ask(self, call: Any, count: int, room: asyncio.Semaphore) -> None:
        for number in range(count):
            await room.acquire()
            question = self._questions[number % len(self._questions)]
            await call.write(Ask(id=number, data=packed(question)))


@contextlib.asynccontextmanager
async def plain_peer(served: Served, folder: Path) -> AsyncGenerator[PlainPeer]:
    """The peer as a process of its own, over `folder`."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(served.file)
    arguments = (SERVER, folder / "model.onnx", served.output, folder / "tls")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        credentials = grpc.ssl_channel_credentials((folder / "tls" / "cert.pem").read_bytes())
        options = (*GRPC_OPTIONS, ("grpc.ssl_target_name_override", "localhost"))
        address = f"127.0.0.1:{port}"
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            yield PlainPeer(channel, served, Process(process.pid))
    finally:
        process.terminate()
        await process.wait()


def packed(question: Arrays) -> bytes:
    """As ours are packed before they are sealed."""
    return bytes(
        pack(
            [
                Tensor(name, str(array.dtype), array.shape, array.reshape(-1).view(np.uint8).data)
                for name, array in question.items()
            ]
        )
    )


def answer_of(data: bytes | memoryview) -> Array:
    """The one array of an answer."""
    (tensor,) = unpack(data)
    return np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
