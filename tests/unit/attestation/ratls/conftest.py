# SPDX-License-Identifier: Apache-2.0
"""Certificates made byte by byte, so that every rule of DER, X.509 and RA-TLS can be broken
alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from placet.attestation import Attester, Evidence
from placet.ratls import cbor, issue_certificate
from placet.ratls.payload import encode_claims, encode_payload, report_data

EVIDENCE = bytes.fromhex("678105050409")
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def extension(name: bytes, value: bytes, *flags: bytes) -> bytes:
    """One extension; `flags` stands between name and value."""
    return tlv(0x30, tlv(0x06, name), *flags, tlv(0x04, value))


@dataclass(frozen=True)
class Forge:
    """The parts of a certificate. Each is DER as it goes in; `changed` swaps parts and keeps the
    key."""

    key: ec.EllipticCurvePrivateKey
    extensions: tuple[bytes, ...]
    version: bytes = bytes.fromhex("a003020102")
    algorithm: bytes = tlv(0x30, ECDSA_SHA256)
    outer_algorithm: bytes | None = None
    issuer: bytes = tlv(0x30)
    subject: bytes = tlv(0x30)
    first: bytes = tlv(0x17, b"260101000000Z")
    last: bytes = tlv(0x18, b"20300101000000Z")
    public_key: bytes = b""
    unused_bits: bytes = b"\0"
    rest: bytes = b""  # behind the extensions
    signer: ec.EllipticCurvePrivateKey | None = None

    def changed(self, **changes: Any) -> "Forge":
        """The same with other parts."""
        return replace(self, **changes)

    @property
    def spki(self) -> bytes:
        """The key that the certificate is for."""
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return self.public_key or self.key.public_key().public_bytes(*form)

    def der(self) -> bytes:
        """The certificate, signed."""
        signed = tlv(
            0x30,
            self.version,
            tlv(0x02, b"\x01"),
            self.algorithm,
            self.issuer,
            tlv(0x30, self.first, self.last),
            self.subject,
            self.spki,
            tlv(0xA3, tlv(0x30, *self.extensions)),
            self.rest,
        )
        signature = (self.signer or self.key).sign(signed, ec.ECDSA(hashes.SHA256()))
        outer = self.outer_algorithm or self.algorithm
        return tlv(0x30, signed, outer, tlv(0x03, self.unused_bits, signature))


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    """The server's key."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def attester(launch: Callable[[str, str], Attester], launched_for: str) -> Attester:
    """The hardware as a worker sees it."""
    return launch("worker", launched_for)


@dataclass(frozen=True)
class Server:
    """An enclave that lets us choose everything that goes into its certificate."""

    attester: Attester
    key: ec.EllipticCurvePrivateKey
    now: int

    @property
    def spki(self) -> bytes:
        """Its public key."""
        return Forge(self.key, ()).spki

    def issued(self, **settings: Any) -> tuple[bytes, str]:
        """What it issues as it should: a certificate and its collateral."""
        made = issue_certificate(
            self.attester, self.key, now=self.now, lifetime_seconds=3600, **settings
        )
        return made.certificate, made.evidence.collateral

    def evidence(self, bound: bytes) -> Evidence:
        """Evidence for the report data of these bytes."""
        return self.attester.evidence(report_data(bound))

    def forge(self, claims: "cbor.Item | None" = None) -> tuple[Forge, str]:
        """A certificate to be changed, with claims of one's own, and its collateral."""
        if claims is None:
            claims = encode_claims(self.spki, None)
        buffer = claims if isinstance(claims, bytes) else cbor.encode(claims)
        evidence = self.evidence(buffer)
        value = encode_payload(evidence.kind, evidence.quote, buffer)
        return Forge(self.key, (extension(EVIDENCE, value),)), evidence.collateral


@pytest.fixture
def server(attester: Attester, key: ec.EllipticCurvePrivateKey, now: int) -> Server:
    """An enclave with a key."""
    return Server(attester, key, now)


@pytest.fixture
def element() -> Callable[..., bytes]:
    """`tlv`, for tests."""
    return tlv


@pytest.fixture
def make_extension() -> Callable[..., bytes]:
    """`extension`, for tests."""
    return extension
