# SPDX-License-Identifier: Apache-2.0
"""A host's certificate follows another one: a notice that the key of the earlier one has signed.

    notice = sign_notice(former_pem, former_key, successor_pem, now)
    path = follow(notices, pin, shown, now)      # from the pin that is known to the one shown

The signature is over DSSE's encoding, which has a type and lengths of its own: what TLS lets the
same key sign never looks like it. A notice says nothing once the earlier certificate has ended:
whoever holds an old key can then announce nothing any more.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from placet.governance.codec import as_list, decode, encode, from_plain, parse_object
from placet.governance.envelope import RawEnvelope, parse_envelope, payload_type
from placet.refusals import DocumentMalformed, PayloadType, Refusal, SignatureInvalid

MAX_NOTICES = 16  # that one host announces at once
_MAX_ENVELOPE = 16 * 1024
_MAX_FILE = 1024 * 1024
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)

CertificateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class PinNotice:
    """The certificate of pin `successor` follows the one of pin `former`, which counts beside it
    until its end."""

    KIND: ClassVar[str] = "pin-notice"

    former: str
    successor: str
    made: int
    until: int


@dataclass(frozen=True, slots=True)
class SignedNotice:
    """A notice in its envelope, with the earlier certificate (DER). Nothing of it is verified."""

    envelope: bytes
    certificate: bytes

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Raises `DocumentMalformed`."""
        if not isinstance(value, dict):
            raise DocumentMalformed("A notice is an object.", claim="notice")
        texts = from_plain(dict[str, str], value)
        try:
            return cls(*(base64.b64decode(texts[name]) for name in ("envelope", "certificate")))
        except (KeyError, ValueError):
            raise DocumentMalformed(
                "A notice has an envelope and a certificate in base64.", claim="notice"
            ) from None

    def to_dict(self) -> dict[str, str]:
        return {
            "certificate": base64.b64encode(self.certificate).decode(),
            "envelope": base64.b64encode(self.envelope).decode(),
        }


def notices_to_bytes(notices: Iterable[SignedNotice]) -> bytes:
    """A file of notices, the oldest first."""
    return encode({"notices": [notice.to_dict() for notice in notices]})


def notices_from_bytes(data: bytes) -> tuple[SignedNotice, ...]:
    """The notices of such a file, unverified. Raises `DocumentMalformed` or `DocumentTooLarge`."""
    listed = as_list(parse_object(data, _MAX_FILE).get("notices"), "notices")
    return tuple(SignedNotice.from_dict(value) for value in listed)


def pin_of_der(certificate: bytes) -> str:
    """ "sha256:<hex>" of a certificate's DER."""
    return "sha256:" + hashlib.sha256(certificate).hexdigest()


def sign_notice(
    former_pem: bytes, key: CertificateKey, successor_pem: bytes, now: int
) -> SignedNotice:
    """The notice that the second certificate follows the first, signed by the first one's key."""
    former = x509.load_pem_x509_certificate(former_pem)
    der = former.public_bytes(Encoding.DER)
    successor = x509.load_pem_x509_certificate(successor_pem).public_bytes(Encoding.DER)
    until = int(former.not_valid_after_utc.timestamp())
    payload = encode(PinNotice(pin_of_der(der), pin_of_der(successor), now, until))
    raw = RawEnvelope(payload, payload_type(PinNotice), {})
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(raw.signed_bytes, _PSS, hashes.SHA256())
    else:
        signature = key.sign(raw.signed_bytes, ec.ECDSA(hashes.SHA256()))
    entry = {"keyid": pin_of_der(der), "sig": base64.b64encode(signature).decode()}
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": raw.payload_type,
        "signatures": [entry],
    }
    return SignedNotice(encode(envelope), der)


def verify_notice(signed: SignedNotice, now: int) -> PinNotice:
    """What the key of the certificate has signed, while that certificate lasts.

    The certificate itself is believed by nobody: the caller has to know its pin, `former`. Raises
    `DocumentTooLarge`, `DocumentMalformed`, `PayloadType` or `SignatureInvalid`.
    """
    raw = parse_envelope(signed.envelope, _MAX_ENVELOPE)
    if raw.payload_type != payload_type(PinNotice):
        raise PayloadType(
            "A notice of a pin was expected; the envelope says that it carries something else.",
            claim="payloadType",
            expected=payload_type(PinNotice),
        )
    notice = decode(PinNotice, raw.payload)
    pin = pin_of_der(signed.certificate)
    certificate = _certificate(signed.certificate)
    ends = int(certificate.not_valid_after_utc.timestamp())
    starts = int(certificate.not_valid_before_utc.timestamp())
    if notice.former != pin or not starts <= notice.made <= now <= notice.until <= ends:
        raise DocumentMalformed(
            "The notice is not one of the certificate that comes with it, in its time.",
            claim="notice",
            expected=f"former {pin}, made before {now}, until {ends} at most",
            actual=f"former {notice.former}, made {notice.made}, until {notice.until}",
        )
    _check_signature(certificate, raw.signatures.get(pin, b""), raw.signed_bytes)
    return notice


def follow(
    notices: Iterable[SignedNotice], pin: str, shown: str, now: int
) -> tuple[SignedNotice, ...]:
    """The notices that lead from a pin that is known to the one that is shown, in their order.

    Those that do not hold are passed over. Empty where none leads there.
    """
    steps: dict[str, list[tuple[str, SignedNotice]]] = {}
    for signed in tuple(notices)[-MAX_NOTICES:]:
        try:
            notice = verify_notice(signed, now)
        except Refusal:
            continue
        steps.setdefault(notice.former, []).append((notice.successor, signed))
    paths: dict[str, tuple[SignedNotice, ...]] = {pin: ()}
    ahead = [pin]
    while ahead:
        here = ahead.pop(0)
        for successor, signed in steps.get(here, ()):
            if successor not in paths:
                paths[successor] = (*paths[here], signed)
                ahead.append(successor)
    return paths.get(shown, ())


def _certificate(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise DocumentMalformed(
            "The certificate of the notice cannot be read.", claim="certificate"
        ) from None


def _check_signature(certificate: x509.Certificate, signature: bytes, message: bytes) -> None:
    try:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, _PSS, hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            raise InvalidSignature
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise SignatureInvalid(
            "The notice is not signed by the key of the certificate that it is about.",
            claim="signature",
        ) from None
