# SPDX-License-Identifier: Apache-2.0
"""HPKE keys (RFC 9180) and their forms in text and bytes.

A key is encoded as version 1 ‖ KEM id ‖ KDF id ‖ AEAD id (2 big-endian bytes each) ‖ raw key, so it
fixes the whole suite: HKDF-SHA256 and AES-256-GCM with one of two KEMs.

    KEM               id       public  private (raw bytes)
    X25519            0x0020   32      32
    MLKEM768-X25519   0x647a   1,216   32: the seed of X-Wing

The public raw key of the second is the ML-KEM-768 key followed by the X25519 key. Its private key
is read in the expanded form as well: ML-KEM-768 seed 64 ‖ X25519 32.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import NoReturn, Self

from placet.refusals import KeyMalformed
from placet.sealing import _suites
from placet.sealing._suites import PrivateKey, PublicKey, Suite

_TEXT_PREFIX = "hpke:"
# The longest text of a key in the table above is 1,637 characters.
MAX_TEXT_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class HPKEPublicKey:
    """A recipient's key: the name of its KEM and the raw bytes.

    A key that exists can be sealed to: its length, its encoding and, for X25519, that it is no
    point of small order are checked on construction. Raises `KeyMalformed`.
    """

    kem: str
    raw: bytes
    _loaded: PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_loaded", _suites.load_public(self.suite, self.raw))

    @property
    def suite(self) -> Suite:
        """The suite that the KEM's name stands for."""
        return _suites.by_name(self.kem)

    @property
    def loaded(self) -> PublicKey:
        """The key as the cryptography library has it."""
        return self._loaded

    def to_bytes(self) -> bytes:
        return self.suite.header + self.raw

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`. Raises `KeyMalformed`."""
        suite, raw = _suites.split(data)
        return cls(suite.name, raw)

    def to_text(self) -> str:
        """ "hpke:" and the encoded key in base64url without padding."""
        return _TEXT_PREFIX + base64.urlsafe_b64encode(self.to_bytes()).rstrip(b"=").decode()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of `to_text`; no other spelling is accepted. Raises `KeyMalformed`."""
        if len(text) > MAX_TEXT_CHARACTERS or not text.startswith(_TEXT_PREFIX):
            raise _text_malformed()
        body = text[len(_TEXT_PREFIX) :]
        try:
            data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _text_malformed() from None
        key = cls.from_bytes(data)
        if key.to_text() != text:
            raise _text_malformed()
        return key

    @property
    def key_id(self) -> str:
        """SHA-256 of the encoded key, as "sha256:<hex>"."""
        return f"sha256:{hashlib.sha256(self.to_bytes()).hexdigest()}"

    def __repr__(self) -> str:
        return f"HPKEPublicKey({self.kem}, {self.key_id})"


class HPKEPrivateKey:
    """A key that opens envelopes; never shown by `repr`, never pickled."""

    __slots__ = ("_loaded", "_public")

    def __init__(self, suite: Suite, loaded: PrivateKey) -> None:
        self._loaded = loaded
        self._public = HPKEPublicKey(suite.name, _suites.public_raw(loaded))

    @classmethod
    def generate(cls, kem: str = "MLKEM768-X25519") -> Self:
        """Make a new key. Raises `KeyMalformed` for an unknown KEM name."""
        suite = _suites.by_name(kem)
        return cls(suite, _suites.generate(suite))

    @property
    def public(self) -> HPKEPublicKey:
        """The key that others seal to."""
        return self._public

    @property
    def loaded(self) -> PrivateKey:
        """The key as the cryptography library has it."""
        return self._loaded

    def to_bytes(self) -> bytes:
        """The encoded secret key, behind the same 7 bytes as the public one."""
        return self._public.suite.header + _suites.private_raw(self._loaded)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`. Raises `KeyMalformed`."""
        suite, raw = _suites.split(data)
        return cls(suite, _suites.load_private(suite, raw))

    def __repr__(self) -> str:
        return f"HPKEPrivateKey({self._public.kem}, {self._public.key_id})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key cannot be pickled or copied")


def _text_malformed() -> KeyMalformed:
    return KeyMalformed(
        'an HPKE key in text must be "hpke:" and its bytes in base64url without padding; '
        "copy the key again from its owner",
        claim="HPKE key text",
    )
