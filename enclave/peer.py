# SPDX-License-Identifier: Apache-2.0
"""Attesting to a peer, and believing one: the same few steps on both sides of a join."""

import secrets
from dataclasses import dataclass

from placet.attestation import (
    Attester,
    Claims,
    Evidence,
    Identity,
    Policy,
    report_data,
    verify_appraisal,
    verify_binding,
    verify_evidence,
)
from placet.enclave.errors import FrameUnexpected
from placet.governance.codec import Json
from placet.governance.contexts import evidence_context
from placet.governance.evaluate import check_log
from placet.governance.keys import PublicKey, SigningKey
from placet.sealing import HPKEPrivateKey, HPKEPublicKey

NONCE_BYTES = 32


class Keys:
    """The keys that an enclave makes for one life, and the identity document that names them."""

    def __init__(self, role: str, log: str) -> None:
        self.hpke = HPKEPrivateKey.generate()
        self.signing = SigningKey.generate()
        boot = secrets.token_hex(16)
        self.identity = Identity(
            role=role,
            log=log,
            boot=boot,
            hpke=self.hpke.public.to_text(),
            signing=self.signing.public.text,
        )

    def evidence(self, attester: Attester, nonce: bytes, checkpoint: bytes) -> Evidence:
        """Evidence that binds the identity to a verifier's nonce, the log, and its newest checkpoint."""
        context = evidence_context(self.identity.log, checkpoint)
        return attester.evidence(report_data(self.identity.digest, nonce, context))


@dataclass(frozen=True, slots=True)
class Peer:
    """An enclave whose evidence was genuine, bound to our nonce, and appraised under a policy."""

    identity: Identity
    claims: Claims
    evidence: Evidence
    hpke: HPKEPublicKey
    signing: PublicKey


def verify_peer(
    role: str,
    log: str,
    shown: tuple[bytes, bytes],
    nonce: bytes,
    checkpoint: bytes,
    policy: Json,
    now: int,
) -> Peer:
    """Believe a peer of this role by the identity document and the evidence that it has shown, or raise.

    1. identity and evidence have their form; 2. the identity is for our log and this role; 3. the evidence is genuine;
    4. it binds the identity to our nonce and context; 5. it satisfies the policy. Which program a worker is bound to is
    judged when it gets a lease.
    """
    named, found = Identity.from_bytes(shown[0]), Evidence.from_bytes(shown[1])
    check_log(named.log, log)
    if named.role != role:
        raise FrameUnexpected(
            "The identity is of another role.", claim="role", expected=role, actual=named.role
        )
    claims = verify_evidence(found, now=now)
    verify_binding(claims, named, nonce, evidence_context(log, checkpoint))
    claims = verify_appraisal(claims, Policy.from_dict(policy), now=now, bound_to=None)
    return Peer(named, claims, found, HPKEPublicKey.from_text(named.hpke), PublicKey(named.signing))
