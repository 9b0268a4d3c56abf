# SPDX-License-Identifier: Apache-2.0
"""Make an RA-TLS certificate inside an enclave: a key, and the evidence that vouches for it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from placet.attestation.attester import Attester
from placet.attestation.evidence import Evidence
from placet.ratls.certificate import EVIDENCE_EXTENSION
from placet.ratls.payload import (
    check_nonce,
    encode_claims,
    encode_payload,
    report_data,
)

_CLOCK_TOLERANCE_SECONDS: Final = 600  # for verifiers whose clock lags

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate (DER), and the evidence in it with the collateral that verifiers need beside
    it."""

    certificate: bytes
    evidence: Evidence


def issue_certificate(
    attester: Attester, key: Key, *, now: int, lifetime_seconds: int, nonce: bytes | None = None
) -> Issued:
    """Return a self-signed certificate for a key that never leaves the enclave.

    `now` is in Unix seconds; `nonce` (8 to 64 bytes) is the client's, where the server makes
    certificates on request. The attester raises AttesterUnavailable; a bad nonce is EvidenceNonce.
    """
    if nonce is not None:
        check_nonce(nonce)
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    public_key = key.public_key().public_bytes(*form)
    claims = encode_claims(public_key, nonce)
    evidence = attester.evidence(report_data(claims))
    # Lists of pinned certificates are searched by subject in OpenSSL, so no two have the same.
    common = "ratls-" + hashlib.sha256(public_key).hexdigest()[:32]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    value = encode_payload(evidence.kind, evidence.quote, claims)
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(EVIDENCE_EXTENSION), value)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now - _CLOCK_TOLERANCE_SECONDS, UTC))
        .not_valid_after(datetime.fromtimestamp(now + lifetime_seconds, UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(extension, critical=False)  # TLS libraries refuse critical ones
    )
    signed = builder.sign(
        key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    )
    return Issued(signed.public_bytes(serialization.Encoding.DER), evidence)
