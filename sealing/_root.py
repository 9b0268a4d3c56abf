# SPDX-License-Identifier: Apache-2.0
"""Checking sealed bytes against a descriptor without the key: length, and root over the segments.

The sealed bytes may change between two readings, since they belong to others. So `verify_root`
gives the hash of each segment it saw, and a reader that is given them checks every segment again.
"""

import os
from collections.abc import Iterator, Sequence
from typing import cast

from placet.refusals import ObjectRootMismatch, SegmentForged, StreamLength
from placet.sealing._descriptor import ObjectDescriptor
from placet.sealing._io import SeekableSource, fill
from placet.sealing._merkle import HASH_BYTES, MerkleRoot, leaf_hash


def verify_root(source: SeekableSource, descriptor: ObjectDescriptor) -> tuple[bytes, ...]:
    """Read the sealed bytes once and return the leaf hash (32 bytes) of each segment.

    Memory is one segment, and the hashes. Raises `StreamLength` unless there are exactly
    as many bytes as the descriptor says, and `ObjectRootMismatch` unless they have its root.
    """
    check_sealed_length(source, descriptor)
    leaves = tuple(read_leaf_hashes(source, descriptor.sealed_length, descriptor.segment_size))
    check_leaf_hashes(leaves, descriptor)
    return leaves


def read_leaf_hashes(source: SeekableSource, length: int, segment_size: int) -> Iterator[bytes]:
    """Read `length` sealed bytes from the start and yield the leaf hash of each segment."""
    source.seek(0)
    buffer = memoryview(bytearray(segment_size))
    while length:
        segment = buffer[: min(length, segment_size)]
        if fill(source, segment) != len(segment):
            raise truncated(length)
        yield leaf_hash(segment)
        length -= len(segment)


def check_leaf_hashes(leaf_hashes: Sequence[bytes], descriptor: ObjectDescriptor) -> None:
    """Raise `ObjectRootMismatch` unless the hashes fold to the descriptor's root."""
    # Hashes of other lengths could make up the same nodes from other leaves.
    sound = all(isinstance(cast(object, x), bytes) and len(x) == HASH_BYTES for x in leaf_hashes)
    actual = MerkleRoot(leaf_hashes).text() if sound else "no root"
    if len(leaf_hashes) != descriptor.segments or actual != descriptor.root:
        raise ObjectRootMismatch(
            "the sealed bytes are not those of the object; fetch the object again",
            claim="object root",
            expected=descriptor.root,
            actual=actual,
        )


def check_sealed_length(source: SeekableSource, descriptor: ObjectDescriptor) -> None:
    """Raise `StreamLength` unless the source has exactly the sealed length."""
    actual = source.seek(0, os.SEEK_END)
    if actual != descriptor.sealed_length:
        raise StreamLength(
            f"the sealed object must have {descriptor.sealed_length} bytes and has {actual}; "
            "fetch the object again",
            claim="sealed length",
            expected=str(descriptor.sealed_length),
            actual=str(actual),
        )


def truncated(left: int) -> StreamLength:
    """The refusal of a source that ends `left` bytes before the length it was checked to have."""
    return StreamLength(
        "the sealed bytes became fewer while they were read; fetch the object again",
        claim="sealed length",
        expected=f"at least {left} more bytes",
    )


def segment_forged(index: int, fault: str) -> SegmentForged:
    """The refusal of one segment."""
    return SegmentForged(
        f"segment {index} of the sealed object {fault}; fetch the object again",
        claim=f"segment {index}",
    )
