# SPDX-License-Identifier: Apache-2.0
"""The services of the fake host: evidence of a simulated worker, offers and sealed questions are
real, the model is NumPy.

conftest.py loads this file by its path. Leases are not judged: the entries that they would leave
are written here.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

import grpc
import numpy as np

from placet.attestation import Identity, SimulatedAttester, evidence_context, report_data
from placet.governance.contexts import (
    session_info,
    session_keys_info,
    session_statement,
)
from placet.governance.documents import Lease, Offer, Seen, new_header
from placet.governance.documents.lease import answer_header
from placet.governance.documents.serving import Field, token_digest
from placet.governance.entries.table import KINDS
from placet.governance.envelope import digest_of, inspect, parse_envelope, sign
from placet.governance.evaluate import Ticket
from placet.governance.keys import SigningKey
from placet.governance.log import LogProof
from placet.host.simulation.service import SimulatedQuotingService
from placet.proto.questions import Claim, Opening, pack_answer, pack_refusal, unpack_question
from placet.proto.refusals import refusal_of
from placet.proto.tensors import Tensor, unpack
from placet.proto.v1 import common_pb2, inference_pb2, runs_pb2
from placet.refusals import Refused
from placet.sealing import HPKEPrivateKey, SealedSession, open_envelope

WEIGHTS = np.arange(12, dtype="<f4").reshape(4, 3)


class Said(Refused):
    """A refusal with this reason."""

    def __init__(self, reason: str, **details: str) -> None:
        super().__init__(reason, f"Told by a test: {reason}.", details)


class FakeWorker:
    """One worker: its keys, its place in the log, its offers and its sessions."""

    def __init__(self, host: Any, service: str, seconds: int, measurement: str) -> None:
        self._host, self._seconds = host, seconds
        self.signing, self.sessions = SigningKey.generate(), dict[bytes, tuple[str, Any]]()
        hpke, boot = HPKEPrivateKey.generate("X25519").public.to_text(), os.urandom(16).hex()
        self.identity = Identity(
            "worker", host.log, host.charter, boot, hpke, self.signing.public.text
        )
        nonce = os.urandom(32)
        data = report_data(
            self.identity.digest, nonce, evidence_context(host.log, host.charter, b"")
        )
        launched_for = host.ledger.proposal(service).document.work.launch_digest
        self.evidence = attested(data, launched_for, measurement).to_bytes()
        times, digest = host.times(), digest_of(self.evidence)
        host.append(
            KINDS["join"].new(times, {"worker": self.identity.digest, "launched_for": launched_for,
                      "measurement": measurement, "evidence": digest, "nonce": nonce.hex(),
                      "lapses": times.at_most + 600}),
            {self.identity.digest: self.identity.to_bytes(), digest: self.evidence},
        )  # fmt: skip
        self.joined, deadline = len(host.entries) - 1, times.at_most + 60
        size, root = host.ledger.head()
        lease = Lease(
            new_header(host.charter, Seen(size, root)), host.identity.boot, service,
            host.ledger.proposal(service).document.constitution, f"{service[7:47]}-{size}", 1,
            self.identity.digest, deadline,
        )  # fmt: skip
        self.lease_envelope = sign(lease, host.boot_key)
        self.lease = parse_envelope(self.lease_envelope).digest
        host.append(
            KINDS["lease"].new(times, {"lease": self.lease, "proposal": service, "job": lease.job,
                      "attempt": 1, "worker": lease.worker, "grants": [], "deadline": deadline,
                      "judged": size, "charges": {}}),
            {self.lease: self.lease_envelope},
        )  # fmt: skip
        self.leased = len(host.entries) - 1
        self.number = -1
        self._keys: list[tuple[str, HPKEPrivateKey]] = []

    def offer(self, inputs: tuple[Field, ...], answers: tuple[Field, ...]) -> bytes:
        """A new offer, under a new key; openings to it and to the one before are taken."""
        self.number += 1
        key, lease = HPKEPrivateKey.generate("X25519"), inspect(self.lease_envelope, Lease)
        offer = Offer(
            answer_header(lease, self.lease, Offer.KIND, self.number), self.lease,
            self.identity.digest, self.number, key.public.to_text(), self._seconds, inputs, answers,
        )  # fmt: skip
        envelope = sign(offer, self.signing)
        self._keys = [*self._keys[-1:], (parse_envelope(envelope).digest, key)]
        self.sessions.clear()
        return envelope

    def open(self, opening: Opening, tokens: dict[str, str], keys_of: Callable[[str], Any]) -> Any:
        """The session that an opening opens, and its user."""
        for digest, key in reversed(self._keys):
            try:
                raw = open_envelope(opening.envelope, key, session_info(digest))
            except Exception:  # noqa: BLE001, S112 - of another offer
                continue
            claim = Claim.from_bytes(bytes(raw))
            if claim.kind == 1:
                said = session_statement(self._host.charter, digest, claim.user, claim.secret)
                held = any(key.has_signed(claim.proof, said) for key in keys_of(claim.user))
            else:
                held = tokens.get(claim.user) == token_digest(claim.proof)
            if not held:
                raise Said("SESSION_FORGED")
            session = SealedSession(claim.secret, session_keys_info(digest, claim.user))
            self.sessions[session.id] = claim.user, session
            return claim.user, session
        raise Said("SESSION_UNKNOWN")


class FakeServices:
    """Host and workers of one service. The first attributes make them fail or lie."""

    def __init__(self, host: Any) -> None:
        self.refusals: list[str | None] = []  # of the next questions, in the clear; None: answered
        self.details: dict[str, str] = {}  # of those refusals
        self.sealed: list[str] = []  # of the next questions, to their user alone
        self.break_after = -1  # answers on a stream after which it breaks off, once
        self.forged: dict[str, Any] = {}  # fields of a Description to tell instead
        self.held: threading.Event | None = None  # questions are answered once it is set
        self.lied: dict[str, Any] | None = None  # what answers hold instead
        self.seconds = 300
        self.measurement = "bb" * 32
        self.inputs: tuple[Field, ...] = (Field("x", "float32", (0, 4)),)
        self.answers: tuple[Field, ...] = (Field("probabilities", "float32", (0, 3)),)
        self.run: Callable[[dict[str, Any]], dict[str, Any]] = lambda given: {
            "probabilities": given["x"] @ WEIGHTS
        }
        self.asked: list[tuple[str, str, int, int]] = []  # road, user, counter, rows
        self.messages: list[tuple[int, int]] = []  # asks and cancelled of each message on a stream
        self.described = 0
        self.worker: FakeWorker | None = None
        self.told = runs_pb2.Run()
        self._host = host
        self._offer = b""
        self._ticket = common_pb2.Ticket()

    # What the host does of itself, called by tests from their thread.

    def launch(self) -> FakeWorker:
        """Another worker in the place of the one before."""
        self.worker = FakeWorker(self._host, self.told.id, self.seconds, self.measurement)
        self.renew()
        return self.worker

    def renew(self) -> None:
        """The lease is renewed: a new offer, and what was opened under older ones is forgotten."""
        assert self.worker is not None
        self._offer = self.worker.offer(self.inputs, self.answers)

    # The service.

    def start(self, request: runs_pb2.StartRequest) -> runs_pb2.Run:
        ticket = Ticket(request.ticket.proposal, tuple(request.ticket.ballots))
        proposal = self._host.ledger.open_proposal(ticket.proposal)
        self._ticket = request.ticket
        workers = request.workers if request.HasField("workers") else 1
        state = runs_pb2.RUN_STATE_RUNNING if workers else runs_pb2.RUN_STATE_FINISHED
        window = proposal.document.not_after
        self.told = runs_pb2.Run(
            id=proposal.digest, proposal=proposal.digest, state=state,
            service=runs_pb2.Service(workers=workers, ready=workers, not_after=window),
        )  # fmt: skip
        if workers and self.worker is None:
            self.launch()
        return self.told

    async def watch(self) -> AsyncIterator[runs_pb2.Run]:
        starting = runs_pb2.Run()
        starting.CopyFrom(self.told)
        starting.state, starting.service.ready = runs_pb2.RUN_STATE_QUEUED, 0
        yield starting
        yield self.told

    async def Describe(
        self, request: inference_pb2.DescribeRequest, context: Any
    ) -> inference_pb2.Description:
        self.described += 1
        worker = self.worker
        if worker is None or request.lease not in ("", worker.lease):
            raise Said("WORKER_UNAVAILABLE")
        boot = next(i for i, e in enumerate(self._host.entries) if b'"boot"' in e)
        given: dict[str, Any] = {
            "ticket": self._ticket,
            "boot": self.logged(boot),
            "authority_identity": self._host.identity.to_bytes(),
            "authority_evidence": self._host.boot_evidence,
            "join": self.logged(worker.joined),
            "worker_identity": worker.identity.to_bytes(),
            "worker_evidence": worker.evidence,
            "lease_entry": self.logged(worker.leased),
            "lease": worker.lease_envelope,
            "offer": self._offer,
        }
        return inference_pb2.Description(**{**given, **self.forged})

    def logged(self, index: int) -> inference_pb2.LoggedEntry:
        """An entry with its proof."""
        tree = self._host.ledger.tree
        proof = LogProof(index, tree.inclusion_proof(index, tree.size), self._host.note())
        return inference_pb2.LoggedEntry(entry=self._host.entries[index], proof=proof.to_bytes())

    # Questions.

    async def Predict(
        self, request: inference_pb2.PredictRequest, context: Any
    ) -> inference_pb2.PredictResponse:
        return inference_pb2.PredictResponse(data=await self._answer("alone", request))

    async def PredictStream(
        self, asks: AsyncIterator[inference_pb2.Asks], context: Any
    ) -> AsyncIterator[inference_pb2.Answers]:
        lease, answered = (await anext(asks)).lease, 0
        async for message in asks:
            self.messages.append((len(message.asks), len(message.cancelled)))
            answers: list[inference_pb2.Answer] = []
            for ask in message.asks:
                if answered == self.break_after:
                    self.break_after = -1
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
                request = inference_pb2.PredictRequest(lease=lease, data=ask.data)
                answer = inference_pb2.Answer(id=ask.id)
                try:
                    answer.data = await self._answer("stream", request)
                except Said as said:
                    answer.refusal.CopyFrom(refusal_of(said))
                answers.append(answer)
                answered += 1
            # In no order that the questions had.
            yield inference_pb2.Answers(answers=reversed(answers))

    async def _answer(self, road: str, request: inference_pb2.PredictRequest) -> bytes:
        while self.held is not None and not self.held.is_set():
            await asyncio.sleep(0.01)
        worker = self.worker
        if worker is None or request.lease != worker.lease:
            raise Said("WORKER_UNAVAILABLE")
        if self.refusals and (reason := self.refusals.pop(0)):
            raise Said(reason, **self.details)
        asked = unpack_question(request.data)
        if isinstance(asked, Opening):
            counter = 0
            terms = self._host.ledger.proposal(self.told.id).document.serve
            tokens = getattr(terms.users, "tokens", {})
            keys_of = self._host.ledger.in_force().constitution.keys_of
            user, session = worker.open(asked, tokens, keys_of)
        elif asked.session in worker.sessions:
            counter = asked.counter
            user, session = worker.sessions[asked.session]
        else:
            raise Said("SESSION_UNKNOWN")
        tensors = unpack(bytes(session.open_question(counter, asked.sealed)))
        given = {t.name: np.frombuffer(t.data, t.dtype).reshape(t.shape) for t in tensors}
        self.asked.append((road, user, counter, len(next(iter(given.values())))))
        if self.sealed:
            refusal = refusal_of(Said(self.sealed.pop(0), **self.details))
            return bytes(session.seal_answer(counter, pack_refusal(refusal)))
        found = self.run(given) if self.lied is None else self.lied
        tensors = tuple(
            Tensor(n, str(a.dtype), a.shape, memoryview(a.tobytes())) for n, a in found.items()
        )
        return bytes(session.seal_answer(counter, pack_answer(tensors)))


def attested(data: bytes, launched_for: str, measurement: str) -> Any:
    """Evidence of a simulated worker that was launched for something."""
    service = SimulatedQuotingService(os.urandom(32), measurer=lambda _: measurement)
    with ExitStack() as stack:
        ends: list[BinaryIO] = []
        for _ in range(2):
            read, write = os.pipe()
            for end in (os.fdopen(read, "rb"), os.fdopen(write, "wb")):
                stack.callback(end.close)
                ends.append(cast("BinaryIO", end))
        requests, to_service, answers, to_enclave = ends
        thread = threading.Thread(
            target=service.serve, args=("worker", launched_for, requests, to_enclave)
        )
        thread.start()
        stack.callback(thread.join, timeout=30)
        stack.callback(to_service.close)
        return SimulatedAttester(answers, to_service).evidence(data)
