# SPDX-License-Identifier: Apache-2.0
"""Workers as the authority sees them: joins, leases, renewals, releases, closings, and results for recipients."""

import base64
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio
from google.protobuf.message import Message

from placet.attestation import Policy, verify_appraisal
from placet.enclave.authority.receipts import make_receipt, recipient_key
from placet.enclave.connection import METADATA
from placet.enclave.errors import FrameUnexpected, HostUnfaithful
from placet.enclave.peer import NONCE_BYTES, Peer, verify_peer
from placet.governance import contexts, leasing
from placet.governance.admission import Admission, admit
from placet.governance.codec import Json, encode
from placet.governance.documents import Lease, Release, Seen, new_header
from placet.governance.envelope import Signed, digest_of, sign, verify_signed
from placet.governance.errors import GovernanceError, JoinUnknown, NotReleased
from placet.governance.evaluate import Ticket
from placet.governance.log import LogProof, leaf_hash
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2, enclaves_pb2, jobs_pb2, log_pb2, log_pb2_grpc
from placet.sealing import StreamKey, open_envelope, seal_envelope

if TYPE_CHECKING:
    from placet.enclave.authority.service import Authority


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker of this boot, and the enclave id under which the host relays to it."""

    peer: Peer
    enclave_id: str


class Workers:
    """The part of the authority that deals with workers."""

    def __init__(self, authority: "Authority") -> None:
        self._authority = authority
        self._nonces: dict[str, bytes] = {}
        self._joined: dict[str, Joined] = {}

    async def offer(self, frame: enclaves_pb2.Frame) -> Message:
        """First half of a join: our evidence for the worker's nonce, and our nonce for its evidence."""
        authority = self._authority
        request = enclaves_pb2.JoinHello.FromString(frame.payload)
        authority.ledger.in_force()
        state = authority.ledger.state
        documents = [await self._document(d) for d in (state.charter, *state.constitutions)]
        checkpoint = authority.life.journal.checkpoint
        nonce = self._nonces[frame.peer] = os.urandom(NONCE_BYTES)
        evidence = authority.keys.evidence(authority.attester, request.nonce, checkpoint)
        return enclaves_pb2.JoinOffer(
            identity=authority.keys.identity.to_bytes(),
            evidence=evidence.to_bytes(),
            checkpoint=checkpoint,
            charter=documents[0],
            constitutions=documents[1:],
            nonce=nonce,
        )

    async def join(self, frame: enclaves_pb2.Frame) -> Message:
        """Second half: the worker's evidence is verified and appraised; the log takes it in."""
        authority = self._authority
        request = enclaves_pb2.JoinRequest.FromString(frame.payload)
        nonce = self._nonces.pop(frame.peer, b"")
        if not nonce:
            raise FrameUnexpected("A join begins with a hello.", claim="nonce")
        times = authority.now()
        peer = verify_peer(
            "worker",
            authority.life.log,
            request.identity,
            request.evidence,
            nonce,
            b"",
            authority.ledger.in_force().constitution.evidence.worker,
            times.at_most,
        )
        worker, evidence = peer.identity.digest, peer.evidence.digest
        entry = leasing.judge_join(authority.ledger, worker, peer.claims, evidence, nonce, times)
        documents = {worker: request.identity, evidence: request.evidence}
        index = authority.append(entry, documents)
        self._joined[worker] = Joined(peer, frame.peer)
        await authority.life.journal.covered(index)
        return enclaves_pb2.Joined(
            worker=worker, bound_to=peer.claims.bound_to, lapses=entry["lapses"]
        )

    async def lease(self, frame: enclaves_pb2.Frame) -> Message:
        """One attempt of an admitted ticket for one joined worker; the keys leave once the entry is covered."""
        authority = self._authority
        request = enclaves_pb2.LeaseRequest.FromString(frame.payload)
        ticket = Ticket(request.ticket.proposal, tuple(request.ticket.ballots))
        while True:
            admission = await authority.judged(
                lambda: admit(authority.ledger, ticket, request.job, authority.now())
            )
            if authority.store.has_grants(admission.grants):
                break
            await authority.store.fetch_grants(admission.grants)
        # Judged before the bundle is appended, so that a refusal changes nothing, and again over what the log then has.
        self._judge_lease(admission, request)
        authority.append_unknown(admission)
        lease, envelope, entry = self._judge_lease(admission, request)
        index = authority.append(entry, {entry["lease"]: envelope})
        keys = self._sealed_keys(admission, entry["lease"], lease.worker)
        checkpoint = await authority.life.journal.covered(index)
        return enclaves_pb2.LeasePackage(
            lease=envelope,
            ticket=common_pb2.Ticket(
                proposal=admission.ticket.proposal.envelope,
                ballots=[ballot.envelope for ballot in admission.ticket.ballots],
            ),
            entry=encode(entry),
            proof=self._proof(index, checkpoint),
            key_envelope=keys,
            constitution=lease.constitution,
        )

    async def renew(self, frame: enclaves_pb2.Frame) -> Message:
        """A lease goes on, unless something has stopped it."""
        authority = self._authority
        request = enclaves_pb2.RenewRequest.FromString(frame.payload)
        times = authority.now()
        entry = await authority.judged(
            lambda: leasing.judge_renewal(authority.ledger, request.lease, self._appraise, times)
        )
        await authority.life.journal.covered(authority.append(entry))
        deadline = int(entry["deadline"])
        return enclaves_pb2.Renewed(
            deadline_ms=deadline * 1000, remaining_ms=(deadline - times.at_most) * 1000
        )

    async def release(self, frame: enclaves_pb2.Frame) -> Message:
        """The gate (docs/design.md, release): judge, wrap the result key, append with its receipt, wait, answer."""
        authority = self._authority
        request = enclaves_pb2.ReleaseRequest.FromString(frame.payload)
        release = verify_signed(
            request.release, Release, lambda d: [self._worker(d.worker).peer.signing]
        )
        document = release.document
        authority.ledger.check_header(document.header)
        info = contexts.release_info(release.digest)
        key = StreamKey(open_envelope(request.key_envelope, authority.keys.hpke, info))
        for descriptor in document.outputs.values():
            key.verify_commitment(descriptor.commitment)
        lease = leasing.find_lease(authority.ledger, document.lease)
        await authority.judged(lambda: authority.ledger.proposal(lease.proposal))
        entry, receipt = self._judge_release(release)
        secret = authority.store.wrap_result(lease.digest, key)
        documents = {release.digest: request.release, entry["receipt"]: receipt}
        index = authority.append(entry, documents, [secret])
        await authority.life.journal.covered(index)
        return enclaves_pb2.Released(receipt=receipt, index=index)

    async def close(self, frame: enclaves_pb2.Frame) -> Message:
        """The host says that an attempt is over. It can only take away by that, never give."""
        authority = self._authority
        request = enclaves_pb2.CloseAttempt.FromString(frame.payload)
        entry = leasing.judge_close(authority.ledger, request.lease, request.why, authority.now())
        return await authority.committed(authority.append(entry), request.lease)

    async def result(self, frame: enclaves_pb2.Frame) -> Message:
        """The result key, sealed to one recipient of the proposal; may be asked again."""
        authority = self._authority
        request = enclaves_pb2.ResultKeyRequest.FromString(frame.payload)
        lease = leasing.find_lease(authority.ledger, request.lease)
        if lease.status != "released":
            raise NotReleased(
                "Nothing has been released under this lease.", claim="lease", actual=lease.status
            )
        proposal = await authority.judged(lambda: authority.ledger.proposal(lease.proposal))
        recipient = recipient_key(proposal.document, request.recipient)
        receipt = await self._document(lease.receipt)
        entry = await self._entry(lease.released_at)
        key = await authority.store.open_result(lease.digest)
        await authority.life.journal.covered(lease.released_at)
        info = contexts.result_info(lease.receipt, request.recipient)
        return jobs_pb2.ResultResponse(
            receipt=receipt,
            key_envelope=seal_envelope(key.to_bytes(), recipient, info),
            proof=self._proof(lease.released_at, authority.life.journal.checkpoint),
            entry=entry,
        )

    def tell_stopped(self) -> None:
        """After a stop: tell every worker whose lease can no longer go on, at once rather than at its renewal."""
        authority = self._authority
        times = authority.now()
        for worker, joined in self._joined.items():
            digest = authority.ledger.state.joins[worker].lease
            if not digest or authority.ledger.state.leases[digest].status != "open":
                continue
            try:
                leasing.check_goes_on(
                    authority.ledger, authority.ledger.state.leases[digest], times
                )
            except GovernanceError as refusal:
                message = enclaves_pb2.Stopped(lease=digest, refusal=refusal_of(refusal))
                authority.life.connection.link.send(
                    enclaves_pb2.KIND_STOPPED, message, peer=joined.enclave_id
                )

    def _judge_lease(
        self, admission: Admission, request: enclaves_pb2.LeaseRequest
    ) -> tuple[Lease, bytes, Json]:
        authority = self._authority
        ledger, times = authority.ledger, authority.now()
        proposal = admission.ticket.proposal
        size, root = ledger.head()
        lease = Lease(
            header=new_header(authority.life.log, Seen(size, root)),
            boot=authority.keys.identity.boot,
            proposal=proposal.digest,
            constitution=proposal.document.constitution,
            job=request.job,
            attempt=leasing.next_attempt(ledger, proposal.digest, request.job),
            worker=request.worker,
            deadline=times.at_most + ledger.in_force().constitution.limits.lease_seconds,
        )
        envelope = sign(lease, authority.keys.signing)
        digest = digest_of(encode(lease))
        entry = leasing.judge_lease(ledger, admission, lease, digest, self._appraise, times)
        return lease, envelope, entry

    def _judge_release(self, release: Signed[Release]) -> tuple[Json, bytes]:
        authority = self._authority
        times = authority.now()
        receipt = make_receipt(
            authority.ledger,
            release,
            self._worker(release.document.worker).peer.claims.kind,
            authority.life.log,
            times,
        )
        digest = digest_of(encode(receipt))
        entry = leasing.judge_release(authority.ledger, release, digest, self._appraise, times)
        return entry, sign(receipt, authority.life.log_key)

    def _sealed_keys(self, admission: Admission, lease: str, worker: str) -> bytes:
        """The input keys, by input name, in one envelope to the worker."""
        names = sorted(admission.ticket.proposal.document.job.inputs)
        keys = {
            name: base64.b64encode(self._authority.store.open_grant(grant).to_bytes()).decode()
            for name, grant in zip(names, admission.grants, strict=True)
        }
        hpke = self._worker(worker).peer.hpke
        return seal_envelope(json.dumps(keys).encode(), hpke, contexts.lease_info(lease))

    def _appraise(self, worker: str, policy: Json) -> None:
        now = self._authority.now().at_most
        claims = self._worker(worker).peer.claims
        verify_appraisal(claims, Policy.from_dict(policy), now=now, bound_to=None)

    def _worker(self, worker: str) -> Joined:
        joined = self._joined.get(worker)
        if joined is None:
            raise JoinUnknown(
                "No worker with this identity has joined since the authority started.",
                claim="worker",
                actual=worker,
            )
        return joined

    def _proof(self, index: int, checkpoint: bytes) -> bytes:
        size = self._authority.life.journal.committed
        hashes = self._authority.ledger.tree.inclusion_proof(index, size)
        return LogProof(index, hashes, checkpoint).to_bytes()

    async def _document(self, digest: str) -> bytes:
        authority = self._authority
        return await authority.judged(lambda: authority.life.documents.envelope(digest))

    async def _entry(self, index: int) -> bytes:
        """An entry as the host keeps it, checked against the tree."""
        stub = log_pb2_grpc.LogStub(self._authority.life.connection.channel)
        request = log_pb2.GetEntriesRequest(start=index, end=index + 1)
        try:
            async for batch in stub.GetEntries(request, metadata=METADATA):
                for data in batch.entries:
                    if leaf_hash(data) == self._authority.ledger.tree.leaf(index):
                        return data
        except grpc.aio.AioRpcError:
            pass
        raise HostUnfaithful("The host does not give back an entry of the log.", claim="entry")
