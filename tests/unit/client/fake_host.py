# SPDX-License-Identifier: Apache-2.0
"""A host in memory: it judges with governance, attests with a simulated machine, and can be made to
fail or lie.

conftest.py loads this file by its path and serves it over real gRPC and TLS.
"""

import hashlib
import io
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from placet.attestation import (
    Identity,
    SimulatedAttester,
    evidence_context,
    report_data,
)
from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.contexts import provision_info, result_info
from placet.governance.documents import (
    Charged,
    Predicate,
    Receipt,
    Recipient,
    Seen,
    new_header,
)
from placet.governance.entries.kind import Entry
from placet.governance.entries.table import KINDS
from placet.governance.envelope import digest_of, parse_envelope, sign
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import (
    admit,
    judge_amendment,
    judge_charter,
    judge_document,
    judge_grant,
)
from placet.governance.judgements.leasing import judge_boot
from placet.governance.keys import SigningKey
from placet.governance.ledger import Ledger, missing_document
from placet.governance.log import (
    Checkpoint,
    LogProof,
    NoteSigner,
    SignedNote,
    Tree,
    leaf_hash,
    sign_checkpoint,
)
from placet.proto.v1 import (
    blobs_pb2,
    common_pb2,
    governance_pb2,
    jobs_pb2,
    keys_pb2,
    log_pb2,
    runs_pb2,
)
from placet.refusals import (
    BlobNotFound,
    KeyRejected,
    NotReleased,
)
from placet.sealing import (
    HPKEPrivateKey,
    ObjectDescriptor,
    StreamKey,
    open_envelope,
    pad,
    seal_envelope,
    seal_stream,
)

MEASUREMENTS = {"authority": "aa" * 32, "worker": "bb" * 32}
PART = 1 << 20
DAY = 86400


class FakeHost:
    """Host and authority in one, and all their services. The first attributes make it fail or
    lie."""

    def __init__(self, attester: SimulatedAttester) -> None:
        self.break_puts_after = -1  # bytes of a put after which the connection breaks off, once
        self.break_gets_after = -1
        self.break_watches = 0
        self.shown_note: bytes | None = None  # a checkpoint to show in place of the newest
        self.withheld: set[str] = set()  # documents not given out
        self.calls: list[str] = []
        self.called: list[str] = []  # methods, in their order
        self.starts: list[int] = []  # from which entry on the log was read
        self.signer = NoteSigner("council.example/log", bytes(range(32)))
        self.log = self.signer.verifier_key.to_text()
        self.log_key = SigningKey(Ed25519PrivateKey.from_private_bytes(self.signer.to_bytes()))
        self.hpke = HPKEPrivateKey.generate("X25519")
        self.boot_key = SigningKey.generate()
        self.boot_evidence = b""
        self.attester = attester
        self.documents: dict[str, bytes] = {}
        self.ledger = Ledger(self)
        self.entries: list[bytes] = []
        self.provisioned: dict[str, bytes] = {}
        self.blobs: dict[str, tuple[int, bytearray]] = {}
        self.jobs: dict[str, runs_pb2.Run] = {}
        self.results: dict[str, jobs_pb2.ResultResponse] = {}
        self.federations: Any = None  # of fake_federations.py
        self.services: Any = None  # of fake_services.py
        self.runs: Any = None  # of fake_runs.py

    @property
    def charter(self) -> str:
        """The digest of the charter; empty before there is one."""
        return self.ledger.state.charter

    @property
    def identity(self) -> Identity:
        """What the authority says of itself."""
        keys = (self.hpke.public.to_text(), self.boot_key.public.text)
        return Identity("authority", self.log, self.charter, "ab" * 16, *keys)

    # The log.

    def envelope(self, digest: str) -> bytes:
        """Documents of the ledger."""
        if digest not in self.documents:
            raise missing_document(digest)
        return self.documents[digest]

    def times(self) -> Times:
        now = max(int(time.time()), self.ledger.state.times.at_most)
        return Times(now, now)

    def append(self, entry: Entry, documents: dict[str, bytes]) -> common_pb2.Committed:
        self.documents.update(documents)
        self.entries.append(self.ledger.append(entry))
        digest = next(iter(documents), "")
        return common_pb2.Committed(
            digest=digest, index=len(self.entries) - 1, checkpoint=self.note()
        )

    def append_unjudged(self, entry: Entry) -> None:
        data = encode(entry)
        self.entries.append(data)
        self.ledger.tree.append(leaf_hash(data))
        self.ledger.state.size += 1

    def rewind(self, size: int) -> None:
        """Begin another history after so many entries."""
        del self.entries[size:]
        self.ledger.tree = Tree(map(leaf_hash, self.entries))

    def note(self, size: int | None = None) -> bytes:
        """The checkpoint of a size, now by default; empty before the log is founded."""
        if not self.entries:
            return b""
        tree = self.ledger.tree
        size = tree.size if size is None else size
        checkpoint = Checkpoint(self.signer.verifier_key.name, size, tree.root(size))
        return sign_checkpoint(checkpoint, self.signer)

    def _newest(self) -> bytes:
        return self.note() if self.shown_note is None else self.shown_note

    async def GetCheckpoint(self, request: Any, context: Any) -> log_pb2.CheckpointResponse:
        return log_pb2.CheckpointResponse(note=self._newest())

    async def GetEntries(
        self, request: log_pb2.GetEntriesRequest, context: Any
    ) -> AsyncIterator[log_pb2.EntriesResponse]:
        end = request.end
        if not end:
            self.calls.append("Read")
            self.starts.append(request.start)
            note = self._newest()
            end = Checkpoint.from_text(SignedNote.from_bytes(note).text).size if note else 0
            yield log_pb2.EntriesResponse(checkpoint=note)
        for entry in self.entries[request.start : end]:
            yield log_pb2.EntriesResponse(entries=[entry])

    async def GetDocument(
        self, request: log_pb2.GetDocumentRequest, context: Any
    ) -> log_pb2.DocumentResponse:
        wanted = "" if request.digest in self.withheld else request.digest
        return log_pb2.DocumentResponse(document=self.envelope(wanted))

    async def GetTile(self, request: Any, context: Any) -> log_pb2.TileResponse:
        raise NotImplementedError

    async def GetInclusionProof(
        self, request: log_pb2.InclusionProofRequest, context: Any
    ) -> log_pb2.ProofResponse:
        proof = self.ledger.tree.inclusion_proof(request.index, request.size)
        return log_pb2.ProofResponse(hashes=proof)

    async def GetConsistencyProof(
        self, request: log_pb2.ConsistencyProofRequest, context: Any
    ) -> log_pb2.ProofResponse:
        proof = self.ledger.tree.consistency_proof(request.old_size, request.new_size)
        return log_pb2.ProofResponse(hashes=proof)

    # The council.

    async def Found(
        self, request: governance_pb2.FoundRequest, context: Any
    ) -> common_pb2.Committed:
        entry = judge_charter(
            self.ledger, request.constitution, request.charter, self.log, self.times()
        )
        self.append(
            entry,
            {entry["charter"]: request.charter, entry["constitution"]: request.constitution},
        )
        nonce = os.urandom(32)
        identity = self.identity.to_bytes()
        data = report_data(
            self.identity.digest, nonce, evidence_context(self.log, self.charter, b"")
        )
        evidence = self.boot_evidence = self.attester.evidence(data).to_bytes()
        boot = judge_boot(
            self.identity.boot, digest_of(identity), digest_of(evidence), nonce, self.times()
        )
        given = {digest_of(identity): identity, digest_of(evidence): evidence}
        committed = self.append(boot, given)
        committed.digest = entry["charter"]
        return committed

    async def _record(self, envelope: bytes, context: Any) -> common_pb2.Committed:
        entry = judge_document(self.ledger, envelope, self.times())
        return self.append(entry, {parse_envelope(envelope).digest: envelope})

    async def Propose(
        self, request: governance_pb2.DocumentRequest, context: Any
    ) -> common_pb2.Committed:
        return await self._record(request.envelope, context)

    async def Vote(
        self, request: governance_pb2.DocumentRequest, context: Any
    ) -> common_pb2.Committed:
        return await self._record(request.envelope, context)

    async def Stop(
        self, request: governance_pb2.DocumentRequest, context: Any
    ) -> common_pb2.Committed:
        return await self._record(request.envelope, context)

    async def Amend(
        self, request: governance_pb2.AmendRequest, context: Any
    ) -> common_pb2.Committed:
        ticket = Ticket(request.ticket.proposal, tuple(request.ticket.ballots))
        admitted = admit(self.ledger, ticket, "amend", self.times())
        entry = judge_amendment(self.ledger, admitted, request.constitution, self.times())
        return self.append(entry, {entry["constitution"]: request.constitution})

    async def GetEvidence(
        self, request: keys_pb2.EvidenceRequest, context: Any
    ) -> keys_pb2.EvidenceResponse:
        checkpoint = self._newest()
        bound = evidence_context(self.log, self.charter, checkpoint)
        data = report_data(self.identity.digest, request.nonce, bound)
        return keys_pb2.EvidenceResponse(
            identity=self.identity.to_bytes(),
            evidence=self.attester.evidence(data).to_bytes(),
            checkpoint=checkpoint,
        )

    async def Provision(
        self, request: keys_pb2.ProvisionRequest, context: Any
    ) -> common_pb2.Committed:
        entry = judge_grant(self.ledger, request.grant, self.times())
        info = provision_info(entry["grant"])
        key = open_envelope(request.key_envelope, self.hpke, info)
        if len(key) != 32:
            raise KeyRejected("No key.")
        self.provisioned[entry["grant"]] = key
        return self.append(entry, {entry["grant"]: request.grant})

    # Blobs.

    async def Put(
        self, request_iterator: AsyncIterator[blobs_pb2.PutRequest], context: Any
    ) -> blobs_pb2.BlobInfo:
        header = (await anext(request_iterator)).header
        self.calls.append(f"Put {header.offset}")
        length, data = self.blobs.setdefault(header.id, (header.length, bytearray()))
        del data[header.offset :]
        async for request in request_iterator:
            data += request.chunk
            if 0 <= self.break_puts_after <= len(data):
                self.break_puts_after = -1
                del data[len(data) // PART * PART :]  # what is durable are whole parts
                await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
        if len(data) == length and hashlib.sha256(data).digest() != header.sha256:
            await context.abort(grpc.StatusCode.INTERNAL, "digest")
        return self._info(header.id)

    def _info(self, id: str) -> blobs_pb2.BlobInfo:
        length, data = self.blobs[id]
        return blobs_pb2.BlobInfo(
            id=id, length=length, received=len(data), complete=len(data) == length
        )

    async def Stat(self, request: blobs_pb2.StatRequest, context: Any) -> blobs_pb2.BlobInfo:
        if request.id not in self.blobs:
            raise BlobNotFound("No blob has this id. Put it first.")
        return self._info(request.id)

    async def Get(
        self, request: blobs_pb2.GetBlobRequest, context: Any
    ) -> AsyncIterator[blobs_pb2.BlobChunk]:
        self.calls.append(f"Get {request.offset}")
        data = bytes(self.blobs[request.id][1])
        end = request.offset + request.length if request.length else len(data)
        for start in range(request.offset, end, PART // 2):
            if 0 <= self.break_gets_after <= start:
                self.break_gets_after = -1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
            yield blobs_pb2.BlobChunk(data=data[start : min(start + PART // 2, end)])

    async def Delete(
        self, request: blobs_pb2.DeleteBlobRequest, context: Any
    ) -> blobs_pb2.DeleteBlobResponse:
        self.blobs.pop(request.id, None)
        return blobs_pb2.DeleteBlobResponse()

    # Jobs; what is followed is in fake_runs.py.

    async def Result(
        self, request: jobs_pb2.ResultRequest, context: Any
    ) -> jobs_pb2.ResultResponse:
        if request.id not in self.results:
            raise NotReleased("Nothing has been released for this job.")
        return self.results[request.id]

    def release(self, job: str, recipient: Recipient, contents: dict[str, bytes]) -> None:
        """Release outputs for a job as the authority does, without a worker's lease."""
        proposal_digest = self.jobs[job].proposal
        proposal = self.ledger.proposal(proposal_digest).document
        key = StreamKey.generate()
        outputs = {
            name: self._output(content, proposal.job.outputs[name].max_bytes, key)
            for name, content in contents.items()
        }
        lease = self.leased(proposal_digest, job, proposal.job.program)
        size, root = self.ledger.head()
        receipt = Receipt.about(
            Predicate(
                header=new_header(self.charter, Seen(size, root)),
                proposal=proposal_digest,
                constitution=proposal.constitution,
                job=job,
                attempt=1,
                lease=lease,
                worker=self.ledger.state.leases[lease].worker,
                program=proposal.job.program,
                purpose=proposal.purpose,
                parameters=proposal.job.parameters,
                inputs={n: i.object.digest for n, i in proposal.job.inputs.items()},
                outputs=outputs,
                recipients=tuple(r.id for r in proposal.job.recipients),
                approved_by=("alice", "bob"),
                evidence="simulation",
                privacy=Charged(proposal.job.charges, proposal.job.declared),
                marks=("SIMULATED", "UNWITNESSED"),
                entry=size,
                judged_at=size,
                released=int(time.time()),
            )
        )
        envelope = sign(receipt, self.log_key)
        digest = parse_envelope(envelope).digest
        said = receipt.predicate
        names = {"lease": said.lease, "proposal": proposal_digest, "job": job}
        entry = KINDS["release"].new(
            self.times(),
            dict(**names, round=0, release="sha256:" + "33" * 32, receipt=digest, left={}, until=0),
        )
        self.append(entry, {})
        proof = LogProof(size, self.ledger.tree.inclusion_proof(size, size + 1), self.note())
        self.results[job] = jobs_pb2.ResultResponse(
            receipt=envelope,
            entry=self.entries[size],
            proof=proof.to_bytes(),
            key_envelope=seal_envelope(
                key.to_bytes(), recipient.hpke, result_info(digest, recipient.id)
            ),
        )

    def leased(self, proposal: str, job: str, program: str) -> str:
        """A join and a lease in the log, as of a worker."""
        worker, lease = ("sha256:" + os.urandom(32).hex() for _ in range(2))
        times, nonce = self.times(), os.urandom(32).hex()
        evidence, measurement = "sha256:" + "44" * 32, MEASUREMENTS["worker"]
        joined: dict[str, Any] = {
            "launched_for": program,
            "measurement": measurement,
            "evidence": evidence,
        }
        joined |= {"worker": worker, "nonce": nonce, "lapses": times.at_most + 600}
        self.append(KINDS["join"].new(times, joined), {})
        held: dict[str, Any] = {
            "lease": lease,
            "proposal": proposal,
            "job": job,
            "attempt": 1,
            "worker": worker,
        }
        held |= {"grants": [], "charges": {}, "deadline": times.at_most + 60}
        held |= {"judged": self.ledger.tree.size}
        self.append(KINDS["lease"].new(times, held), {})
        return lease

    def _output(self, content: bytes, max_bytes: int, key: StreamKey) -> ObjectDescriptor:
        sealed = io.BytesIO()
        padded = pad(io.BytesIO(content), len(content), max_bytes)
        descriptor = seal_stream(padded, sealed, key, kind="result", labels=())
        data = bytearray(sealed.getvalue())
        self.blobs[descriptor.id] = (len(data), data)
        return descriptor
