# SPDX-License-Identifier: Apache-2.0
"""The key schedule of RFC 9180, section 5.1, base mode with HKDF-SHA256, written out."""

import hmac


def extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    """LabeledExtract, for secrets that are no longer than a block."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def expand(suite: bytes, prk: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """LabeledExpand, of at most 32 bytes."""
    data = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01"
    return hmac.digest(prk, data, "sha256")[:size]


def key_schedule(header: bytes, shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce; the header is Placet's: its version, and the ids of the suite."""
    suite = b"HPKE" + header[1:]
    schedule = (
        b"\x00" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    )
    secret = extract(suite, shared, b"secret", b"")
    key = expand(suite, secret, b"key", schedule, 32)
    return key, expand(suite, secret, b"base_nonce", schedule, 12)
