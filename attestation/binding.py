# SPDX-License-Identifier: Apache-2.0
"""The binding of evidence to an identity, to the verifier's nonce and to a context.

    report_data = SHA-512("placet/binding/v1" ‖ P(identity digest) ‖ P(nonce) ‖ P(context))
    context     = P("placet/evidence/v2") ‖ P(log) ‖ P(charter) ‖ P(checkpoint)

where P(x) is the length of x as 8 bytes, big-endian, followed by x.
"""

import hashlib
import hmac

from placet.attestation.claims import Claims
from placet.attestation.identity import Identity
from placet.refusals import EvidenceBinding, EvidenceNonce

NONCE_BYTES = 32
REPORT_DATA_BYTES = 64
_DOMAIN = b"placet/binding/v1"
_CONTEXT = b"placet/evidence/v2"


def report_data(identity_digest: str, nonce: bytes, context: bytes) -> bytes:
    """Return the 64 bytes that an enclave puts into its quote.

    Raises EvidenceNonce unless the nonce has 32 bytes: evidence for no nonce could be old.
    """
    if len(nonce) != NONCE_BYTES:
        raise EvidenceNonce(
            f"The nonce must be {NONCE_BYTES} random bytes of the verifier's; "
            f"{len(nonce)} were given.",
            claim="nonce",
            expected=str(NONCE_BYTES),
            actual=str(len(nonce)),
        )
    bound = _prefixed(identity_digest.encode(), nonce, context)
    return hashlib.sha512(_DOMAIN + bound).digest()


def evidence_context(log: str, charter: str, checkpoint: bytes) -> bytes:
    """Placet's enclaves bind this besides identity and nonce: the log, its charter's digest, and
    its newest committed checkpoint (a note). Before the founding the last two are empty."""
    return _prefixed(_CONTEXT, log.encode(), charter.encode(), checkpoint)


def _prefixed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def verify_binding(claims: Claims, identity: Identity, nonce: bytes, context: bytes) -> None:
    """Check that the claims vouch for this identity, to this nonce, in this context.

    Raises EvidenceNonce or EvidenceBinding.
    """
    if not hmac.compare_digest(claims.report_data, report_data(identity.digest, nonce, context)):
        raise EvidenceBinding(
            "The evidence is genuine but vouches for another identity, nonce or context; "
            "ask the enclave again with a fresh nonce.",
            claim="report_data",
            remedy="ask for evidence with a fresh nonce",
        )
