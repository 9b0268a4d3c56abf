# SPDX-License-Identifier: Apache-2.0
"""A federation of eight clients of six organisations, with an authority in this process and workers
in theirs."""

import asyncio
import io
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from placet.auditing.audit import audit
from placet.client.log.auditing import GivenDocuments, attest
from placet.enclave.round_keys import RoundKeys
from placet.enclave.worker.joining import Membership, join
from placet.governance import contexts
from placet.governance.codec import encode, parse_object
from placet.governance.documents import (
    Amendment,
    Federate,
    Input,
    Layout,
    Lease,
    ModelRequest,
    Proposal,
    Receipt,
    Release,
    Tensor,
    Update,
)
from placet.governance.documents.lease import answer_header, output_id
from placet.governance.envelope import digest_of, inspect, parse_envelope, sign
from placet.governance.jobs import round_job
from placet.governance.judgements.rounds import SealedUpdate
from placet.governance.keys import SigningKey
from placet.governance.log import VerifierKey, leaf_hash, verify_proof
from placet.proto.v1 import common_pb2, enclaves_pb2, federations_pb2, governance_pb2
from placet.refusals import Refused
from placet.sealing import (
    HPKEPrivateKey,
    HPKEPublicKey,
    ObjectDescriptor,
    StreamKey,
    open_envelope,
    open_stream,
    padded_length,
    seal_envelope,
    seal_stream,
    unpad_into,
)
from tests.support import documents

T = TypeVar("T")
# dia and eli are of one organisation, gus and hal of another.
ORGANISATIONS = {
    "ana": "o0",
    "ben": "o1",
    "cem": "o2",
    "dia": "o3",
    "eli": "o3",
    "fay": "o4",
    "gus": "o5",
    "hal": "o5",
}
LAYOUT = Layout((Tensor("w", (100, 50)), Tensor("b", (30,))), "float32", 16384)
ELEMENTS = LAYOUT.elements
SECONDS = 120
OUTSIDER = "zoe"

Vector = NDArray[np.float32]


def vector(seed: int, norm: float = 1.0) -> Vector:
    """A random vector of this norm."""
    values = np.random.default_rng(seed).standard_normal(ELEMENTS)
    return (values * (norm / np.linalg.norm(values))).astype(np.float32)


class Sent:
    """An update as its client makes it: values in a sealed stream, and what is said of them."""

    def __init__(self, plain: bytes, norm: float, scale: float = 1.0) -> None:
        self.key, sink = StreamKey.generate(), io.BytesIO()
        descriptor = seal_stream(
            io.BytesIO(plain),
            sink,
            self.key,
            kind="update",
            labels=(),
            segment_size=LAYOUT.segment_bytes,
        )
        self.object, self.commitment = descriptor.id, descriptor.commitment
        self.stream = bytearray(sink.getvalue())
        self.inner = SealedUpdate(self.key.to_bytes(), norm, scale, 1)

    @classmethod
    def of(cls, values: Vector, norm: float | None = None) -> "Sent":
        """These values, with the norm that they have unless another is declared."""
        found = float(np.linalg.norm(values.astype(np.float64))) if norm is None else norm
        return cls(values.astype("<f4").tobytes(), found)

    @classmethod
    def of_int8(cls, steps: NDArray[np.int8], scale: float) -> "Sent":
        """Values that are so many steps of this scale."""
        norm = float(np.linalg.norm(steps.astype(np.float64))) * scale
        return cls(steps.tobytes(), norm, scale)


class Federation:
    """Its council, terms, and clients. `stage` is the scene that it plays in."""

    def __init__(self, stage: Any, initial: Any, **changes: Any) -> None:
        self.stage, self.host, self.council = stage, stage.host, stage.council
        self.initial = initial
        self.keys: dict[str, SigningKey] = self.council.clients
        self.terms = _terms(initial, **changes)
        self.launched_for = self.terms.launch_digest
        self.proposal = self.council.propose(self.terms, uses=self.terms.rounds)
        self.digest = parse_envelope(self.proposal).digest
        self.ticket = common_pb2.Ticket(
            proposal=self.proposal, ballots=self.council.ballots(self.proposal)
        )

    @property
    def opened(self) -> dict[str, Any]:
        """The entry by which the newest round was opened."""
        entries = [parse_object(data) for data in self.host.entries]
        return [e for e in entries if e["kind"] == "open-round" and e["proposal"] == self.digest][
            -1
        ]

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Every entry of a kind."""
        return [e for e in map(parse_object, self.host.entries) if e["kind"] == kind]

    def audit(self) -> Any:
        """What an auditor finds who judges all of the log again."""
        host, charter = self.host, self.council.name
        documents = GivenDocuments(host.documents)
        return audit(host.entries, documents, charter, host.checkpoint, attest=attest)

    def verified(self, index: int, entry: bytes, proof: bytes) -> dict[str, Any]:
        """An entry that is shown to be in the log."""
        verify_proof(proof, leaf_hash(entry), VerifierKey.from_text(self.council.log))
        assert self.host.entries[index] == entry
        return parse_object(entry)

    # What the host asks for.

    async def open(self, *, ticket: bool = True) -> common_pb2.Committed:
        request = enclaves_pb2.OpenRound(federation=self.digest)
        if ticket:
            request.ticket.CopyFrom(self.ticket)
        reply = await self.host.ask(enclaves_pb2.KIND_OPEN_ROUND, request)
        return common_pb2.Committed.FromString(reply)

    async def close(self, number: int) -> enclaves_pb2.RoundClosed:
        request = enclaves_pb2.CloseRound(federation=self.digest, round=number)
        reply = await self.host.ask(enclaves_pb2.KIND_CLOSE_ROUND, request)
        return enclaves_pb2.RoundClosed.FromString(reply)

    async def close_in_time(self, number: int) -> enclaves_pb2.RoundClosed:
        """Close a round that waits for clients, once its time is over."""
        while True:
            try:
                return await self.close(number)
            except Refused as refusal:
                assert refusal.reason == "ROUND_OPEN"
                await asyncio.sleep(0.05)

    async def post(self, request: federations_pb2.UpdateRequest) -> federations_pb2.UpdateReceipt:
        reply = await self.host.ask(enclaves_pb2.KIND_UPDATE, request)
        return federations_pb2.UpdateReceipt.FromString(reply)

    async def lease(self, worker: str, number: int) -> enclaves_pb2.LeasePackage:
        request = enclaves_pb2.LeaseRequest(
            ticket=self.ticket, worker=worker, job=round_job(self.digest, number)
        )
        reply = await self.host.ask(enclaves_pb2.KIND_LEASE, request)
        return enclaves_pb2.LeasePackage.FromString(reply)

    async def amend(self) -> None:
        """Put another constitution into force: the submitter is of another organisation."""
        council, old = self.council, self.council.constitution
        moved = (replace(p, organisation="o4") if p.id == "engineer" else p for p in old.parties)
        changes: dict[str, Any] = {
            "nonce": secrets.token_hex(16),
            "version": 2,
            "predecessor": council.digest,
            "parties": tuple(moved),
        }
        successor = sign(replace(old, **changes), council.seats["s0"])
        body = Amendment(parse_envelope(successor).digest)
        changes = {"header": council.header(), "action": "amend", "uses": 1, "body": body}
        asked = replace(inspect(self.proposal, Proposal), **changes)
        proposal = sign(asked, council.submitter)
        ticket = common_pb2.Ticket(proposal=proposal, ballots=council.ballots(proposal))
        request = governance_pb2.AmendRequest(ticket=ticket, constitution=successor)
        await self.host.ask(enclaves_pb2.KIND_AMEND, request)

    async def end_attempt(self, lease: str) -> None:
        request = enclaves_pb2.CloseAttempt(lease=lease, why="lost")
        await self.host.ask(enclaves_pb2.KIND_CLOSE, request)

    # What clients do.

    def document(self, client: str, sent: Sent, box: bytes, **changes: Any) -> Update:
        fields: dict[str, Any] = {
            "header": self.council.header(),
            "federation": self.digest,
            "round": self.opened["round"],
            "client": client,
            "layout": self.terms.layout.digest,
            "object": sent.object,
            "commitment": sent.commitment,
            "sealed": digest_of(box),
            "epsilon": "any",
            "delta": "any",
        }
        return Update(**{**fields, **changes})

    def request(
        self,
        client: str,
        sent: Sent,
        *,
        signer: str = "",
        inner: bytes | None = None,
        to: str = "",
        info: bytes | None = None,
        **changes: Any,
    ) -> federations_pb2.UpdateRequest:
        """An update request, wrong at one place if a test wants it so."""
        number = changes.get("round", self.opened["round"])
        own = contexts.update_info(self.digest, number, client, sent.object)
        sealed = seal_envelope(
            sent.inner.pack() if inner is None else inner,
            HPKEPublicKey.from_text(to or self.opened["key"]),
            own if info is None else info,
        )
        document = self.document(client, sent, sealed, **changes)
        envelope = sign(document, self.keys[signer or client])
        return federations_pb2.UpdateRequest(update=envelope, sealed=sealed)

    async def send(self, client: str, sent: Sent) -> federations_pb2.UpdateReceipt:
        """Put the stream, then the update."""
        self.host.blobs[sent.object] = bytes(sent.stream)
        return await self.post(self.request(client, sent))

    async def send_all(self, *clients: str, **by_name: Sent) -> dict[str, Vector]:
        """Updates of these clients, of random values, and of the given ones; returns the random
        values."""
        values = {client: vector(number) for number, client in enumerate(clients)}
        for client, plain in values.items():
            await self.send(client, Sent.of(plain))
        for client, sent in by_name.items():
            await self.send(client, sent)
        return values

    async def model(self, number: int, client: str = "ana", signer: str = "") -> Any:
        """The answer to a request for a round's model, and the key that came with it."""
        private = HPKEPrivateKey.generate()
        document = ModelRequest(
            self.council.header(), self.digest, number, client, private.public.to_text()
        )
        envelope = sign(document, self.keys[signer or client])
        request = federations_pb2.ModelRequest(request=envelope)
        reply = await self.host.ask(enclaves_pb2.KIND_MODEL, request)
        response = federations_pb2.ModelResponse.FromString(reply)
        info = contexts.model_info(parse_envelope(envelope).digest)
        return response, StreamKey(open_envelope(response.key_envelope, private, info))

    async def weights(self, number: int) -> Vector:
        """The model of a round, as a client reads it."""
        response, key = await self.model(number)
        descriptor = inspect(response.receipt, Receipt).predicate.outputs["model"]
        source, sink = io.BytesIO(self.host.blobs[descriptor.id]), io.BytesIO()
        with open_stream(source, key, descriptor, leaf_hashes=None) as reader:
            assert unpad_into(reader, sink, descriptor.length) == 4 * ELEMENTS
        return np.frombuffer(sink.getvalue(), "<f4")

    # Workers.

    async def joined(self, name: str) -> Membership:
        """A worker in this process, which gets as far as its lease."""
        connection = await self.stage.connect(name)
        attester = self.stage.machine.attester("worker", self.launched_for)
        return await join(connection, attester, self.launched_for, int(time.time()))

    def round_keys(self, package: enclaves_pb2.LeasePackage, member: Membership) -> RoundKeys:
        info = contexts.lease_info(parse_envelope(package.lease).digest)
        plain = open_envelope(package.key_envelope, member.keys.hpke, info)
        lease = parse_envelope(package.lease).digest
        return RoundKeys.from_bytes(plain, lease, member.authority.signing)

    async def release(
        self,
        name: str,
        member: Membership,
        package: enclaves_pb2.LeasePackage,
        left: dict[str, str] | None = None,
        *,
        released: bool = True,
    ) -> enclaves_pb2.Released:
        """A release as a worker makes it, of a model of zeros."""
        key, outputs = StreamKey.generate(), dict[str, ObjectDescriptor]()
        lease = parse_envelope(package.lease).digest
        if released:
            plain = io.BytesIO(bytes(padded_length(4 * ELEMENTS)))
            model = output_id(lease, "model", key.commitment)
            outputs["model"] = seal_stream(
                plain, io.BytesIO(), key, kind="result", labels=(), object_id=model
            )
        document = Release(
            header=answer_header(inspect(package.lease, Lease), lease, Release.KIND),
            lease=lease,
            worker=member.keys.identity.digest,
            outputs=outputs,
            left=left or {},
        )
        envelope = sign(document, member.keys.signing)
        info = contexts.release_info(parse_envelope(envelope).digest)
        sealed = seal_envelope(key.to_bytes(), member.authority.hpke, info)
        request = enclaves_pb2.ReleaseRequest(release=envelope, key_envelope=sealed)
        reply = await self.host.ask(enclaves_pb2.KIND_RELEASE, request, peer=name)
        return enclaves_pb2.Released.FromString(reply)

    async def aggregate(
        self, number: int, left: dict[str, str] | None = None, **options: Any
    ) -> enclaves_pb2.Released:
        """Join, lease and release, without looking at any update."""
        name = f"worker-{len(self.host.entries)}"
        member = await self.joined(name)
        package = await self.lease(member.keys.identity.digest, number)
        return await self.release(name, member, package, left, **options)


def _terms(initial: Any, **changes: Any) -> Federate:
    fields: dict[str, Any] = {
        "model": Input(initial.descriptor, "hospital") if initial else None,
        "layout": LAYOUT,
        "clip": "1.5",
        "largest_weight": 1000,
        "deadline_seconds": SECONDS,
    }
    return documents.federate(**{"roster": ORGANISATIONS, **fields, **changes})


class WorkerProcess:
    """An aggregator as a host launches it: a process of its own, with a simulated processor at its
    pipes."""

    def __init__(
        self, federation: Federation, folder: Path, name: str, terms: bytes | None = None
    ) -> None:
        self.name, self._host = name, federation.host
        self.lease, self.code = "", -1  # once it had one, and has ended
        self.scratch = folder / name
        self.scratch.mkdir()
        for file, content in (
            ("terms", encode(federation.terms) if terms is None else terms),
            ("cert", self._host.certificate),
        ):
            (folder / f"{name}.{file}").write_bytes(content)
        self.log = folder / f"{name}.log"
        self._before = self._joins()
        arguments = ["--host", self._host.address, "--cert", str(folder / f"{name}.cert")]
        arguments += ["--token", name, "--bundle", str(folder / f"{name}.terms")]
        arguments += ["--scratch", str(self.scratch)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-m", "placet.enclave", "worker", *arguments, "--simulated"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        ends = (self.process.stdout, self.process.stdin)
        threading.Thread(
            target=federation.stage.machine.serve,
            args=("worker", federation.launched_for, *ends),
            daemon=True,
        ).start()

    async def joined(self) -> str:
        """The digest of its identity, once the log has its join."""
        while not (new := self._joins() - self._before):
            assert self.process.poll() is None, self.log.read_text()
            await asyncio.sleep(0.01)
        return new.pop()

    def assign(self, package: enclaves_pb2.LeasePackage) -> None:
        """Hand it its lease."""
        self._host.links[self.name].send(enclaves_pb2.KIND_ASSIGN, package)

    async def exit(self) -> int:
        """Its exit code, once it has ended."""
        code = await asyncio.to_thread(self.process.wait, 30)
        for end in (self.process.stdin, self.process.stdout):
            if end is not None:
                end.close()
        return code

    def _joins(self) -> set[str]:
        entries = map(parse_object, self._host.entries)
        return {cast("str", e["worker"]) for e in entries if e["kind"] == "join"}


async def run_round(
    federation: Federation, folder: Path, number: int, name: str = ""
) -> WorkerProcess:
    """Have a closed round aggregated by a worker, and wait until that has ended."""
    worker = WorkerProcess(federation, folder, name or f"worker-{number}")
    identity = await worker.joined()
    package = await federation.lease(identity, number)
    worker.lease = parse_envelope(package.lease).digest
    worker.assign(package)
    worker.code = await worker.exit()
    return worker


async def refused(work: Awaitable[T]) -> str:
    """The reason of the refusal that this has to end with."""
    with pytest.raises(Refused) as error:
        await work
    return error.value.reason
