# SPDX-License-Identifier: Apache-2.0
"""Is whoever holds the key of this certificate the enclave that is wanted?

The certificate only carries evidence: no name in it and no signature on it means anything, but
that its key is in the report data of a genuine quote. Steps:

1. the certificate is read strictly, valid now, and signed by its own key;
2. it has the evidence extension, or in its place Gramine's older one;
3. the claims beside the quote are about the certificate's key;
4. the quote does not even say that it is of a debug enclave, which needs no collateral to refuse;
5. the quote is genuine, by the caller's collateral;
6. its report data are SHA-256 of the claims and 32 zero bytes;
7. the claims hold the caller's nonce, where there is one;
8. the enclave is what the policy wants.

That the peer *holds* the key is shown by the TLS handshake, which the caller MUST complete.
"""

import hmac

from placet.attestation.appraisal import verify_appraisal
from placet.attestation.claims import Claims
from placet.attestation.evidence import Evidence
from placet.attestation.policy import Policy
from placet.attestation.verifier import verify_evidence
from placet.ratls.certificate import EVIDENCE, EVIDENCE_EXTENSION, verify_self_signed
from placet.ratls.payload import Payload, check_nonce, read_legacy, read_payload
from placet.refusals import EvidenceBinding, EvidenceDebug, EvidenceMalformed, EvidenceNonce

# Gramine puts tag and length into the content, so on the wire it is 0.6.9.42.840.113741.1337.6; it
# means 1.2.840.113741.1337.6, which others write.
_LEGACY = (bytes.fromhex("06092a864886f84d8a3906"), bytes.fromhex("2a864886f84d8a3906"))
_SGX_FLAGS = 48 + 48  # header; then 48 bytes of the report: the first byte of ATTRIBUTES
_SGX_DEBUG = 0x02


def read_certificate(certificate: bytes, *, now: int) -> Payload:
    """Return what a DER certificate, valid at `now`, says of its own key (steps 1 to 3).

    Nothing is believed yet: this is for finding the collateral of the quote. Raises
    EvidenceMalformed, EvidenceInvalid or EvidenceBinding.
    """
    found = verify_self_signed(certificate, now=now)  # 1
    if EVIDENCE in found.extensions:  # 2; a bad one is refused, whatever stands in an older one
        return read_payload(found.extensions[EVIDENCE], found.public_key)  # 3
    legacy = [found.extensions[name] for name in _LEGACY if name in found.extensions]
    if len(legacy) != 1:
        raise EvidenceMalformed(
            "The certificate holds no evidence, or two older quotes.",
            claim="certificate",
            expected=f"one extension {EVIDENCE_EXTENSION}",
            remedy="ask the server for an RA-TLS certificate",
        )
    return read_legacy(legacy[0], found.public_key)  # 3: by the report data, in step 6


def verify_certificate(
    certificate: bytes,
    policy: Policy,
    *,
    collateral: str,
    now: int,
    launched_for: str | None,
    nonce: bytes | None = None,
) -> Claims:
    """Return what a genuine and wanted enclave says whose key this DER certificate holds.

    `now` is in Unix seconds; `launched_for` as for `appraise`; with a `nonce` (8 to 64 bytes) the
    evidence was made for it, without one it may be as old as the certificate. Raises what
    `read_certificate`, `verify_evidence` and `verify_appraisal` raise, and EvidenceNonce.
    """
    payload = read_certificate(certificate, now=now)  # 1 to 3
    _check_no_debug(payload)  # 4
    claims = verify_evidence(Evidence(payload.kind, payload.quote, collateral), now=now)  # 5
    if not hmac.compare_digest(claims.report_data, payload.report_data):  # 6
        raise EvidenceBinding(
            "The quote is genuine but vouches for another key or other claims.",
            claim="report_data",
            expected=payload.report_data.hex(),
            actual=claims.report_data.hex(),
            remedy="do not trust this server; its certificate was put together from parts",
        )
    if nonce is not None:
        _check_nonce(payload.nonce, nonce)  # 7
    return verify_appraisal(claims, policy, now=now, launched_for=launched_for)  # 8


def _check_nonce(found: bytes | None, nonce: bytes) -> None:
    check_nonce(nonce)
    if found is None or not hmac.compare_digest(found, nonce):
        raise EvidenceNonce(
            "The certificate was not made for this nonce.",
            claim="nonce",
            remedy="ask the server for a certificate with a fresh nonce",
        )


def _check_no_debug(payload: Payload) -> None:
    """Where the quote is a forgery this says less than is true; it is refused all the same."""
    flags = payload.quote[_SGX_FLAGS : _SGX_FLAGS + 1]
    if payload.kind in ("sgx", "simulation") and flags and flags[0] & _SGX_DEBUG:
        raise EvidenceDebug(
            "The enclave runs in debug mode: the host can read its memory.",
            claim="debug",
            expected="false",
            actual="true",
            remedy="ask for a server that is built without debug",
        )
