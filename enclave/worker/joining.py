# SPDX-License-Identifier: Apache-2.0
"""Joining: worker and authority attest to each other, each to the other's nonce. After this no evidence is on the road.

What the worker holds afterwards is the log it belongs to, the constitutions of that log, and the authority's boot key.
"""

import itertools
import os
from dataclasses import dataclass

from placet.attestation import Attester, Identity
from placet.enclave.connection import Connection
from placet.enclave.errors import LeaseInvalid, ProgramOther
from placet.enclave.peer import NONCE_BYTES, Keys, Peer, verify_peer
from placet.governance.documents import Charter, Constitution
from placet.governance.envelope import verify_signed
from placet.governance.errors import NotSuccessor, OtherConstitution
from placet.governance.evaluate import check_log
from placet.governance.ledger import all_keys, verify_every_seat
from placet.governance.log import VerifierKey
from placet.proto.v1 import enclaves_pb2


@dataclass(frozen=True, slots=True)
class Membership:
    """What a worker knows of the authority it has joined."""

    keys: Keys
    authority: Peer
    log: VerifierKey
    constitutions: dict[str, Constitution]


async def join(connection: Connection, attester: Attester, program: str, now: int) -> Membership:
    """Join, or raise. `program` is the digest of the bundle that this worker was given.

    Steps: 1. ask with a nonce of our own; 2. verify charter and constitutions; 3. verify and appraise the authority
    under the newest of them; 4. make keys and evidence for the authority's nonce; 5. refuse unless the hardware says that
    we were launched for the very bundle we were given.
    """
    nonce = os.urandom(NONCE_BYTES)
    hello = enclaves_pb2.JoinHello(nonce=nonce)
    offer = enclaves_pb2.JoinOffer.FromString(
        await connection.link.request(enclaves_pb2.KIND_JOIN_HELLO, hello, peer="authority")
    )
    log = Identity.from_bytes(offer.identity).log
    constitutions = verify_constitutions(offer.charter, list(offer.constitutions), log)
    policy = list(constitutions.values())[-1].evidence.authority
    shown = (offer.identity, offer.evidence)
    authority = verify_peer("authority", log, shown, nonce, offer.checkpoint, policy, now)
    keys = Keys("worker", log)
    evidence = keys.evidence(attester, offer.nonce, b"")
    request = enclaves_pb2.JoinRequest(
        identity=keys.identity.to_bytes(), evidence=evidence.to_bytes()
    )
    joined = enclaves_pb2.Joined.FromString(
        await connection.link.request(enclaves_pb2.KIND_JOIN, request, peer="authority")
    )
    if joined.bound_to != program:
        raise ProgramOther(
            "This worker was launched for another program than the bundle that it was given.",
            claim="bound_to",
            expected=joined.bound_to,
            actual=program,
        )
    if joined.worker != keys.identity.digest:
        raise LeaseInvalid("The authority's answer is about another worker.", claim="worker")
    return Membership(keys, authority, VerifierKey.from_text(log), constitutions)


def verify_constitutions(
    charter: bytes, envelopes: list[bytes], log: str
) -> dict[str, Constitution]:
    """The constitutions of a log by digest, oldest first, each the successor of the one before; the charter binds the first.

    That a later one was adopted by its quorum is the log's to show; here the attested authority vouches for it.
    """
    if not envelopes:
        raise OtherConstitution("There is no constitution.", claim="constitutions")
    signed = [verify_signed(envelope, Constitution, all_keys) for envelope in envelopes]
    genesis = signed[0]
    verify_every_seat(envelopes[0], genesis.document)
    chartered = verify_signed(charter, Charter, lambda _: all_keys(genesis.document))
    verify_every_seat(charter, genesis.document)
    check_log(chartered.document.header.log, log)
    if chartered.document.constitution != genesis.digest:
        raise OtherConstitution(
            "The charter names another constitution.",
            claim="constitution",
            expected=chartered.document.constitution,
            actual=genesis.digest,
        )
    for before, after in itertools.pairwise(signed):
        if after.document.predecessor != before.digest:
            raise NotSuccessor(
                "A constitution does not follow the one before.",
                claim="predecessor",
                expected=before.digest,
                actual=str(after.document.predecessor),
            )
    return {each.digest: each.document for each in signed}
