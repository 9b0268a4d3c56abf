# SPDX-License-Identifier: Apache-2.0
"""Sealing: HPKE envelopes for small secrets, sealed streams for data, descriptors that name them.

    key = StreamKey.generate()
    descriptor = seal_stream(plain, sealed, key, kind="dataset", labels=("health",))
    envelope = seal_envelope(key.to_bytes(), recipient, context("placet/grant/v1", digest))

    key = StreamKey(open_envelope(envelope, private_key, context("placet/grant/v1", digest)))
    leaves = verify_root(sealed, descriptor)
    with open_stream(sealed, key, descriptor, leaf_hashes=leaves) as reader:
        reader.readinto(buffer)

    asking, answering = SealedSession(secret, info), SealedSession(secret, info)  # at two ends
    counter, sealed = asking.seal_question(content)
    answer = answering.seal_answer(counter, respond(answering.open_question(counter, sealed)))
    content = asking.open_answer(counter, answer)

Each refusal is raised as a class of `placet.refusals` with its `reason`.
"""

from placet.sealing._context import context
from placet.sealing._descriptor import ObjectDescriptor
from placet.sealing._envelope import open_envelope, seal_envelope
from placet.sealing._header import open_header
from placet.sealing._hpke import HPKEPrivateKey, HPKEPublicKey
from placet.sealing._io import ReadableSource, SeekableSource, WritableSink
from placet.sealing._key import StreamKey
from placet.sealing._layout import (
    DEFAULT_SEGMENT_SIZE,
    HEADER_BYTES,
    SEGMENT_SIZES,
    sealed_length,
    segment_count,
)
from placet.sealing._padding import pad, padded_length, unpad_into
from placet.sealing._reader import StreamReader, open_stream
from placet.sealing._root import verify_root
from placet.sealing._seal import seal_stream, verify_plaintext
from placet.sealing._session import (
    MAX_QUESTIONS,
    SESSION_ID_BYTES,
    SESSION_SECRET_BYTES,
    SealedSession,
    new_session_secret,
    sealed_answer_length,
    size_class,
)
from placet.sealing._wrap import unwrap_key, wrap_key

__all__ = [
    "DEFAULT_SEGMENT_SIZE",
    "HEADER_BYTES",
    "MAX_QUESTIONS",
    "SEGMENT_SIZES",
    "SESSION_ID_BYTES",
    "SESSION_SECRET_BYTES",
    "HPKEPrivateKey",
    "HPKEPublicKey",
    "ObjectDescriptor",
    "ReadableSource",
    "SealedSession",
    "SeekableSource",
    "StreamKey",
    "StreamReader",
    "WritableSink",
    "context",
    "new_session_secret",
    "open_envelope",
    "open_header",
    "open_stream",
    "pad",
    "padded_length",
    "seal_envelope",
    "seal_stream",
    "sealed_answer_length",
    "sealed_length",
    "segment_count",
    "size_class",
    "unpad_into",
    "unwrap_key",
    "verify_plaintext",
    "verify_root",
    "wrap_key",
]
