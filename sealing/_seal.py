# SPDX-License-Identifier: Apache-2.0
"""Sealing a stream: plaintext in, sealed segments out, a descriptor at the end.

1. Draw the object id, the salt and the nonce prefix; derive the segment key; write the header.
2. Read one segment ahead: the nonce of a segment says whether it is the last.
3. Encrypt, hash and write segment by segment, in three buffers that are used again.
4. Clear the plaintext buffers, and describe what was written.
"""

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placet.refusals import ObjectRootMismatch
from placet.sealing._descriptor import ObjectDescriptor
from placet.sealing._header import verify_header
from placet.sealing._io import ReadableSource, WritableSink, fill, wipe, write_all
from placet.sealing._key import StreamKey
from placet.sealing._layout import (
    DEFAULT_SEGMENT_SIZE,
    HEADER_BYTES,
    MAX_SEGMENTS,
    NONCE_PREFIX_BYTES,
    SALT_BYTES,
    TAG_BYTES,
)
from placet.sealing._merkle import MerkleRoot, leaf_hash
from placet.sealing._segments import segment_cipher, segment_nonce

_EMPTY_ROOT = "sha256:" + "0" * 64


def seal_stream(
    source: ReadableSource,
    sink: WritableSink,
    key: StreamKey,
    *,
    kind: str,
    labels: tuple[str, ...],
    segment_size: int = DEFAULT_SEGMENT_SIZE,
    object_id: str | None = None,
) -> ObjectDescriptor:
    """Seal what `source` has left into `sink`, and return the descriptor of the new object.

    `segment_size` is in sealed bytes, a power of two from 16 KiB to 1 MiB; `object_id` is 32 hex
    digits, drawn at random unless given. Memory is three segments whatever the length. Raises
    `DescriptorMalformed` for a wrong kind, label, size or id before anything is written, and
    `ValueError` if the source has more bytes than the format can address.
    """
    object_id = os.urandom(16).hex() if object_id is None else object_id
    _check_arguments(key, kind, labels, segment_size, object_id)
    salt, prefix = os.urandom(SALT_BYTES), os.urandom(NONCE_PREFIX_BYTES)
    sealer = _Sealer(segment_cipher(key, salt, object_id), salt, prefix, segment_size)
    try:
        sealer.run(source, sink)
    finally:
        sealer.wipe()
    return ObjectDescriptor(
        id=object_id,
        kind=kind,
        labels=labels,
        commitment=key.commitment,
        segment_size=segment_size,
        segments=sealer.segments,
        length=sealer.length,
        root=sealer.root.text(),
    )


def verify_plaintext(
    source: ReadableSource, key: StreamKey, header: bytes, descriptor: ObjectDescriptor
) -> ObjectDescriptor:
    """Return the descriptor once what `source` has left is shown to be the plaintext that was
    sealed: under the key and the header of the stream it gives the same sealed bytes.

    Raises `KeyCommitmentMismatch`, `StreamHeaderMalformed` or `ObjectRootMismatch`.
    """
    key.verify_commitment(descriptor.commitment)
    salt, prefix = verify_header(header)
    cipher = segment_cipher(key, salt, descriptor.id)
    sealer = _Sealer(cipher, salt, prefix, descriptor.segment_size)
    try:
        sealer.run(source, _Nowhere())
    finally:
        sealer.wipe()
    if (sealer.length, sealer.root.text()) != (descriptor.length, descriptor.root):
        raise ObjectRootMismatch(
            "the file is not what was sealed; give the file as it was opened",
            claim="object root",
            expected=descriptor.root,
            actual=sealer.root.text(),
        )
    return descriptor


class _Nowhere:
    """Takes what only has to be hashed."""

    def write(self, data: memoryview, /) -> int:
        return len(data)


def _check_arguments(
    key: StreamKey, kind: str, labels: tuple[str, ...], segment_size: int, object_id: str
) -> None:
    # The descriptor of an empty object with these arguments checks each of them.
    ObjectDescriptor(
        id=object_id,
        kind=kind,
        labels=labels,
        commitment=key.commitment,
        segment_size=segment_size,
        segments=1,
        length=0,
        root=_EMPTY_ROOT,
    )


class _Sealer:
    """The buffers and counters of one stream that is being sealed."""

    def __init__(self, cipher: AESGCM, salt: bytes, prefix: bytes, segment_size: int) -> None:
        self._cipher = cipher
        self._prefix = prefix
        self._capacity = segment_size - TAG_BYTES
        self._sealed = memoryview(bytearray(segment_size))
        self._sealed[:HEADER_BYTES] = bytes([HEADER_BYTES]) + salt + prefix
        self._plain = memoryview(bytearray(self._capacity))
        self._ahead = memoryview(bytearray(self._capacity))
        self.root = MerkleRoot()
        self.segments = 0
        self.length = 0

    def run(self, source: ReadableSource, sink: WritableSink) -> None:
        start = HEADER_BYTES
        room = self._capacity - HEADER_BYTES
        size = fill(source, self._plain[:room])
        while True:
            # A segment that is not full is followed by nothing: do not ask the source again.
            following = fill(source, self._ahead) if size == room else 0
            self._seal(sink, start, size, last=not following)
            if not following:
                return
            self._plain, self._ahead = self._ahead, self._plain
            start, room, size = 0, self._capacity, following

    def _seal(self, sink: WritableSink, start: int, size: int, *, last: bool) -> None:
        if self.segments == MAX_SEGMENTS:
            raise ValueError("the source is longer than a sealed stream can be")
        end = start + size + TAG_BYTES
        nonce = segment_nonce(self._prefix, self.segments, last)
        self._cipher.encrypt_into(nonce, self._plain[:size], None, self._sealed[start:end])
        segment = self._sealed[:end]
        self.root.add(leaf_hash(segment))
        write_all(sink, segment)
        self.segments += 1
        self.length += size

    def wipe(self) -> None:
        wipe(self._plain)
        wipe(self._ahead)
