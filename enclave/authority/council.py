# SPDX-License-Identifier: Apache-2.0
"""Requests of people to the authority, through the host: evidence, the founding, documents,
amendments, keys, admission."""

import os

from google.protobuf.message import Message

from placet.attestation import NONCE_BYTES, Policy
from placet.enclave.authority.core import Core, Effect, committed, ticket_of
from placet.enclave.authority.journal import Covering
from placet.enclave.authority.leases import Leases
from placet.enclave.peer import Keys
from placet.governance import contexts
from placet.governance.checks import check_digest
from placet.governance.documents import Constitution, Grant
from placet.governance.envelope import digest_of, inspect, parse_envelope
from placet.governance.judgements import admission
from placet.governance.judgements.leasing import judge_boot
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, keys_pb2
from placet.refusals import NotFounded
from placet.sealing import StreamKey, open_envelope


class Council:
    """One method a kind of frame. What may stop a job that runs is passed on to `leases` at
    once."""

    def __init__(self, core: Core, leases: Leases) -> None:
        self._core = core
        self._leases = leases

    async def evidence(self, frame: enclaves_pb2.Frame) -> Effect:
        """Evidence for the nonce of whoever asks, bound to the newest committed checkpoint.

        Before the founding it is about the log that the authority would keep for the constitution
        that is asked about.
        """
        core = self._core
        request = keys_pb2.EvidenceRequest.FromString(frame.payload)
        keys = core.keys if core.charter else self._unfounded(request.constitution)

        def effect(covering: Covering) -> Message:
            evidence = keys.evidence(core.attester, request.nonce, covering.note)
            return keys_pb2.EvidenceResponse(
                identity=keys.identity.to_bytes(),
                evidence=evidence.to_bytes(),
                checkpoint=covering.note,
            )

        return effect

    async def found(self, frame: enclaves_pb2.Frame) -> Effect:
        """Entry 0, and the boot entry of the life that wrote it."""
        core = self._core
        request = governance_pb2.FoundRequest.FromString(frame.payload)
        constitution, charter = request.constitution, request.charter
        keys = core.life.log_keys_for(parse_envelope(constitution).digest)
        entry = admission.judge_charter(core.ledger, constitution, charter, keys.log, core.now())
        _check_policies(constitution)
        core.life.keep(keys)
        core.append(entry, {entry["constitution"]: constitution, entry["charter"]: charter})
        return committed(append_boot(core), entry["charter"])

    async def record(self, frame: enclaves_pb2.Frame) -> Effect:
        """A proposal, a ballot or a stop."""
        core = self._core
        envelope = governance_pb2.DocumentRequest.FromString(frame.payload).envelope
        time = core.believed if admission.says_no(envelope) else core.now
        entry = await core.judged(lambda: admission.judge_document(core.ledger, envelope, time()))
        digest = parse_envelope(envelope).digest
        index = core.append(entry, {digest: envelope})
        if entry["kind"] != "proposal":
            self._leases.tell_stopped()
        return committed(index, digest)

    async def amend(self, frame: enclaves_pb2.Frame) -> Effect:
        core = self._core
        request = governance_pb2.AmendRequest.FromString(frame.payload)
        ticket, successor = ticket_of(request.ticket), request.constitution
        admitted = await core.judged(
            lambda: admission.admit(core.ledger, ticket, "amend", core.now())
        )
        # Judged before the bundle is appended, so that a refusal changes nothing, and again over
        # what the log then has.
        admission.judge_amendment(core.ledger, admitted, successor, core.now())
        _check_policies(successor)
        core.append_unknown(admitted)
        entry = admission.judge_amendment(core.ledger, admitted, successor, core.now())
        index = core.append(entry, {entry["constitution"]: successor})
        self._leases.tell_stopped()
        return committed(index, entry["constitution"])

    async def provision(self, frame: enclaves_pb2.Frame) -> Effect:
        """A grant and the key that it is about. Raises `KeyCommitmentMismatch` for another key."""
        core = self._core
        request = keys_pb2.ProvisionRequest.FromString(frame.payload)
        entry = await core.judged(
            lambda: admission.judge_grant(core.ledger, request.grant, core.now())
        )
        digest: str = entry["grant"]
        grant: Grant = core.ledger.grant(digest).document
        info = contexts.provision_info(digest)
        key = StreamKey(open_envelope(request.key_envelope, core.keys.hpke, info))
        try:
            key.verify_commitment(grant.object.commitment)
            secret = core.store.wrap_grant(digest, key)
        finally:
            key.wipe()
        return committed(core.append(entry, {digest: request.grant}, [secret]), digest)

    async def admit(self, frame: enclaves_pb2.Frame) -> Effect:
        """Whether a ticket could have a lease now. Changes nothing."""
        core = self._core
        ticket = ticket_of(common_pb2.Ticket.FromString(frame.payload))
        # No job has the empty name, so this asks for a further use.
        admitted = await core.judged(lambda: admission.admit(core.ledger, ticket, "", core.now()))
        digest = admitted.ticket.proposal.digest
        answer = enclaves_pb2.Admitted(size=core.ledger.tree.size, proposal=digest)
        return lambda _: answer

    def _unfounded(self, constitution: str) -> Keys:
        """The keys of this boot for the log of a council that does not exist yet."""
        if not constitution:
            raise NotFounded(
                "The log has no charter yet. Ask about the genesis constitution that you want to "
                "found it with."
            )
        check_digest("constitution", constitution)
        core = self._core
        return core.boot_keys.of(core.life.log_keys_for(constitution).log, "")


def _check_policies(constitution: bytes) -> None:
    """A constitution whose evidence policies nobody could read would let no worker in. Raises
    `PolicyInvalid`."""
    evidence = inspect(constitution, Constitution).evidence
    for policy in (evidence.authority, evidence.worker):
        Policy.from_dict(policy)


def append_boot(core: Core) -> int:
    """The entry of this life of the authority."""
    nonce = os.urandom(NONCE_BYTES)
    identity = core.keys.identity.to_bytes()
    evidence = core.keys.evidence(core.attester, nonce, b"").to_bytes()
    boot = core.keys.identity.boot
    entry = judge_boot(boot, digest_of(identity), digest_of(evidence), nonce, core.now())
    return core.append(entry, {digest_of(identity): identity, digest_of(evidence): evidence})
