# SPDX-License-Identifier: Apache-2.0
"""Secrets wrapped under a symmetric key, for storage by someone who must not read them.

A wrapped secret is nonce (12 random bytes) ‖ AES-256-GCM ciphertext and tag, with `info` as the
associated data. Random nonces bound one wrapping key to 2^32 wraps (NIST SP 800-38D, 8.3).
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placet.refusals import KeyUnwrapRefused

WRAPPING_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
# Keys and small key records are wrapped, never bulk data.
MAX_WRAPPED_BYTES = 1 << 20


def wrap_key(secret: bytes, wrapping_key: bytes, info: bytes) -> bytes:
    """Wrap `secret` under the 32-byte `wrapping_key`; `info` must be given again to unwrap.

    Raises `ValueError` for a wrapping key of another size or a secret over 1 MiB.
    """
    aead = _aead(wrapping_key)
    if len(secret) > MAX_WRAPPED_BYTES - _NONCE_BYTES - _TAG_BYTES:
        raise ValueError("a secret to be wrapped must be smaller than 1 MiB")
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + aead.encrypt(nonce, secret, info)


def unwrap_key(wrapped: bytes, wrapping_key: bytes, info: bytes) -> bytes:
    """Return the secret in `wrapped`.

    Raises `KeyUnwrapRefused` for anything that this key did not wrap with this `info`, and
    `ValueError` for a wrapping key of another size.
    """
    aead = _aead(wrapping_key)
    if not _NONCE_BYTES + _TAG_BYTES <= len(wrapped) <= MAX_WRAPPED_BYTES:
        raise KeyUnwrapRefused(
            "a wrapped secret has an impossible length; restore it from a copy",
            claim="wrapped secret length",
            expected=f"{_NONCE_BYTES + _TAG_BYTES} to {MAX_WRAPPED_BYTES} bytes",
            actual=f"{len(wrapped)} bytes",
        )
    try:
        return aead.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], info)
    except InvalidTag:
        raise KeyUnwrapRefused(
            "a wrapped secret was changed, or was wrapped under another key or with other info; "
            "restore it from a copy",
            claim="wrapped secret",
        ) from None


def _aead(wrapping_key: bytes) -> AESGCM:
    if len(wrapping_key) != WRAPPING_KEY_BYTES:
        raise ValueError(f"a wrapping key has {WRAPPING_KEY_BYTES} bytes")
    return AESGCM(wrapping_key)
