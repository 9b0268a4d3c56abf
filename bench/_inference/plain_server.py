# SPDX-License-Identifier: Apache-2.0
"""The plain peer: a grpc.aio server that serves a model in the clear, as one would write it with
care.

    python bench/_inference/plain_server.py MODEL OUTPUT FOLDER

FOLDER is where its certificate is kept; it prints its port.

It has what ours has but for the seal and the host: the same certificate, tensors as the same bytes,
the model loaded by the same function and so with the same settings, and a runtime in a thread of
its own that runs whatever waits when it is free. One question is one message, as in any gRPC
service; a stream is read and written at once.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

from placet.enclave.worker.inference.model import Model, load_model
from placet.governance.documents.serving import Raw
from placet.host.calls.certificates import Certificates
from placet.proto.limits import GRPC_OPTIONS
from placet.proto.tensors import Tensor, pack, unpack
from placet.proto.v1.inference_pb2 import Answer, Ask, PredictRequest, PredictResponse

BATCH_ROWS = 32
Feeds = dict[str, NDArray[Any]]
Deliver = Callable[[bytes], None]


class Batcher:
    """Runs what waits as soon as the runtime is free, one thread hand-over a batch."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Feeds, Deliver]] = []
        self._busy = False
        self._batches: SimpleQueue[Sequence[tuple[Feeds, Deliver]]] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def ask(self, packed: bytes, deliver: Deliver) -> None:
        feeds = {
            tensor.name: np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
            for tensor in unpack(packed)
        }
        self._waiting.append((feeds, deliver))
        if not self._busy:
            self._busy = True
            # What came in the same turn of the loop is run together.
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        batch, self._waiting = self._waiting[:BATCH_ROWS], self._waiting[BATCH_ROWS:]
        self._busy = bool(batch)
        if batch:
            self._batches.put(batch)

    def _run(self) -> None:
        while True:
            batch = self._batches.get()
            feeds = {
                name: np.concatenate([feeds[name] for feeds, _ in batch]) for name in batch[0][0]
            }
            self._loop.call_soon_threadsafe(self._done, batch, self._model.run(feeds)[0])

    def _done(self, batch: Sequence[tuple[Feeds, Deliver]], output: NDArray[Any]) -> None:
        self._start()
        name, dtype = self._model.answers[0].name, self._model.answers[0].dtype
        for row, (_, deliver) in enumerate(batch):
            part = output[row : row + 1]
            data = part.reshape(-1).view(np.uint8).data
            deliver(bytes(pack([Tensor(name, dtype, part.shape, data)])))


class Plain:
    """Predict and PredictStream, without ours."""

    def __init__(self, model: Model) -> None:
        self._batcher = Batcher(model)

    async def predict(self, request: PredictRequest, _: Any) -> PredictResponse:
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._batcher.ask(request.data, answered.set_result)
        return PredictResponse(data=await answered)

    async def predict_stream(self, _: Any, context: Any) -> None:
        # Who ends the stream waits for no answer any more.
        answers: asyncio.Queue[Answer] = asyncio.Queue()
        writing = asyncio.create_task(self._write(answers, context))
        try:
            read: Any = context.read  # what it gives at the end is of no type that the stubs know
            while (ask := await read()) is not grpc.aio.EOF:
                self._take(ask, answers)
        finally:
            writing.cancel()

    def _take(self, ask: Ask, answers: asyncio.Queue[Answer]) -> None:
        self._batcher.ask(ask.data, lambda data: answers.put_nowait(Answer(id=ask.id, data=data)))

    async def _write(self, answers: asyncio.Queue[Answer], context: Any) -> None:
        while True:
            await context.write(await answers.get())


async def serve(file: Path, output: str, folder: Path) -> None:
    plain = Plain(load_model(bytearray(file.read_bytes()), {output: Raw("raw")}))
    handlers: dict[str, Any] = {
        "Predict": grpc.unary_unary_rpc_method_handler(
            plain.predict, PredictRequest.FromString, PredictResponse.SerializeToString
        ),
        "PredictStream": grpc.stream_stream_rpc_method_handler(
            plain.predict_stream, Ask.FromString, Answer.SerializeToString
        ),
    }
    server = grpc.aio.server(options=GRPC_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Plain", handlers),))
    certificate = Certificates(folder).own
    credentials = grpc.ssl_server_credentials([(certificate.key_pem, certificate.certificate_pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
