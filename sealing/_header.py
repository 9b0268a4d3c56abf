# SPDX-License-Identifier: Apache-2.0
"""The header of a sealed stream: length byte 40, salt 32, nonce prefix 7."""

from placet.refusals import StreamHeaderMalformed
from placet.sealing._key import StreamKey
from placet.sealing._layout import HEADER_BYTES, SALT_BYTES
from placet.sealing._segments import segment_key


def verify_header(header: bytes) -> tuple[bytes, bytes]:
    """Return salt and nonce prefix of a header. Raises `StreamHeaderMalformed`."""
    if len(header) != HEADER_BYTES or header[0] != HEADER_BYTES:
        raise StreamHeaderMalformed(
            f"the sealed bytes do not begin with a header of {HEADER_BYTES} bytes; "
            "fetch the object again",
            claim="header length",
            expected=str(HEADER_BYTES),
            actual=str(header[0]) if header else "nothing",
        )
    return header[1 : 1 + SALT_BYTES], header[1 + SALT_BYTES :]


def open_header(header: bytes, key: StreamKey, object_id: str) -> tuple[bytes, bytes]:
    """Return the 32-byte key of the segments and their 7-byte nonce prefix.

    For those who open segments by other means than `open_stream`. A wrong key shows when the first
    segment does not open. Raises `StreamHeaderMalformed`.
    """
    salt, prefix = verify_header(header)
    return segment_key(key, salt, object_id), prefix
