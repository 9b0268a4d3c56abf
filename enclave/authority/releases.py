# SPDX-License-Identifier: Apache-2.0
"""The gate: what a worker has sealed and stored becomes a result, and its key goes to the
recipients of the proposal."""

from google.protobuf.message import Message

from placet.enclave.authority.core import Core, Effect
from placet.enclave.authority.joins import Joins
from placet.enclave.authority.journal import Covering
from placet.governance import contexts
from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents import Proposal, Receipt, Release, Seen, new_header
from placet.governance.entries.kind import Entry
from placet.governance.envelope import Signed, bare, digest_of, sign, verify_signed
from placet.governance.judgements import leasing
from placet.governance.judgements.receipts import receipt_for
from placet.governance.judgements.releases import judge_release
from placet.proto.v1 import enclaves_pb2, jobs_pb2
from placet.refusals import NotReleased, RecipientUnknown
from placet.sealing import HPKEPublicKey, StreamKey, open_envelope, seal_envelope


class Releases:
    """The part of the authority that lets results go."""

    def __init__(self, core: Core, joins: Joins) -> None:
        self._core = core
        self._joins = joins

    async def release(self, frame: enclaves_pb2.Frame) -> Effect:
        """Take in a release.

        1. it is signed by a joined worker, and the result key that came with it is the one of every
           output;
        2. lease, outputs and all that could stop it are judged, and the receipt is written;
        3. wrapped key, receipt and entry go into one durable step.
        """
        core = self._core
        request = enclaves_pb2.ReleaseRequest.FromString(frame.payload)
        release = verify_signed(
            request.release, Release, lambda d: [self._joins.worker(d.worker).peer.signing]
        )
        key = self._result_key(release, request.key_envelope)
        try:
            entry, receipt = await core.judged(lambda: self._judge(release))
            secrets = [core.store.wrap_result(release.document.lease, key)] if key else []
        finally:
            if key:
                key.wipe()
        documents = {release.digest: bare(release)}
        if receipt:
            documents[entry["receipt"]] = sign(receipt, core.life.log_keys.receipts)
        index = core.append(entry, documents, secrets)
        answer = enclaves_pb2.Released(receipt=documents.get(entry["receipt"], b""), index=index)
        return lambda _: answer

    async def result(self, frame: enclaves_pb2.Frame) -> Effect:
        """The result key, sealed to one recipient of the proposal; may be asked again."""
        core = self._core
        request = enclaves_pb2.ResultKeyRequest.FromString(frame.payload)
        lease = leasing.find_lease(core.ledger, request.lease)
        if lease.status != "released":
            raise NotReleased(
                "Nothing has been released under this lease.", claim="lease", actual=lease.status
            )
        proposal = await core.judged(lambda: core.ledger.proposal(lease.proposal))
        recipient = recipient_key(proposal.document, request.recipient)
        receipt = await core.document(lease.receipt)
        entry = await core.stored_entry(lease.released_at)
        info = contexts.result_info(lease.receipt, request.recipient)
        key = await core.judged(lambda: core.store.open_result(lease.digest))
        sealed = hand_over(key, recipient, info)

        def effect(covering: Covering) -> Message:
            proof = core.proof(lease.released_at, covering)
            return jobs_pb2.ResultResponse(
                receipt=receipt, key_envelope=sealed, proof=proof, entry=entry
            )

        return effect

    def _result_key(self, release: Signed[Release], envelope: bytes) -> StreamKey | None:
        """The key of every output; None where nothing is released, as of a round with too few
        updates left."""
        if not release.document.outputs:
            return None
        info = contexts.release_info(release.digest)
        key = StreamKey(open_envelope(envelope, self._core.keys.hpke, info))
        try:
            for descriptor in release.document.outputs.values():
                key.verify_commitment(descriptor.commitment)
        except BaseException:
            key.wipe()
            raise
        return key

    def _judge(self, release: Signed[Release]) -> tuple[Entry, Receipt | None]:
        core, times = self._core, self._core.now()
        receipt = self._receipt(release, times) if release.document.outputs else None
        digest = digest_of(encode(receipt)) if receipt else ""
        entry = judge_release(core.ledger, release, digest, self._joins.appraise, times)
        return entry, receipt

    def _receipt(self, release: Signed[Release], times: Times) -> Receipt:
        core = self._core
        # The weakest kind in the chain: authority and workers are of one kind, as one policy names
        # both.
        evidence = self._joins.worker(release.document.worker).peer.attested.claims.kind
        size, root = core.ledger.head()
        header = new_header(core.charter, Seen(size, root))
        return receipt_for(core.ledger, release, evidence, header, times)


def hand_over(key: StreamKey, recipient: HPKEPublicKey, info: bytes) -> bytes:
    """A key, sealed to whoever may have it, and wiped."""
    try:
        return seal_envelope(key.to_bytes(), recipient, info)
    finally:
        key.wipe()


def recipient_key(proposal: Proposal, name: str) -> HPKEPublicKey:
    """The HPKE key of a recipient that the proposal names. Raises `RecipientUnknown`."""
    for recipient in proposal.job.recipients:
        if recipient.id == name:
            return recipient.hpke
    names = ", ".join(recipient.id for recipient in proposal.job.recipients)
    raise RecipientUnknown(
        f"The proposal names no such recipient. It names {names}.",
        claim="recipient",
        expected=names,
    )
