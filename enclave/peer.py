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
from placet.governance.evaluate import check_identity
from placet.governance.keys import PublicKey, SigningKey
from placet.sealing import HPKEPrivateKey, HPKEPublicKey

NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one life of an enclave, and the identity document that names them for one log."""

    hpke: HPKEPrivateKey
    signing: SigningKey
    identity: Identity

    def evidence(self, attester: Attester, nonce: bytes, checkpoint: bytes) -> Evidence:
        """Evidence that binds the identity to a verifier's nonce, the log, and its newest
        checkpoint."""
        context = evidence_context(self.identity.log, self.identity.charter, checkpoint)
        return attester.evidence(report_data(self.identity.digest, nonce, context))


class BootKeys:
    """The keys that an enclave makes for one life. `of` names them for a log, of which an authority
    has none at first."""

    def __init__(self, role: str) -> None:
        self.boot = secrets.token_hex(16)
        self._role = role
        self._hpke = HPKEPrivateKey.generate()
        self._signing = SigningKey.generate()

    def of(self, log: str, charter: str) -> Keys:
        """The keys as those of a log; `charter` is empty before the log is founded."""
        identity = Identity(
            role=self._role,
            log=log,
            charter=charter,
            boot=self.boot,
            hpke=self._hpke.public.to_text(),
            signing=self._signing.public.text,
        )
        return Keys(self._hpke, self._signing, identity)


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
    charter: str,
    shown: tuple[bytes, bytes],
    nonce: bytes,
    checkpoint: bytes,
    policy: Json,
    now: int,
) -> Peer:
    """Believe a peer of this role by the identity document and the evidence that it has shown, or
    raise.

    1. identity and evidence have their form; 2. the identity is for our log, our charter and this
       role; 3. the evidence is genuine;
    4. it binds the identity to our nonce and context; 5. it satisfies the policy. Which program a
       worker is bound to is
    judged when it gets a lease.
    """
    named, found = Identity.from_bytes(shown[0]), Evidence.from_bytes(shown[1])
    check_identity(named, log, charter)
    if named.role != role:
        raise FrameUnexpected(
            "The identity is of another role.", claim="role", expected=role, actual=named.role
        )
    claims = verify_evidence(found, now=now)
    verify_binding(claims, named, nonce, evidence_context(log, charter, checkpoint))
    claims = verify_appraisal(claims, Policy.from_dict(policy), now=now, bound_to=None)
    return Peer(named, claims, found, HPKEPublicKey.from_text(named.hpke), PublicKey(named.signing))
