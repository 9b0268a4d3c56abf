# SPDX-License-Identifier: Apache-2.0
"""The host's TLS certificate: made once, kept, and known to callers by its pin.

The certificate protects the service and not the secrets: what is secret is sealed to enclaves. It
is P-256 because gRPC accepts no Ed25519 leaf, and its common name is unique because gRPC cannot
tell apart several trusted self-signed certificates of one name.
"""

import hashlib
import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from placet.host.store.durable import write_durable

_LIFETIME = timedelta(days=3650)
_MARGIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Key and certificate in PEM; `path` is the certificate's file. The key is not shown by
    repr."""

    path: Path
    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return f"Certificate({self.pin})"

    @property
    def pin(self) -> str:
        """ "sha256:<hex>" of the certificate's DER."""
        return pin_of(self.certificate_pem)


def pin_of(certificate_pem: bytes) -> str:
    """ "sha256:<hex>" of the DER of a PEM certificate."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    der = certificate.public_bytes(serialization.Encoding.DER)
    return "sha256:" + hashlib.sha256(der).hexdigest()


def load_certificate(folder: Path, names: tuple[str, ...], now: datetime) -> Certificate:
    """The certificate kept in `folder`; a new one if there is none, or it expires or lacks a
    name."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, key_path = folder / "cert.pem", folder / "key.pem"
    if not (path.exists() and key_path.exists() and _fits(path.read_bytes(), names, now)):
        key_pem, certificate_pem = _make(names, now)
        path.unlink(missing_ok=True)  # never an old certificate beside a new key
        write_durable(key_path, key_pem, mode=0o600)
        write_durable(path, certificate_pem, mode=0o644)
    os.chmod(key_path, 0o600)
    return Certificate(path, path.read_bytes(), key_path.read_bytes())


def _fits(certificate_pem: bytes, names: tuple[str, ...], now: datetime) -> bool:
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    expires = certificate.not_valid_after_utc
    return expires > now + _MARGIN and all(name in held for name in _names(names))


def _names(names: tuple[str, ...]) -> list[x509.GeneralName]:
    hosts = [x509.DNSName(name) for name in ("localhost", *names)]
    return [*hosts, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def _make(names: tuple[str, ...], now: datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    common_name = f"placet host {hashlib.sha256(spki).hexdigest()[:16]}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of callers differ
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


def utc_now() -> datetime:
    """The present time in UTC."""
    return datetime.now(UTC)
