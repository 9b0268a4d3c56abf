# SPDX-License-Identifier: Apache-2.0
"""Who opens segments by other means finds key and nonce prefix in the header, and the layout's
numbers beside it."""

import io
import os

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placet.refusals import StreamHeaderMalformed
from placet.sealing import (
    HEADER_BYTES,
    StreamKey,
    open_header,
    seal_stream,
    sealed_length,
    segment_count,
)

SEGMENT = 16384


@pytest.mark.parametrize("length", [0, 1, SEGMENT - 56, SEGMENT - 55, 40_000])
def test_the_header_opens_every_segment(length: int) -> None:
    plain, sink, key = os.urandom(length), io.BytesIO(), StreamKey.generate()
    descriptor = seal_stream(
        io.BytesIO(plain), sink, key, kind="test", labels=(), segment_size=SEGMENT
    )
    sealed = sink.getvalue()
    segments = segment_count(length, SEGMENT)
    assert (segments, len(sealed)) == (descriptor.segments, sealed_length(length, segments))
    derived, prefix = open_header(sealed[:HEADER_BYTES], key, descriptor.id)
    cipher, opened = AESGCM(derived), b""
    for index in range(segments):
        segment = sealed[index * SEGMENT : (index + 1) * SEGMENT]
        nonce = prefix + index.to_bytes(4, "big") + bytes([index == segments - 1])
        opened += cipher.decrypt(nonce, segment if index else segment[HEADER_BYTES:], None)
    assert opened == plain


def test_key_and_object_belong_to_the_stream() -> None:
    sink, key = io.BytesIO(), StreamKey.generate()
    descriptor = seal_stream(io.BytesIO(b"content"), sink, key, kind="test", labels=())
    header, segment = sink.getvalue()[:HEADER_BYTES], sink.getvalue()[HEADER_BYTES:]
    for other_key, object_id in ((StreamKey.generate(), descriptor.id), (key, "0" * 32)):
        derived, prefix = open_header(header, other_key, object_id)
        with pytest.raises(InvalidTag):
            AESGCM(derived).decrypt(prefix + bytes(4) + b"\1", segment, None)


@pytest.mark.parametrize("header", [b"", bytes([40]) * 39, bytes([40]) * 41, bytes([39]) * 40])
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(StreamHeaderMalformed, match="header of 40 bytes"):
        open_header(header, StreamKey.generate(), "0" * 32)
