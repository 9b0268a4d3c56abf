# SPDX-License-Identifier: Apache-2.0
"""The authority's answers: one method a kind of frame, each of them judge, append, wait until covered, answer.

Between judging and appending nothing is awaited, so no two requests see one state. What a judgement needs and is not in
memory (documents, wrapped keys) is fetched first, and the judgement is made anew.
"""

import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from placet.attestation import Attester
from placet.enclave.authority.boot import Life
from placet.enclave.authority.clock import Clock
from placet.enclave.authority.documents import missing_digest
from placet.enclave.authority.keys import KeyStore
from placet.enclave.authority.workers import Workers
from placet.enclave.errors import FrameUnexpected, RequestMalformed
from placet.enclave.peer import NONCE_BYTES, Keys
from placet.governance import admission, contexts
from placet.governance.account import Times
from placet.governance.envelope import digest_of, parse_envelope
from placet.governance.errors import DocumentNotFound
from placet.governance.evaluate import Ticket
from placet.governance.leasing import judge_boot
from placet.governance.ledger import Ledger
from placet.governance.state import Entry
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, keys_pb2
from placet.sealing import StreamKey, open_envelope

T = TypeVar("T")
M = TypeVar("M", bound=Message)
Answer = Callable[[enclaves_pb2.Frame], Awaitable[Message]]


class Authority:
    """One life of the authority. `handle` answers the frames of host and workers."""

    def __init__(self, life: Life, keys: Keys, attester: Attester, clock: Clock) -> None:
        self.life = life
        self.keys = keys
        self.attester = attester
        self.clock = clock
        self.store = KeyStore(life)
        self.workers = Workers(self)
        self._host: dict[int, Answer] = {
            enclaves_pb2.KIND_EVIDENCE: self._evidence,
            enclaves_pb2.KIND_FOUND: self._found,
            enclaves_pb2.KIND_RECORD: self._record,
            enclaves_pb2.KIND_AMEND: self._amend,
            enclaves_pb2.KIND_PROVISION: self._provision,
            enclaves_pb2.KIND_ADMIT: self._admit,
            enclaves_pb2.KIND_CLOSE: self.workers.close,
            enclaves_pb2.KIND_RESULT: self.workers.result,
        }
        # What enclaves may ask for, whatever runs in them: all of it is judged by what it contains.
        self._enclaves: dict[int, Answer] = {
            enclaves_pb2.KIND_JOIN_HELLO: self.workers.offer,
            enclaves_pb2.KIND_JOIN: self.workers.join,
            enclaves_pb2.KIND_RENEW: self.workers.renew,
            enclaves_pb2.KIND_RELEASE: self.workers.release,
            enclaves_pb2.KIND_LEASE: self.workers.lease,
        }

    async def handle(self, frame: enclaves_pb2.Frame) -> Message:
        """Answer one frame, or raise what refuses it."""
        answers = self._enclaves if frame.peer else {**self._enclaves, **self._host}
        answer = answers.get(frame.kind)
        if answer is None:
            raise FrameUnexpected(
                "The authority does not answer such frames from there.", claim="kind"
            )
        try:
            return await answer(frame)
        except DecodeError:
            raise RequestMalformed("The request is not of its kind.", claim="payload") from None

    async def start(self) -> None:
        """Append the boot entry, where the log has been founded."""
        if self.ledger.state.charter:
            await self.life.journal.covered(self._append_boot())

    @property
    def ledger(self) -> Ledger:
        return self.life.ledger

    def now(self) -> Times:
        """The time by which the next entry is judged: never before the last one's."""
        return self.clock.times(self.ledger.state.times)

    async def judged(self, judge: Callable[[], T]) -> T:
        """The judgement, made again for every document that it turned out to need."""
        fetched: set[str] = set()
        while True:
            try:
                return judge()
            except DocumentNotFound as error:
                digest = missing_digest(error)
                if digest in fetched:
                    raise
                fetched.add(digest)
                await self.life.documents.fetch(digest)

    def append(
        self,
        entry: Entry,
        documents: dict[str, bytes] | None = None,
        secrets: list[enclaves_pb2.Secret] | None = None,
    ) -> int:
        """Append what has been judged; its documents stay at hand."""
        for digest, document in (documents or {}).items():
            self.life.documents.keep(digest, document)
        return self.life.journal.append(entry, documents, secrets)

    async def committed(self, index: int, digest: str) -> common_pb2.Committed:
        """The answer to whoever sent a document: its entry is covered."""
        checkpoint = await self.life.journal.covered(index)
        return common_pb2.Committed(digest=digest, index=index, checkpoint=checkpoint)

    async def _evidence(self, frame: enclaves_pb2.Frame) -> Message:
        request = keys_pb2.EvidenceRequest.FromString(frame.payload)
        checkpoint = self.life.journal.checkpoint
        evidence = self.keys.evidence(self.attester, request.nonce, checkpoint)
        return keys_pb2.EvidenceResponse(
            identity=self.keys.identity.to_bytes(),
            evidence=evidence.to_bytes(),
            checkpoint=checkpoint,
        )

    async def _found(self, frame: enclaves_pb2.Frame) -> Message:
        request = governance_pb2.FoundRequest.FromString(frame.payload)
        constitution, charter = request.constitution, request.charter
        entry = admission.judge_charter(
            self.ledger, constitution, charter, self.life.log, self.now()
        )
        documents = {entry["constitution"]: constitution, entry["charter"]: charter}
        self.append(entry, documents)
        return await self.committed(self._append_boot(), entry["charter"])

    def _append_boot(self) -> int:
        nonce = os.urandom(NONCE_BYTES)
        identity = self.keys.identity.to_bytes()
        evidence = self.keys.evidence(self.attester, nonce, b"").to_bytes()
        entry = judge_boot(
            self.keys.identity.boot, digest_of(identity), digest_of(evidence), nonce, self.now()
        )
        return self.append(entry, {digest_of(identity): identity, digest_of(evidence): evidence})

    async def _record(self, frame: enclaves_pb2.Frame) -> Message:
        envelope = governance_pb2.DocumentRequest.FromString(frame.payload).envelope
        entry = await self.judged(
            lambda: admission.judge_document(self.ledger, envelope, self.now())
        )
        digest = parse_envelope(envelope).digest
        index = self.append(entry, {digest: envelope})
        if entry["kind"] == "stop":
            self.workers.tell_stopped()
        return await self.committed(index, digest)

    async def _amend(self, frame: enclaves_pb2.Frame) -> Message:
        request = governance_pb2.AmendRequest.FromString(frame.payload)
        ticket = ticket_of(request.ticket)
        admitted = await self.judged(
            lambda: admission.admit(self.ledger, ticket, "amend", self.now())
        )
        # Judged before the bundle is appended, so that a refusal changes nothing, and again over what the log then has.
        admission.judge_amendment(self.ledger, admitted, request.constitution, self.now())
        self.append_unknown(admitted)
        entry = admission.judge_amendment(self.ledger, admitted, request.constitution, self.now())
        index = self.append(entry, {entry["constitution"]: request.constitution})
        return await self.committed(index, entry["constitution"])

    async def _provision(self, frame: enclaves_pb2.Frame) -> Message:
        request = keys_pb2.ProvisionRequest.FromString(frame.payload)
        entry = await self.judged(
            lambda: admission.judge_grant(self.ledger, request.grant, self.now())
        )
        digest: str = entry["grant"]
        grant = self.ledger.grant(digest)
        info = contexts.provision_info(digest)
        key = StreamKey(open_envelope(request.key_envelope, self.keys.hpke, info))
        key.verify_commitment(grant.document.object.commitment)
        secret = self.store.wrap_grant(digest, key)
        return await self.committed(self.append(entry, {digest: request.grant}, [secret]), digest)

    async def _admit(self, frame: enclaves_pb2.Frame) -> Message:
        ticket = ticket_of(common_pb2.Ticket.FromString(frame.payload))
        # No job has the empty name, so this asks for a further use.
        admitted = await self.judged(lambda: admission.admit(self.ledger, ticket, "", self.now()))
        digest = admitted.ticket.proposal.digest
        return enclaves_pb2.Admitted(size=self.ledger.tree.size, proposal=digest)

    def append_unknown(self, admitted: admission.Admission) -> None:
        """What of a bundle the log does not have yet becomes part of it: the log is what was judged by."""
        proposal = admitted.ticket.proposal
        if admitted.new_proposal:
            entry = admission.enter_proposal(self.ledger, proposal, self.now())
            self.append(entry, {proposal.digest: proposal.envelope})
        for ballot in admitted.new_ballots:
            entry = admission.enter_ballot(self.ledger, ballot, self.now())
            self.append(entry, {ballot.digest: ballot.envelope})


def ticket_of(message: common_pb2.Ticket) -> Ticket:
    """The bundle as governance takes it."""
    return Ticket(message.proposal, tuple(message.ballots))
