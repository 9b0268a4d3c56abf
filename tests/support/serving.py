# SPDX-License-Identifier: Apache-2.0
"""A service of a small model: its authority in this process, its worker in this one or in its own,
and users who ask."""

import asyncio
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from placet.client.services.questions import (
    Bearer,
    Principal,
    QuestionSession,
    SealedQuestion,
    User,
)
from placet.enclave.worker.inference.model import Model, load_model
from placet.enclave.worker.inference.serving import Serving
from placet.enclave.worker.inference.task import InferenceTask
from placet.enclave.worker.joining import Membership, join
from placet.enclave.worker.task import Means
from placet.governance.codec import encode, parse_object
from placet.governance.documents import (
    Card,
    Declared,
    Input,
    Offer,
    Rations,
    Raw,
    Roster,
    Serve,
)
from placet.governance.documents.lease import RESULT_KIND
from placet.governance.envelope import Signed, parse_envelope, verify_signed
from placet.proto.refusals import reason_name
from placet.proto.tensors import Tensor, pack, unpack
from placet.proto.v1 import common_pb2, enclaves_pb2, inference_pb2
from placet.refusals import Refused
from placet.sealing import StreamKey, pad, padded_length, seal_stream
from tests.support import documents

WORDS, FEATURES = 10, 4
TABLE = np.random.default_rng(5).standard_normal((WORDS, FEATURES)).astype(np.float32)
TOKEN = os.urandom(32)


def words() -> bytes:
    """The mean of the embeddings of `ids`, int64 of shape (rows, words); an id that is no word
    makes the runtime fail."""
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Gather", ["table", "ids"], ["e"]),
            node("ReduceMean", ["e"], ["mean"], axes=[1], keepdims=0),
        ],
        "words",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "length"])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", FEATURES])],
        [numpy_helper.from_array(TABLE, "table")],
    )
    opsets = [helper.make_opsetid("", 17)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model.SerializeToString()


def question(rows: Sequence[Sequence[int]]) -> bytearray:
    """Ids as the content of a question."""
    ids = np.array(rows, "<i8")
    return pack([Tensor("ids", "int64", ids.shape, memoryview(ids.tobytes()))])


def answered(content: memoryview) -> NDArray[np.float32]:
    """The mean in the content of an answer."""
    (mean,) = unpack(content)
    assert (mean.name, mean.dtype) == ("mean", "float32")
    return np.frombuffer(mean.data, "<f4").reshape(mean.shape)


class Sealed:
    """A model as its owner has sealed it, or as a job has released it."""

    def __init__(self, plain: bytes, *, released: bool = False) -> None:
        self.key, sink = StreamKey.generate(), io.BytesIO()
        source: Any = io.BytesIO(plain)
        if released:
            source = pad(source, len(plain), padded_length(len(plain)) + 100)
        kind = RESULT_KIND if released else "model"
        self.descriptor = seal_stream(source, sink, self.key, kind=kind, labels=())
        self.data = sink.getvalue()


class Desk:
    """What an attempt has of renewing, without the kernel's timer: that would end the tests."""

    renewed: Callable[[], None] = staticmethod(lambda: None)
    seconds_left = 60.0


class Service:
    """A proposal to serve, with its ticket. `stage` is the scene that it plays in."""

    def __init__(self, stage: Any, model: Any, **changes: Any) -> None:
        self.stage, self.host, self.council = stage, stage.host, stage.council
        self.terms = self._terms(model, **changes)
        self.launched_for = self.terms.launch_digest
        self.proposal = self.council.propose(self.terms, uses=5)
        self.digest = parse_envelope(self.proposal).digest
        self.ticket = common_pb2.Ticket(
            proposal=self.proposal, ballots=self.council.ballots(self.proposal)
        )
        self.workers = 0
        self.asked = 0

    def _terms(self, model: Any, **changes: Any) -> Serve:
        later = int(time.time()) + 10**4
        fields: dict[str, Any] = {
            "users": Roster("roster", ("engineer", "hospital")),
            "card": Card("Means of words", ("health",), "", None, later + 10**5),
            "rations": Rations(user=1000, total=2000, minute=1000, tranche=100),
            "answers": {"mean": Raw("raw")},
            "largest_request": 50,
            "privacy": Declared("1", "1e-7"),
            "review": later,
            "deadline_seconds": 600,
        }
        return documents.serve(Input(model.descriptor, "hospital"), **{**fields, **changes})

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Every entry of a kind."""
        return [e for e in map(parse_object, self.host.entries) if e["kind"] == kind]

    async def lease(self, worker: str) -> enclaves_pb2.LeasePackage:
        self.workers += 1
        job = f"{self.digest[7:47]}-{self.workers}"
        request = enclaves_pb2.LeaseRequest(ticket=self.ticket, worker=worker, job=job)
        reply = await self.host.ask(enclaves_pb2.KIND_LEASE, request)
        return enclaves_pb2.LeasePackage.FromString(reply)

    async def worker(self, name: str = "w", model: Model | None = None) -> "Worker":
        """A worker in this process, which serves."""
        worker = Worker(self, name)
        await worker.begin(model)
        return worker

    def user(self, name: str) -> User:
        """A user with what shows who they are: a token, or the key of a principal."""
        if name in getattr(self.terms.users, "tokens", {}):
            return Bearer(name, TOKEN)
        keys = {"engineer": self.council.submitter, "hospital": self.council.owner}
        return Principal(name, keys.get(name) or self.council.seats[name])


class Asked:
    """Questions to one worker, through its host."""

    def __init__(self, service: Service, name: str, lease: str) -> None:
        self.service, self.host, self.name, self.lease = service, service.host, name, lease

    async def offer(self, number: int = 0) -> Signed[Offer]:
        """The worker's offer of this number, once it is there."""
        while len(self.host.offers.get(self.lease, ())) <= number:
            await asyncio.sleep(0.002)
        signing = await self._signing()
        return verify_signed(self.host.offers[self.lease][number], Offer, lambda _: [signing])

    async def _signing(self) -> Any:
        raise NotImplementedError

    async def session(self, user: str = "engineer", number: int = 0) -> QuestionSession:
        offer = await self.offer(number)
        return QuestionSession(offer, self.service.council.name, self.service.user(user))

    def send(
        self, *data: bytes, wait_ms: int = 0, cancelled: Sequence[int] = (), size: int = 0
    ) -> list[int]:
        """Ask all of it in one frame; returns the ids. size: what each says that it has, where it
        is the first piece of more."""
        first = self.service.asked + 1
        ids = list(range(first, first + len(data)))
        self.service.asked += len(data)
        asks = [
            inference_pb2.Ask(id=i, data=d, wait_ms=wait_ms, size=size)
            for i, d in zip(ids, data, strict=True)
        ]
        message = inference_pb2.Asks(asks=asks, cancelled=cancelled)
        self.host.links[self.name].send(enclaves_pb2.KIND_ASKS, message)
        return ids

    async def answer(self, id_: int) -> inference_pb2.Answer:
        while id_ not in self.host.answers:
            await asyncio.sleep(0.001)
        return cast("inference_pb2.Answer", self.host.answers[id_])

    async def ask(
        self, session: QuestionSession, rows: Sequence[Sequence[int]]
    ) -> NDArray[np.float32]:
        """The answer. Raises `Refused` for what was sealed; what was refused in the clear fails."""
        sealed = session.question(question(rows))
        return await self.opened(session, sealed, *self.send(sealed.data))

    async def opened(
        self, session: QuestionSession, sealed: SealedQuestion, id_: int
    ) -> NDArray[np.float32]:
        answer = await self.answer(id_)
        assert not answer.HasField("refusal"), answer.refusal
        return answered(session.answer(sealed, answer.data))

    async def refused(self, session: QuestionSession, content: bytes | bytearray) -> Refused:
        """The refusal that comes sealed."""
        sealed = session.question(content)
        with pytest.raises(Refused) as error:
            await self.opened(session, sealed, *self.send(sealed.data))
        return error.value

    async def refused_in_clear(self, data: bytes, **options: Any) -> str:
        """The reason of the refusal that comes in the clear."""
        (id_,) = self.send(data, **options)
        answer = await self.answer(id_)
        assert not answer.data
        return reason_name(answer.refusal.reason)


class Worker(Asked):
    """A worker in this process. What the process does with its lease and its end is left out."""

    def __init__(self, service: Service, name: str) -> None:
        super().__init__(service, name, "")
        self.renewing = Desk()
        self._listener: Callable[[bytes], None] | None = None
        self.member: Membership

    async def _handle(self, frame: enclaves_pb2.Frame) -> None:
        assert frame.kind == enclaves_pb2.KIND_ASKS
        assert self._listener is not None
        self._listener(frame.payload)

    def _listen(self, listener: Callable[[bytes], None]) -> None:
        self._listener = listener

    async def begin(self, model: Model | None) -> None:
        service = self.service
        connection = await service.stage.connect(self.name, self._handle)
        attester = service.stage.machine.attester("worker", service.launched_for)
        now = int(time.time())
        self.member = await join(connection, attester, service.launched_for, now)
        package = await service.lease(self.member.keys.identity.digest)
        task = InferenceTask(service.terms)
        work = task.open(package, self.member, now, None)
        self.lease = work.lease.digest
        nothing = cast("Any", None)
        means = Means(
            nothing, nothing, connection.link, cast("Any", self.renewing), self._listen, nothing
        )
        served = model or load_model(bytearray(words()), service.terms.answers)
        Serving(means, self.member, work.lease, service.terms, served).begin()

    async def _signing(self) -> Any:
        return self.member.keys.signing.public


class WorkerProcess(Asked):
    """A worker as a host launches it: a process of its own, with a simulated processor at its
    pipes."""

    def __init__(
        self,
        service: Service,
        folder: Path,
        command: Sequence[str] = (sys.executable, "-I", "-m", "placet.enclave"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        name = "w"
        super().__init__(service, name, "")
        self.scratch = folder / name
        self.scratch.mkdir()
        (folder / "terms").write_bytes(encode(service.terms))
        (folder / "cert").write_bytes(self.host.certificate)
        self.log = folder / "log"
        arguments = ["--host", self.host.address, "--cert", str(folder / "cert"), "--token", name]
        arguments += ["--bundle", str(folder / "terms"), "--scratch", str(self.scratch)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "worker", *arguments, "--simulated"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        ends = (self.process.stdout, self.process.stdin)
        serve = service.stage.machine.serve
        threading.Thread(
            target=serve, args=("worker", service.launched_for, *ends), daemon=True
        ).start()

    async def begin(self) -> None:
        """Give it its lease, once it has joined."""
        while not (joined := self.service.entries("join")):
            assert self.process.poll() is None, self.log.read_text()
            await asyncio.sleep(0.01)
        package = await self.service.lease(joined[-1]["worker"])
        self.lease = parse_envelope(package.lease).digest
        self.host.links[self.name].send(enclaves_pb2.KIND_ASSIGN, package)

    async def _signing(self) -> Any:
        """From the identity document that the log's join entry names."""
        return _signing_key(self.host, self.service.entries("join")[-1]["worker"])

    async def exit(self) -> int:
        """Its exit code, once it has ended."""
        code = await asyncio.to_thread(self.process.wait, 30)
        for end in (self.process.stdin, self.process.stdout):
            if end is not None:
                end.close()
        return code


def _signing_key(host: Any, worker: str) -> Any:
    from placet.attestation import Identity
    from placet.governance.keys import PublicKey

    return PublicKey(Identity.from_bytes(host.documents[worker]).signing)
