# SPDX-License-Identifier: Apache-2.0
"""Google's Tink opens what is sealed here, and what Tink seals is opened here."""

import base64
import io
import json
import random
from typing import Any

import pytest
from tink import (  # pyright: ignore[reportMissingTypeStubs]
    TinkError,
    json_proto_keyset_format,
    secret_key_access,
    streaming_aead,
)

from placet.sealing import (
    ObjectDescriptor,
    StreamKey,
    open_stream,
    seal_stream,
    verify_root,
)
from tests.support.describing import describe_stream

_ID = "00112233445566778899aabbccddeeff"
_ASSOCIATED_DATA = b"placet/object/v1" + bytes.fromhex(_ID)
_SHA256 = 3
_CASES = [
    (segment_size, length)
    for segment_size in (16384, 65536, 1 << 20)
    for length in (
        0,
        1,
        segment_size - 56,
        segment_size - 55,
        2 * segment_size - 72,
        2 * segment_size - 71,
        3 * segment_size,
    )
]


class Kept(io.BytesIO):
    """A file whose contents outlive the wrapper that closes it."""

    def close(self) -> None:
        pass


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _tink(key: StreamKey, segment_size: int) -> Any:
    """Tink's primitive for a raw `AesGcmHkdfStreamingKey`, encoded by hand.

    Tink has templates for 4 KiB and 1 MiB only; any other size takes a key of one's own.
    """
    parameters = b"\x08" + _varint(segment_size) + b"\x10\x20\x18" + bytes([_SHA256])
    message = b"\x12" + bytes([len(parameters)]) + parameters + b"\x1a\x20" + key.to_bytes()
    entry = {
        "keyData": {
            "typeUrl": "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
            "value": base64.b64encode(message).decode(),
            "keyMaterialType": "SYMMETRIC",
        },
        "status": "ENABLED",
        "keyId": 1,
        "outputPrefixType": "RAW",
    }
    streaming_aead.register()
    keyset = json.dumps({"primaryKeyId": 1, "key": [entry]})
    handle = json_proto_keyset_format.parse(keyset, secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


def _seal_here(data: bytes, key: StreamKey, segment_size: int) -> tuple[bytes, ObjectDescriptor]:
    sealed = io.BytesIO()
    descriptor = seal_stream(
        io.BytesIO(data),
        sealed,
        key,
        kind="dataset",
        labels=(),
        segment_size=segment_size,
        object_id=_ID,
    )
    return sealed.getvalue(), descriptor


@pytest.mark.parametrize(("segment_size", "length"), _CASES)
def test_tink_opens_what_is_sealed_here(segment_size: int, length: int) -> None:
    data, key = random.Random(length).randbytes(length), StreamKey.generate()
    sealed, _ = _seal_here(data, key, segment_size)
    tink = _tink(key, segment_size)
    with tink.new_decrypting_stream(io.BytesIO(sealed), _ASSOCIATED_DATA) as stream:
        assert stream.read() == data


@pytest.mark.parametrize(("segment_size", "length"), _CASES)
def test_what_tink_seals_is_opened_here(segment_size: int, length: int) -> None:
    data, key = random.Random(length).randbytes(length), StreamKey.generate()
    sealed = Kept()
    tink = _tink(key, segment_size)
    with tink.new_encrypting_stream(sealed, _ASSOCIATED_DATA) as stream:
        stream.write(data)
    descriptor = describe_stream(
        sealed, key, kind="dataset", labels=(), object_id=_ID, segment_size=segment_size
    )
    assert descriptor.length == length
    leaves = verify_root(sealed, descriptor)
    assert open_stream(sealed, key, descriptor, leaf_hashes=leaves).read() == data


def test_tink_refuses_another_object() -> None:
    """So the associated data are the ones both agree on, and not ignored by either."""
    key = StreamKey.generate()
    sealed, _ = _seal_here(b"data", key, 65536)
    other = b"placet/object/v1" + bytes(16)
    stream = _tink(key, 65536).new_decrypting_stream(io.BytesIO(sealed), other)
    with stream, pytest.raises(TinkError):
        stream.read()
