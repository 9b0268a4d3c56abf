# SPDX-License-Identifier: Apache-2.0
"""A self-signed X.509 certificate, read strictly (RFC 5280), for its key, dates and extensions.

`cryptography` refuses what older mbedTLS writes, and so what Gramine serves: a NULL among the
parameters of ECDSA. Hence the few fields needed are read here, from DER alone; keys and signatures
are `cryptography`'s. Steps, in the order of the code:

1. at most MAX_CERTIFICATE_BYTES; version 3; exactly the fields of a version 3 certificate;
2. one signature algorithm, named the same inside and outside what is signed;
3. issuer and subject are the same;
4. valid at `now`;
5. no extension twice, and no critical one that nobody here understands;
6. the key is EC or Ed25519 in its one encoding, and has signed the certificate.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from placet.attestation.evidence import MAX_QUOTE_BYTES
from placet.ratls import der
from placet.refusals import EvidenceInvalid, EvidenceMalformed

MAX_CERTIFICATE_BYTES: Final = 2 * MAX_QUOTE_BYTES + 16 * 1024  # Gramine's holds its quote twice

EVIDENCE_EXTENSION: Final = "2.23.133.5.4.9"
EVIDENCE: Final = bytes.fromhex("678105050409")  # the same, as the content of its DER

_VERSION_3 = bytes.fromhex("020102")
_FIELDS = (0xA0, der.INTEGER, *[der.SEQUENCE] * 5, 0xA3)
# Identifiers below are the content of their DER.
# Key usage, subject's other names, basic constraints, extended key usage: TLS judges these.
_KNOWN_CRITICAL = frozenset(bytes([0x55, 0x1D, last]) for last in (15, 17, 19, 37))
_ED25519 = bytes.fromhex("2b6570")
_ECDSA: Final[Mapping[bytes, hashes.HashAlgorithm]] = MappingProxyType(
    {
        bytes.fromhex("2a8648ce3d040302"): hashes.SHA256(),
        bytes.fromhex("2a8648ce3d040303"): hashes.SHA384(),
        bytes.fromhex("2a8648ce3d040304"): hashes.SHA512(),
    }
)
_NULL = bytes([der.NULL, 0])  # what older mbedTLS writes
_DIGITS = {der.UTC_TIME: 12, der.GENERALIZED_TIME: 14}


@dataclass(frozen=True, slots=True)
class Certificate:
    """One that was read and is signed by its own key."""

    public_key: bytes  # SubjectPublicKeyInfo, DER
    extensions: Mapping[bytes, bytes]  # content of the object identifier, value


def verify_self_signed(data: bytes, *, now: int) -> Certificate:
    """Return a DER certificate that is valid at `now` (Unix seconds) and signed by its own key.

    Raises EvidenceMalformed or EvidenceInvalid.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:  # 1
        raise EvidenceMalformed(
            f"The certificate has {len(data)} bytes; at most {MAX_CERTIFICATE_BYTES} are allowed.",
            claim="certificate",
            expected=f"at most {MAX_CERTIFICATE_BYTES} bytes",
            actual=f"{len(data)} bytes",
        )
    [whole] = der.sequence("the file", data, [der.SEQUENCE])
    parts = (der.SEQUENCE, der.SEQUENCE, der.BIT_STRING)
    signed, algorithm, signature = der.sequence("the certificate", whole.content, parts)
    fields = der.sequence("the signed part", signed.content, _FIELDS)
    version, _, named, issuer, validity, subject, key, extensions = fields
    _check(version.content == _VERSION_3, "its version is not 3")
    _check(named.encoding == algorithm.encoding, "it names two signature algorithms")  # 2
    _check(issuer.encoding == subject.encoding, "its issuer is not its subject")  # 3
    _check_validity(validity.content, now)  # 4
    found = _extensions(extensions.content)  # 5
    _check(signature.content[:1] == b"\0", "its signature is not whole bytes")
    _verify(key.encoding, algorithm.content, signature.content[1:], signed.encoding)  # 6
    return Certificate(key.encoding, MappingProxyType(found))


def _check_validity(data: bytes, now: int) -> None:
    ends = der.elements(data)
    _check(len(ends) == 2, "its validity has not two ends")
    first, last = (_time(end) for end in ends)
    if not first <= now <= last:
        raise EvidenceInvalid(
            "The certificate is not valid at this time; check the clock, or renew it.",
            claim="validity",
            expected=f"{first} to {last}",
            actual=str(now),
            remedy="check the clock; ask the server for a new certificate",
        )


def _time(element: der.Element) -> int:
    """Read UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5) as Unix seconds."""
    size = _DIGITS.get(element.tag, 0)
    _check(bool(re.fullmatch(rb"[0-9]{%d}Z" % size, element.content)), "a date is none")
    text = element.content.decode()
    if element.tag == der.UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%SZ")
    except ValueError as error:
        raise _malformed("a date is none") from error
    return int(moment.replace(tzinfo=UTC).timestamp())


def _extensions(data: bytes) -> dict[bytes, bytes]:
    [whole] = der.sequence("the list of extensions", data, [der.SEQUENCE])
    found: dict[bytes, bytes] = {}
    for one in der.elements(whole.content):
        _check(one.tag == der.SEQUENCE, "an extension is none")
        parts = der.elements(one.content)
        tags = [part.tag for part in parts]
        critical = der.BOOLEAN in tags
        form = [der.OBJECT_IDENTIFIER, *[der.BOOLEAN] * critical, der.OCTET_STRING]
        # In DER what is not critical says so by saying nothing.
        _check(
            tags == form and (not critical or parts[1].content == b"\xff"), "an extension is none"
        )
        name = parts[0].content
        _check(name not in found, "an extension is there twice")
        _check(
            not critical or name in _KNOWN_CRITICAL or name == EVIDENCE,
            "a critical extension is not known here",
        )
        found[name] = parts[-1].content
    return found


def _verify(public_key: bytes, algorithm: bytes, signature: bytes, signed: bytes) -> None:
    name, *parameters = der.elements(algorithm)
    null = name.content in _ECDSA and [part.encoding for part in parameters] == [_NULL]
    _check(null or not parameters, "its signature has parameters")
    try:
        key = serialization.load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _malformed("its key cannot be read") from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    _check(key.public_bytes(*form) == public_key, "its key is in another encoding than its one")
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and name.content in _ECDSA:
            key.verify(signature, signed, ec.ECDSA(_ECDSA[name.content]))
        elif isinstance(key, ed25519.Ed25519PublicKey) and name.content == _ED25519:
            key.verify(signature, signed)
        else:
            raise _malformed("it is not signed with ECDSA (SHA-2) or Ed25519 by its own key")
    except InvalidSignature as error:
        raise EvidenceInvalid(
            "The certificate is not signed by its own key.",
            claim="certificate",
            remedy="do not trust this server",
        ) from error


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise _malformed(what)


def _malformed(what: str) -> EvidenceMalformed:
    return EvidenceMalformed(
        f"The certificate cannot be used: {what}.", claim="certificate", actual=what
    )
