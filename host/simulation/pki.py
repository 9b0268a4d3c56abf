# SPDX-License-Identifier: Apache-2.0
"""Certificates and revocation lists below a root, as Intel lays them out for DCAP.

    root ── PCK CA ── PCK (one machine; signs its quoting enclave)
         └─ TCB signing (signs TCB info and QE identity)

Keys are P-256 and made anew each time; only the root is fixed.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

from placet.host.simulation.root import Issuer

# The verifier tells the kind of PCK CA by these words.
_PCK_CA_NAME = "Placet Simulation PCK Processor CA"
_TCB_NAME = "Placet Simulation TCB Signing"
_PCK_NAME = "Placet Simulation PCK Certificate"


@dataclass(frozen=True, slots=True)
class Validity:
    """A span of time, both ends in Unix seconds."""

    start: int
    end: int

    @property
    def first(self) -> datetime.datetime:
        """The start, in UTC."""
        return datetime.datetime.fromtimestamp(self.start, datetime.UTC)

    @property
    def last(self) -> datetime.datetime:
        """The end, in UTC."""
        return datetime.datetime.fromtimestamp(self.end, datetime.UTC)


def pem(certificates: Sequence[x509.Certificate]) -> str:
    """Return a chain as PEM text, in the order given."""
    encoding = serialization.Encoding.PEM
    return "".join(certificate.public_bytes(encoding).decode() for certificate in certificates)


def sign_raw(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Return an ECDSA P-256 SHA-256 signature as r ‖ s, 64 bytes."""
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key as x ‖ y, 64 bytes."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def issue_pck_ca(root: Issuer, validity: Validity) -> Issuer:
    """Return a certificate authority for the machines."""
    return _issue(root, _PCK_CA_NAME, validity, authority=True)


def issue_tcb_signer(root: Issuer, validity: Validity) -> Issuer:
    """Return the signer of TCB info and QE identity."""
    return _issue(root, _TCB_NAME, validity, authority=False)


def issue_pck(pck_ca: Issuer, extension: x509.UnrecognizedExtension, validity: Validity) -> Issuer:
    """Return the provisioning certificate of one machine."""
    return _issue(pck_ca, _PCK_NAME, validity, authority=False, extension=extension)


def revocation_list(issuer: Issuer, validity: Validity, revoked: Sequence[int] = ()) -> bytes:
    """Return a DER list of revoked serial numbers, signed by the issuer."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(validity.first)
        .next_update(validity.last)
        .add_extension(_key_identifier(issuer), critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(entry.revocation_date(validity.first).build())
    signed = builder.sign(issuer.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def _issue(
    issuer: Issuer,
    name: str,
    validity: Validity,
    *,
    authority: bool,
    extension: x509.UnrecognizedExtension | None = None,
) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.first)
        .not_valid_after(validity.last)
        .add_extension(_key_identifier(issuer), critical=False)
        .add_extension(_basic(authority), critical=True)
        .add_extension(_usage(authority), critical=True)
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return Issuer(key, builder.sign(issuer.key, hashes.SHA256()))


def _key_identifier(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _basic(authority: bool) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=authority, path_length=0 if authority else None)


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
