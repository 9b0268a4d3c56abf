# SPDX-License-Identifier: Apache-2.0
"""The cipher of a sealed stream: key derivation and nonces of Tink's AES256_GCM_HKDF streaming.

The key of the segments is HKDF-SHA256 (RFC 5869) of the stream key, with the header's salt and the
associated data as info, 32 bytes long. A segment's nonce is prefix ‖ 4-byte big-endian counter ‖
1 for the last segment, else 0; segments have no associated data of their own.
"""

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from placet.sealing._key import StreamKey

_DERIVED_KEY_BYTES = 32
_ASSOCIATED_DATA_LABEL = b"placet/object/v1"


def associated_data(object_id: str) -> bytes:
    """The bytes that bind a stream to its object: the label and the 16 bytes of the id."""
    return _ASSOCIATED_DATA_LABEL + bytes.fromhex(object_id)


def segment_key(key: StreamKey, salt: bytes, object_id: str) -> bytes:
    """The AES-256 key of every segment of one stream."""
    return HKDF(
        algorithm=SHA256(),
        length=_DERIVED_KEY_BYTES,
        salt=salt,
        info=associated_data(object_id),
    ).derive(key.to_bytes())


def segment_cipher(key: StreamKey, salt: bytes, object_id: str) -> AESGCM:
    """The cipher that seals and opens every segment of one stream."""
    return AESGCM(segment_key(key, salt, object_id))


def segment_nonce(prefix: bytes, index: int, last: bool) -> bytes:
    """The 12-byte nonce of the segment at `index`."""
    return prefix + index.to_bytes(4, "big") + (b"\x01" if last else b"\x00")
