# SPDX-License-Identifier: Apache-2.0
"""A host's TLS certificates: made, read from files, and known to callers by their pins.

The certificate protects the service and not the secrets: what is secret is sealed to enclaves. It
is P-256 because gRPC accepts no Ed25519 leaf, and its common name is unique because gRPC cannot
tell apart several trusted self-signed certificates of one name.
"""

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from placet.auditing.pins import CertificateKey, pin_of_der

LIFETIME = timedelta(days=3650)
_MAX_PEM = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Certificate:
    """Key and certificate in PEM, the certificate's chain behind it; `path` is the certificate's
    file. The key is not shown by repr."""

    path: Path
    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return f"Certificate({self.pin})"

    @property
    def pin(self) -> str:
        """ "sha256:<hex>" of the certificate's DER."""
        return pin_of(self.certificate_pem)

    @property
    def key(self) -> CertificateKey:
        """The private key. Raises ValueError for one that gRPC takes no certificate for."""
        key = serialization.load_pem_private_key(self.key_pem, None)
        if not isinstance(key, CertificateKey):
            raise ValueError(  # noqa: TRY004 - of a file, as its other faults are
                "The key of a host's certificate is an elliptic-curve or RSA key."
            )
        return key

    @property
    def ends(self) -> datetime:
        """When it expires."""
        return x509.load_pem_x509_certificate(self.certificate_pem).not_valid_after_utc

    def fits(self, names: tuple[str, ...], by: datetime) -> bool:
        """Whether it lasts until `by`, and has these names beside those that every one has."""
        certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return self.ends > by and all(name in held for name in _names(names))


def pin_of(certificate_pem: bytes) -> str:
    """ "sha256:<hex>" of the DER of a PEM certificate, the first of a chain."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    return pin_of_der(certificate.public_bytes(serialization.Encoding.DER))


def read_certificate(path: Path, key_path: Path) -> Certificate:
    """A certificate and its key from two files. Raises OSError, or ValueError where they are no
    certificate and its key."""
    with path.open("rb") as certificates, key_path.open("rb") as keys:
        found = Certificate(path, certificates.read(_MAX_PEM), keys.read(_MAX_PEM))
    try:
        public = x509.load_pem_x509_certificate(found.certificate_pem).public_key()
        fits = found.key.public_key() == public
    except (TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{key_path} has to be a key that no passphrase protects.") from None
    if not fits:
        raise ValueError(f"{key_path} is not the key of the certificate in {path}.")
    return found


def read_cas(path: Path) -> bytes:
    """Certificates of CAs (PEM). Raises OSError, or ValueError where there are none."""
    with path.open("rb") as file:
        found = file.read(_MAX_PEM)
    x509.load_pem_x509_certificates(found)
    return found


def make_certificate(path: Path, names: tuple[str, ...], now: datetime) -> Certificate:
    """A new certificate that is to stand at `path`, with its own key; nothing is written."""
    key_pem, certificate_pem = _make(names, now)
    return Certificate(path, certificate_pem, key_pem)


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
        .not_valid_after(now + LIFETIME)
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
