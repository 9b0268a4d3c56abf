# SPDX-License-Identifier: Apache-2.0
"""A federation on a real host process: five clients of five organisations, whose updates are made
here by hand.

By hand, because a test has to be able to send what the client library would not.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from placet.client import Keys
from placet.governance.contexts import model_info, update_info
from placet.governance.documents import (
    Federate,
    Layout,
    ModelRequest,
    Organisation,
    Party,
    Receipt,
    Rule,
    Tensor,
    Update,
    When,
)
from placet.governance.envelope import digest_of, inspect, parse_envelope, sign
from placet.governance.jobs import round_job
from placet.proto.v1 import (
    common_pb2,
    federations_pb2,
    federations_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
)
from placet.sealing import (
    HPKEPrivateKey,
    HPKEPublicKey,
    StreamKey,
    open_envelope,
    open_stream,
    seal_envelope,
    seal_stream,
    unpad_into,
    verify_root,
)
from tests.support import documents

Vector = NDArray[Any]
CLIENTS = ("ana", "bea", "cem", "dia", "eli")
LAYOUT = Layout((Tensor("w", (150, 200)), Tensor("b", (200,))), "float32", 16384)
NO_TERMS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Made:
    """An update that was made, and the sealed stream that belongs to it."""

    request: federations_pb2.UpdateRequest
    object_id: str
    stream: bytes
    signer: Keys

    @property
    def digest(self) -> str:
        """The update document's."""
        return parse_envelope(self.request.update).digest


class Council:
    """A `World` whose constitution knows five clients, with a rule for federations."""

    def __init__(self, world: Any, names: tuple[str, ...] = CLIENTS) -> None:
        self.world = world
        self.clients = {name: Keys.generate(name) for name in names}
        world.start(founding=False)
        world.found(self.constitution())
        self.connect()

    def constitution(self) -> Any:
        base = self.world.constitution()
        demands = base.rules[0].demands
        parties = (Party(n, n, (k.public.signing,)) for n, k in self.clients.items())
        return replace(
            base,
            organisations=(*base.organisations, *(Organisation(n, n) for n in self.clients)),
            parties=(*base.parties, *parties),
            rules=(
                Rule("federate", "Together", When(("federate",), "any", "any"), demands),
                *base.rules,
            ),
        )

    def connect(self) -> None:
        """After every start of the host."""
        self.stub: Any = federations_pb2_grpc.FederationsStub(self.world.channel)
        self.runs: Any = runs_pb2_grpc.RunsStub(self.world.channel)

    def restart(self) -> None:
        """Kill the host, and begin again on its folder."""
        self.world.kill()
        self.world.start()
        self.connect()

    def federation(self, *, start: bool = True, **changes: Any) -> "Federation":
        """A federation that was voted for, and started."""
        made = Federation(self, terms(tuple(self.clients), **changes))
        if start:
            made.start()
        return made


def terms(roster: tuple[str, ...], **changes: Any) -> Federate:
    """Terms of two rounds, open for a minute, that take two organisations."""
    plain: dict[str, Any] = {"layout": LAYOUT, "rounds": 2, "round_seconds": 60, "attempts": 3}
    return documents.federate(roster, **{**plain, **changes})


def ended(run: runs_pb2.Run) -> bool:
    """Whether nothing will change any more."""
    return run.state >= runs_pb2.RUN_STATE_FINISHED


class Federation:
    """One federation, by its proposal."""

    def __init__(self, council: Council, body: Federate) -> None:
        self.council = council
        self.terms = body
        self.id: str = council.world.propose(body, uses=body.rounds)
        council.world.vote(self.id, "ada", "ben")

    @property
    def world(self) -> Any:
        return self.council.world

    def start(self) -> Any:
        """Start it; again: as it stands."""
        ticket = self.world.client.council.ticket(self.id)
        wire = common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots)
        request = runs_pb2.StartRequest(ticket=wire)
        return self.council.runs.Start(request, metadata=self.world.metadata)

    def get(self) -> Any:
        """As the host tells it."""
        request = runs_pb2.GetRunRequest(id=self.id)
        return self.council.runs.Get(request, metadata=self.world.metadata)

    def until(self, holds: Callable[[runs_pb2.Run], bool], patience: float = 60.0) -> Any:
        """Watch until something holds."""
        request = runs_pb2.WatchRequest(id=self.id)
        call = self.council.runs.Watch(request, metadata=self.world.metadata, timeout=patience)
        try:
            for record in call:
                if holds(record):
                    return record
        finally:
            call.cancel()
        raise AssertionError(self.get())

    def until_round(self, number: int) -> Any:
        """Until a round is open."""
        return self.until(
            lambda f: f.federation.round == number and not (f.federation.aggregating or ended(f))
        )

    def until_state(self, state: str) -> Any:
        """Until it is in a state, by its name."""
        number = runs_pb2.RunState.Value("RUN_STATE_" + state)
        return self.until(lambda f: f.state == number)

    def until_aggregating(self) -> Any:
        """Until a round is closed, or over already."""
        return self.until(lambda f: f.federation.aggregating or bool(f.federation.outcomes))

    def until_over(self, number: int) -> Any:
        """Until a round is over; its outcome."""
        record = self.until(lambda f: len(f.federation.outcomes) >= number)
        return record.federation.outcomes[number - 1]

    def entries(self, *kinds: str) -> list[dict[str, Any]]:
        """Its entries of these kinds."""
        return [
            entry
            for entry in self.world.entries()
            if entry["kind"] in kinds and entry.get("proposal") == self.id
        ]

    def kinds_of_round(self, number: int) -> Any:
        """What happened with the job of a round."""
        return self.world.entries_of(round_job(self.id, number))

    @property
    def round_key(self) -> HPKEPublicKey:
        """The newest, as the log has it."""
        return HPKEPublicKey.from_text(self.entries("open-round")[-1]["key"])

    def make(
        self,
        client: str,
        vector: Vector,
        *,
        number: int = 1,
        norm: float | None = None,
        weight: int = 1,
        scale: float = 1.0,
        round_key: HPKEPublicKey | None = None,
        sealed: bytes | None = None,
        signer: str = "",
        corrupt: Callable[[bytearray], bytes] = bytes,
        **changes: Any,
    ) -> Made:
        """An update, good but for what is changed. `corrupt` changes the sealed stream."""
        key, sink = StreamKey.generate(), io.BytesIO()
        data = vector.tobytes()
        descriptor = seal_stream(
            io.BytesIO(data),
            sink,
            key,
            kind="update",
            labels=(),
            segment_size=self.terms.layout.segment_bytes,
        )
        norm = float(np.linalg.norm(vector.astype(np.float64))) if norm is None else norm
        secret = struct.pack("<32sdfI", key.to_bytes(), norm, scale, weight)
        info = update_info(self.id, number, client, descriptor.id)
        envelope = sealed or seal_envelope(secret, round_key or self.round_key, info)
        fields: dict[str, Any] = {
            "header": self.world.header(),
            "federation": self.id,
            "round": number,
            "client": client,
            "layout": self.terms.layout.digest,
            "object": descriptor.id,
            "commitment": descriptor.commitment,
            "sealed": digest_of(envelope),
            "epsilon": "any",
            "delta": "any",
        }
        keys: Keys = self.council.clients.get(signer or client) or self.world.analyst
        update = sign(Update(**{**fields, **changes}), keys.signing)
        request = federations_pb2.UpdateRequest(update=update, sealed=envelope)
        return Made(request, descriptor.id, corrupt(bytearray(sink.getvalue())), keys)

    def put(self, made: Made) -> None:
        """The stream, as a blob."""
        owner = made.signer.public.signing
        self.world.client.blobs.put(made.object_id, made.stream, owner=owner)

    def hand_in(self, made: Made) -> Any:
        """The document; its stream is there."""
        return self.council.stub.Update(made.request, metadata=self.world.metadata)

    def send(self, client: str, vector: Vector, **changes: Any) -> Any:
        """An update, stream and document."""
        made = self.make(client, vector, **changes)
        self.put(made)
        return self.hand_in(made)

    def refused(self, call: Callable[[], Any], reason: str) -> Any:
        """The call is refused for this reason, and nothing of it is in the log."""
        before = self.entries("update")
        refusal = self.world.refusal_of(call)
        self.world.check_refusal(refusal, reason)
        assert self.entries("update") == before
        return refusal

    def ask_model(
        self, client: str, number: int, signer: str = ""
    ) -> tuple[Any, HPKEPrivateKey, str]:
        """The answer to a request for a model, the key it was asked with, and the request's
        digest."""
        key = HPKEPrivateKey.generate("X25519")
        request = ModelRequest(self.world.header(), self.id, number, client, key.public.to_text())
        signed = sign(request, self.council.clients[signer or client].signing)
        wire = federations_pb2.ModelRequest(request=signed)
        answer = self.council.stub.Model(wire, metadata=self.world.metadata)
        return answer, key, parse_envelope(signed).digest

    def model(self, number: int, client: str = "ana") -> Vector:
        """A round's model, opened: float32[elements]."""
        answer, key, request = self.ask_model(client, number)
        stream_key = StreamKey(open_envelope(answer.key_envelope, key, model_info(request)))
        descriptor = inspect(answer.receipt, Receipt).predicate.outputs["model"]
        path = self.world.folder / f"model-{descriptor.id}"
        self.world.client.blobs.get(descriptor.id, path, length=descriptor.sealed_length)
        plain = io.BytesIO()
        with path.open("rb") as source:
            leaves = verify_root(source, descriptor)
            with open_stream(source, stream_key, descriptor, leaf_hashes=leaves) as reader:
                unpad_into(reader, plain, descriptor.length)
        return np.frombuffer(plain.getvalue(), "<f4")


def vector(seed: int, norm: float = 0.5, layout: Layout = LAYOUT) -> Vector:
    """Some update of about this length."""
    made = np.random.default_rng(seed).standard_normal(layout.elements)
    return (made * (norm / np.linalg.norm(made))).astype("<f4")


def mean(*vectors: Vector, weights: tuple[int, ...] = ()) -> Vector:
    """What comes out, as near as float64 knows it."""
    stacked = np.stack([v.astype(np.float64) for v in vectors])
    return np.average(stacked, axis=0, weights=weights or None)


@pytest.fixture(scope="module")
def council(new_world: Callable[..., Any]) -> Council:
    """One host with its council for a module."""
    return Council(new_world(max_workers=3))


@pytest.fixture
def make_vector() -> Callable[..., Vector]:
    return vector


@pytest.fixture
def mean_of() -> Callable[..., Vector]:
    return mean
