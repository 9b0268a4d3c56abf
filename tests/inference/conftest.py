# SPDX-License-Identifier: Apache-2.0
"""A service on a real host process: small models made here, sealed, granted, voted for, and asked
by several users.

`Services.asking` is a user with the client library. `Services.asker` is one who makes questions by
hand, because a test has to be able to send what the library would not, and to see what the host
sees: an answer that is sealed, or a refusal in the clear.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, parser

from placet.builds.measurement import measurements
from placet.client import Client, Keys, ServedModel, Token
from placet.client.services.questions import (
    Bearer,
    Principal,
    QuestionSession,
    SealedQuestion,
    User,
)
from placet.governance.documents import (
    Card,
    Evidence,
    Input,
    Organisation,
    Party,
    Rations,
    Roster,
    Rule,
    Serve,
    When,
)
from placet.proto.tensors import Tensor, pack, unpack
from placet.proto.v1 import inference_pb2, inference_pb2_grpc
from placet.refusals import Refused
from tests.support import documents

Array = NDArray[Any]
Rows = NDArray[np.float32]
# It says nothing of its types.
_ort: Any = onnxruntime
USERS = ("uma", "vic", "wim")
WIDTH = 4


def linear(factor: float = 2.0) -> bytes:
    """scores = factor * x, of rows of four numbers."""
    rows: list[str | int | None] = ["rows", WIDTH]
    node = helper.make_node("Mul", ["x", "factor"], ["scores"])
    graph = helper.make_graph(
        [node],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, rows)],
        [helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def rows(number: int, seed: int = 0) -> Rows:
    """Some rows."""
    return np.random.default_rng(seed).standard_normal((number, WIDTH), np.float32)


def mixed() -> bytes:
    """Scores z of numbers and words: x + the mean of the words' rows in a table of five; their
    softmax p; the label.

    A sixth word makes the runtime fail.
    """
    table = ", ".join(f"{n / 7:.6f}" for n in np.random.default_rng(3).integers(-9, 9, 20))
    model = parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : 17]>
        mixed (float[rows, 4] x, int64[rows, 3] words)
            => (float[rows, 4] z, float[rows, 4] p, int64[rows] label)
        <float[5, 4] table = {{{table}}}>
        {{
            each = Gather(table, words)
            mean = ReduceMean <axes = [1], keepdims = 0> (each)
            z = Add(x, mean)
            p = Softmax <axis = -1> (z)
            label = ArgMax <axis = -1, keepdims = 0> (z)
        }}
    """)
    return bytes(model.SerializeToString())


def mixed_rows(number: int, seed: int = 0) -> dict[str, Array]:
    """Some rows for `mixed`."""
    random = np.random.default_rng(seed)
    return {
        "x": random.standard_normal((number, 4), np.float32),
        "words": random.integers(0, 5, (number, 3)),
    }


def in_the_clear(model: bytes, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What the runtime answers to whoever has the file."""
    session: Any = _ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


class Asker:
    """A user who seals by hand: one session by a worker's newest offer."""

    def __init__(self, services: "Services", service: str, user: User) -> None:
        self._services = services
        self.worker = services.world.client.services.verify(service)
        self.lease = self.worker.lease.digest
        self.session = self.open(user)

    def open(self, user: User, charter: str = "") -> QuestionSession:
        """A session that is not the asker's own."""
        return QuestionSession(
            self.worker.offer, charter or self._services.world.client.log.charter, user
        )

    def question(self, content: Mapping[str, Array] | bytes) -> SealedQuestion:
        """Arrays sealed, whether the model takes them or not; or any bytes in their place."""
        return self.session.question(content if isinstance(content, bytes) else packed(content))

    def send(self, data: bytes, lease: str = "") -> bytes:
        """The sealed answer to a sealed question."""
        request = inference_pb2.PredictRequest(lease=lease or self.lease, data=data)
        stub, metadata = self._services.stub, self._services.world.metadata
        return bytes(stub.Predict(request, metadata=metadata).data)

    def opened(self, question: SealedQuestion, data: bytes) -> dict[str, Array]:
        """The arrays of an answer. Raises `Refused` for a refusal that was sealed."""
        return {
            tensor.name: np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape).copy()
            for tensor in unpack(self.session.answer(question, data))
        }

    def ask(self, content: Mapping[str, Array]) -> dict[str, Array]:
        """Question and answer."""
        question = self.question(content)
        return self.opened(question, self.send(question.data))

    def refused_sealed(self, content: Mapping[str, Array] | bytes) -> tuple[Refused, int]:
        """The refusal that only the asker reads; and all that the host sees of it, which is a
        length."""
        question = self.question(content)
        data = self.send(question.data)
        with pytest.raises(Refused) as refusal:
            self.opened(question, data)
        return refusal.value, len(data)

    def refused_in_clear(self, data: bytes, lease: str = "") -> Refused:
        """The refusal that the host reads as well."""
        refusal = self._services.world.refusal_of(lambda: self.send(data, lease))
        assert isinstance(refusal, Refused), refusal
        return refusal

    def stream(self) -> "HandStream":
        """Many questions to the asker's worker."""
        return HandStream(self._services, self.lease)


class HandStream:
    """A stream to one worker, on which anybody's questions go together: one message, one frame, one
    batch."""

    def __init__(self, services: "Services", lease: str) -> None:
        self._leaving: SimpleQueue[inference_pb2.Asks | None] = SimpleQueue()
        self._asked = 0
        first = inference_pb2.Asks(lease=lease)
        self._leaving.put(first)
        stream = services.stub.PredictStream
        self.call: Any = stream(iter(self._leaving.get, None), metadata=services.world.metadata)

    def send(self, *questions: SealedQuestion, wait_ms: Mapping[int, int] | None = None) -> None:
        """Questions in one message; ids count from 1 over all messages. wait_ms: by id."""
        asks, waits = inference_pb2.Asks(), wait_ms or {}
        for question in questions:
            self._asked += 1
            wait = waits.get(self._asked, 0)
            asks.asks.add(id=self._asked, data=question.data, wait_ms=wait)
        self._leaving.put(asks)

    def answers(self) -> Generator[inference_pb2.Answer]:
        """As they come, until the host ends the stream."""
        for message in self.call:
            yield from message.answers

    def close(self) -> None:
        """Ask nothing more; the answers to what was asked still come."""
        self._leaving.put(None)

    def leave(self) -> None:
        """Go away without a word."""
        self.call.cancel()
        self.close()


def packed(arrays: Mapping[str, Array]) -> bytearray:
    """Arrays as the content of a question."""
    return pack([_tensor(name, np.ascontiguousarray(array)) for name, array in arrays.items()])


def _tensor(name: str, array: Array) -> Tensor:
    return Tensor(name, array.dtype.name, array.shape, memoryview(array.tobytes()))


class Services:
    """A `World` whose constitution knows three users, and workers that serve."""

    linear, mixed = staticmethod(linear), staticmethod(mixed)
    rows, mixed_rows = staticmethod(rows), staticmethod(mixed_rows)
    in_the_clear, packed = staticmethod(in_the_clear), staticmethod(packed)

    def __init__(self, world: Any, lease_seconds: int = 3) -> None:
        self.world = world
        self.lease_seconds = lease_seconds
        self.users = {name: Keys.generate(name) for name in USERS}
        world.keys.update(self.users)
        world.start(founding=False)
        world.found(self.constitution())

    def constitution(self) -> Any:
        base = self.world.constitution()
        demands = base.rules[0].demands
        workers = {**base.evidence.worker, "measurements": list(measurements("worker"))}
        return replace(
            base,
            organisations=(*base.organisations, *(Organisation(n, n) for n in USERS)),
            parties=(
                *base.parties,
                *(Party(n, n, (k.public.signing,)) for n, k in self.users.items()),
            ),
            rules=(Rule("serve", "Serving", When(("serve",), "any", "any"), demands), *base.rules),
            evidence=Evidence(base.evidence.authority, workers),
            limits=replace(base.limits, lease_seconds=self.lease_seconds),
        )

    @property
    def stub(self) -> Any:
        """The service as gRPC has it; another one after each start of the host."""
        return inference_pb2_grpc.InferenceStub(self.world.channel)

    def model(self, file: bytes) -> Input:
        """A file that its owner has sealed, put and granted."""
        return Input(self.world.data(file).object.descriptor, "owner")

    def terms(self, model: bytes | Input = b"", **changed: Any) -> Serve:
        """A service of the linear model for all three users, raw, with plenty of rations."""
        later = int(time.time()) + 90 * 86400
        found = model if isinstance(model, Input) else self.model(model or linear())
        fields: dict[str, Any] = {
            "card": Card("Twice as much", ("health",), "", None, later),
            "users": Roster("roster", USERS),
            "rations": Rations(user=100_000, total=300_000, minute=100_000, tranche=10_000),
            "review": later,
        }
        return documents.serve(found, **{**fields, **changed})

    def propose(self, terms: Serve, **changed: int) -> str:
        """A proposal that was voted for; its digest."""
        proposal: str = self.world.propose(terms, uses=changed.pop("uses", 50), **changed)
        self.world.vote(proposal, "ada", "ben")
        return proposal

    def start(self, proposal: str, workers: int = 1) -> Any:
        """Serve, and wait until as many workers are ready as were asked for."""
        client = self.world.client
        client.runs.start(client.council.ticket(proposal), workers=workers)
        for status in client.runs.watch(proposal):
            if status.ended or status.service.ready >= workers:
                return status
        raise AssertionError(client.runs.get(proposal))

    def serve(
        self,
        model: bytes | Input = b"",
        *,
        workers: int = 1,
        window: Mapping[str, int] | None = None,
        **changed: Any,
    ) -> str:
        """A service that is ready; its id."""
        proposal = self.propose(self.terms(model, **changed), **(window or {}))
        status = self.start(proposal, workers)
        assert status.service.ready == workers, status
        return proposal

    @contextlib.contextmanager
    def serving(self, model: bytes | Input = b"", **changed: Any) -> Generator[str]:
        """A service for as long as the block: a host has places for a few workers only."""
        service = self.serve(model, **changed)
        try:
            yield service
        finally:
            self.drain(service)

    def drain(self, service: str) -> None:
        """Let its workers go, and wait until they have."""
        client = self.world.client
        client.runs.start(client.council.ticket(service), workers=0)
        assert client.runs.wait(service).state == "finished"

    @contextlib.contextmanager
    def frozen_workers(self) -> Generator[None]:
        """All workers stand still in the block, which has to be shorter than a lease."""
        workers = self.world.enclaves("worker")
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)

    def failed(self, model: bytes | Input) -> Refused:
        """What a service of this model ends with."""
        status = self.start(self.propose(self.terms(model)))
        assert (status.state, status.service.ready) == ("failed", 0)
        refusal: Refused = status.refusal
        return refusal

    @contextlib.contextmanager
    def asking(
        self, service: str, user: str | Token = "uma", **settings: Any
    ) -> Generator[ServedModel]:
        """A user's model, over a connection of its own."""
        who = self.users[user] if isinstance(user, str) else user
        with (
            Client.connect(
                self.world.address,
                self.world.pin,
                memory=self.world.memory,
                simulated=True,
                keys=who if isinstance(who, Keys) else None,
            ) as client,
            client.services.open(service, user=who, **settings) as model,
        ):
            yield model

    def asker(self, service: str, user: str | User = "uma") -> Asker:
        """A user who seals by hand."""
        return Asker(self, service, self.principal(user) if isinstance(user, str) else user)

    def principal(self, user: str, key: Keys | None = None) -> User:
        """A user by the roster; key: not theirs."""
        return Principal(user, (key or self.users[user]).signing)

    @staticmethod
    def bearer(name: str, token: Token) -> User:
        """A user by a token."""
        return Bearer(name, token.secret)

    def drawn(self, service: str) -> dict[str, int]:
        """Rows that each user's workers have drawn."""
        rows: dict[str, int] = {}
        for entry in self.entries(service, "draw"):
            rows[entry["user"]] = rows.get(entry["user"], 0) + entry["rows"]
        return rows

    def entries(self, service: str, kind: str) -> list[dict[str, Any]]:
        """The service's entries of a kind."""
        found = self.world.entries()
        return [e for e in found if e["kind"] == kind and e.get("proposal") == service]


@pytest.fixture(scope="module")
def new_services(new_world: Callable[..., Any]) -> Callable[..., Services]:
    """Makes hosts with their councils; each is ended when the module is."""

    def make(lease_seconds: int = 3) -> Services:
        return Services(new_world(max_workers=4), lease_seconds)

    return make


@pytest.fixture(scope="module")
def services(new_services: Callable[..., Services]) -> Services:
    """One for a module."""
    return new_services()
