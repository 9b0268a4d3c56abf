# SPDX-License-Identifier: Apache-2.0
"""The secret key of one sealed stream.

The commitment, HMAC-SHA256(key, "placet/commit/v1"), goes into the object's descriptor: AES-GCM
alone does not bind a ciphertext to one key, so a reader compares the commitment first.
"""

import hmac
import os
from typing import NoReturn, Self

from placet.refusals import KeyCommitmentMismatch, KeyMalformed

STREAM_KEY_BYTES = 32
_COMMITMENT_LABEL = b"placet/commit/v1"


class StreamKey:
    """A 32-byte key; never shown by `repr`, never pickled, overwritten by `wipe`.

    Python copies bytes freely, so `wipe` clears this object's copy and no other.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        """Take a copy of `secret`. Raises `KeyMalformed` unless it has 32 bytes."""
        if len(secret) != STREAM_KEY_BYTES:
            raise KeyMalformed(
                f"a stream key has {STREAM_KEY_BYTES} bytes",
                claim="stream key length",
                expected=f"{STREAM_KEY_BYTES} bytes",
                actual=f"{len(secret)} bytes",
            )
        self._secret = bytearray(secret)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's random source."""
        return cls(os.urandom(STREAM_KEY_BYTES))

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """The inverse of `to_bytes`. Raises `KeyMalformed`."""
        return cls(secret)

    def to_bytes(self) -> bytes:
        """Return a copy of the secret bytes. Raises `ValueError` after `wipe`."""
        if not self._secret:
            raise ValueError("this stream key was wiped")
        return bytes(self._secret)

    @property
    def commitment(self) -> str:
        """HMAC-SHA256 of a fixed label under this key, as 64 hex digits."""
        return hmac.digest(self.to_bytes(), _COMMITMENT_LABEL, "sha256").hex()

    def verify_commitment(self, commitment: str) -> None:
        """Raise `KeyCommitmentMismatch` unless `commitment` is this key's."""
        if not hmac.compare_digest(self.commitment, commitment):
            raise KeyCommitmentMismatch(
                "the key is not the one that the object's descriptor commits to; "
                "ask its owner for the key of this object",
                claim="key commitment",
            )

    def wipe(self) -> None:
        """Overwrite the secret; the key cannot be used any more."""
        self._secret[:] = bytes(len(self._secret))
        self._secret.clear()

    def __repr__(self) -> str:
        return "StreamKey(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream key cannot be pickled or copied")
