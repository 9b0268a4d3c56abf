# SPDX-License-Identifier: Apache-2.0
"""Describing a stream that something else sealed, such as Tink in Java, Go or C++: what
docs/formats.md says of a descriptor, from the sealed bytes alone.

The owner gives what travels with the key (segment size, object id); the rest follows from the
sealed bytes. Nothing is opened, so a description is as true as its author: an owner that wants to
be sure opens the stream once under the new descriptor.
"""

import os

from placet.refusals import StreamLength
from placet.sealing._descriptor import ObjectDescriptor
from placet.sealing._io import SeekableSource
from placet.sealing._key import StreamKey
from placet.sealing._layout import (
    DEFAULT_SEGMENT_SIZE,
    HEADER_BYTES,
    SEGMENT_SIZES,
    TAG_BYTES,
)
from placet.sealing._merkle import MerkleRoot
from placet.sealing._root import read_leaf_hashes


def describe_stream(
    source: SeekableSource,
    key: StreamKey,
    *,
    kind: str,
    labels: tuple[str, ...],
    object_id: str,
    segment_size: int = DEFAULT_SEGMENT_SIZE,
) -> ObjectDescriptor:
    """Return the descriptor of the stream whose sealed bytes are the whole of `source`.

    The stream must have been sealed under `key` in segments of `segment_size` sealed bytes with
    the associated data b"placet/object/v1" ‖ the 16 bytes of `object_id`. Memory is one segment.
    Raises `StreamLength` for a length that no stream has, `DescriptorMalformed` for wrong
    kind, labels or id, and `ValueError` for a wrong segment size.
    """
    if segment_size not in SEGMENT_SIZES:
        raise ValueError("the segment size must be a power of two from 16 KiB to 1 MiB")
    sealed = source.seek(0, os.SEEK_END)
    segments = max(1, -(-sealed // segment_size))
    length = sealed - HEADER_BYTES - segments * TAG_BYTES
    # The last segment holds a byte besides its tag, unless the object is empty.
    shortest_last = HEADER_BYTES + TAG_BYTES if segments == 1 else TAG_BYTES + 1
    if sealed - (segments - 1) * segment_size < shortest_last:
        raise StreamLength(
            "no sealed stream with this segment size has this length; seal the object again",
            claim="sealed length",
            actual=str(sealed),
        )
    root = MerkleRoot(read_leaf_hashes(source, sealed, segment_size))
    return ObjectDescriptor(
        id=object_id,
        kind=kind,
        labels=labels,
        commitment=key.commitment,
        segment_size=segment_size,
        segments=segments,
        length=length,
        root=root.text(),
    )
