# SPDX-License-Identifier: Apache-2.0
"""Signing keys: Ed25519 and ECDSA P-256, in one text form a key, used through securesystemslib.

The text form is `ed25519:` or `p256:` and the base64url (no padding) of the raw 32 bytes, or of the
uncompressed SEC 1 point. One key has exactly one text, so keys compare by text. Key ids are
computed here, never taken from a document: whoever counts signatures counts principals, and a key
listed under two ids is still one key.
"""

import base64
import binascii
import functools
import hashlib
from dataclasses import dataclass
from typing import ClassVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError

# The package exports these names without declaring them exported, so type checkers want their
# modules.
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import SSlibKey
from securesystemslib.signer._signature import Signature

from placet.governance.codec import malformed

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public signing key by its text. Raises `DocumentMalformed` for anything that is not exactly
    such a text."""

    MOST: ClassVar[int] = 16  # of one principal

    text: str

    def __post_init__(self) -> None:
        _parsed(self.text)

    @property
    def key_id(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def has_signed(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature over the message is this key's."""
        try:
            _load(self.text).verify_signature(Signature(self.key_id, signature.hex()), message)
        except (UnverifiedSignatureError, VerificationError):
            return False
        return True

    @classmethod
    def ed25519(cls, raw: bytes) -> "PublicKey":
        """The key of 32 raw bytes, such as a log's verifier key has."""
        return cls(f"ed25519:{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}")

    @classmethod
    def from_dict(cls, value: object) -> "PublicKey":
        if not isinstance(value, str):
            raise malformed("key", "a public key as text", type(value).__name__)
        return cls(value)

    def to_dict(self) -> str:
        return self.text


class SigningKey:
    """A private signing key. Its representation shows the public half only."""

    def __init__(self, private: PrivateKey) -> None:
        self.public = PublicKey(_text(private.public_key()))
        self.private = private
        self._signer = CryptoSigner(private, _load(self.public.text))

    @classmethod
    def generate(cls) -> "SigningKey":
        return cls(ed25519.Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """The signature over the message."""
        return bytes.fromhex(self._signer.sign(message).signature)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.text})"


def _text(key: object) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey):
        name, raw = "ed25519", key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        name, raw = "p256", key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    else:
        raise malformed("key", "an Ed25519 or P-256 key", type(key).__name__)
    return f"{name}:{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


@functools.lru_cache(maxsize=4096)
def _load(text: str) -> SSlibKey:
    """The key of a text, to check signatures with: that costs more than to parse it, and few of
    those named have signed."""
    key_id = hashlib.sha256(text.encode()).hexdigest()
    return SSlibKey.from_crypto(_parsed(text), keyid=key_id)


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey:
    """The key of a text; only the one text that the key would be written as."""
    name, _, encoded = text.partition(":")
    try:
        raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
        if name == "ed25519":
            key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        elif name == "p256":
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
        else:
            raise ValueError
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise malformed("key", "ed25519:<base64url> or p256:<base64url>", "other text") from None
    if _text(key) != text:
        raise malformed("key", "the canonical text of the key", "another text of it")
    return key
