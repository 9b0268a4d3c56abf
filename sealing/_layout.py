# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a sealed stream lie: Tink's AES256_GCM_HKDF streaming format.

    segment 0   header (length byte 40 ‖ salt 32 ‖ nonce prefix 7) ‖ ciphertext ‖ tag 16
    segment i   ciphertext ‖ tag 16

Every sealed segment but the last has exactly `segment_size` bytes, the header being counted in
segment 0. An empty object is one segment of header and tag; there is no empty segment otherwise.
"""

HEADER_BYTES = 40
SALT_BYTES = 32
NONCE_PREFIX_BYTES = 7
TAG_BYTES = 16

DEFAULT_SEGMENT_SIZE = 65536
# Powers of two: small enough for the memory of an enclave, large enough to hide the tag.
SEGMENT_SIZES = tuple(1 << exponent for exponent in range(14, 21))
# The counter in the nonce has 4 bytes, and Tink's implementations stop one short of wrapping.
MAX_SEGMENTS = (1 << 32) - 1


def segment_count(length: int, segment_size: int) -> int:
    """The number of segments of an object of `length` plaintext bytes."""
    return max(1, -(-(length + HEADER_BYTES) // (segment_size - TAG_BYTES)))


def sealed_length(length: int, segments: int) -> int:
    """The number of sealed bytes, header and tags included."""
    return HEADER_BYTES + length + segments * TAG_BYTES


def max_length(segment_size: int) -> int:
    """The longest object, in plaintext bytes, that the format's counter can address."""
    return MAX_SEGMENTS * (segment_size - TAG_BYTES) - HEADER_BYTES


def locate(position: int, segment_size: int) -> tuple[int, int]:
    """The segment that holds the plaintext byte at `position`, and its offset in there."""
    index, offset = divmod(position + HEADER_BYTES, segment_size - TAG_BYTES)
    return (index, offset) if index else (0, offset - HEADER_BYTES)
