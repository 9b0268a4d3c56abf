# SPDX-License-Identifier: Apache-2.0
"""Joining: worker and authority attest to each other, each to the other's nonce. After this no
evidence is on the road.

The worker holds afterwards the log it belongs to, the constitutions of that log, and the
authority's boot key.
"""

import os
from dataclasses import dataclass

from placet.attestation import NONCE_BYTES, Attester, Expected, Policy, believe
from placet.enclave.connection import Connection
from placet.enclave.peer import BootKeys, Keys, Peer
from placet.governance.documents import Constitution
from placet.governance.judgements.founding import verify_succession
from placet.governance.log import VerifierKey
from placet.proto.v1 import enclaves_pb2
from placet.refusals import LeaseInvalid, ProgramOther


@dataclass(frozen=True, slots=True)
class Membership:
    """The authority that a worker has joined, as it knows it. `charter` is the digest that names
    the council."""

    keys: Keys
    authority: Peer
    log: VerifierKey
    charter: str
    constitutions: dict[str, Constitution]


async def join(
    connection: Connection, attester: Attester, launched_for: str, now: int
) -> Membership:
    """Join, or raise. `launched_for` is the digest of what this worker was given.

    Steps: 1. ask with a nonce of our own; 2. verify charter and constitutions; 3. verify and
    appraise the authority under the newest of them; 4. make keys and evidence for the authority's
    nonce; 5. refuse unless the hardware says that we were launched for the very bundle we were
    given.
    """
    nonce = os.urandom(NONCE_BYTES)
    hello = enclaves_pb2.JoinHello(nonce=nonce)
    offer = enclaves_pb2.JoinOffer.FromString(
        await connection.link.request(enclaves_pb2.KIND_JOIN_HELLO, hello, peer="authority")
    )
    founding, chain = verify_succession(offer.charter, offer.constitutions)
    log, charter = founding.log, founding.charter.digest
    # That the later ones were adopted is the log's to show; here the authority that we attest
    # vouches for it.
    constitutions = {signed.digest: signed.document for signed in chain}
    policy = Policy.from_dict(list(constitutions.values())[-1].evidence.authority)
    expected = Expected("authority", log, charter, nonce, offer.checkpoint)
    attested = believe(offer.identity, offer.evidence, expected, policy, now=now)
    keys = BootKeys("worker").of(log, charter)
    evidence = keys.evidence(attester, offer.nonce, b"")
    request = enclaves_pb2.JoinRequest(
        identity=keys.identity.to_bytes(), evidence=evidence.to_bytes()
    )
    joined = enclaves_pb2.Joined.FromString(
        await connection.link.request(enclaves_pb2.KIND_JOIN, request, peer="authority")
    )
    if joined.launched_for != launched_for:
        raise ProgramOther(
            "This worker was launched for another program than the bundle that it was given.",
            claim="launched_for",
            expected=joined.launched_for,
            actual=launched_for,
        )
    if joined.worker != keys.identity.digest:
        raise LeaseInvalid("The authority's answer is about another worker.", claim="worker")
    return Membership(keys, Peer.of(attested), VerifierKey.from_text(log), charter, constitutions)
