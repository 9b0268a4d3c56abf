# SPDX-License-Identifier: Apache-2.0
"""RFC 6962 Merkle tree hashing with SHA-256, and the verification of inclusion proofs.

The verification follows the algorithm of RFC 9162, whose step numbers stand in the code. Sizes and
indexes must come from something signed: a proof says nothing about them by itself.
"""

import hashlib
from collections.abc import Sequence

from placet.refusals import LogProofInvalid

HASH_SIZE = 32
"""Bytes of a hash."""

EMPTY_ROOT = hashlib.sha256().digest()
"""Root of the tree without leaves (RFC 6962 section 2.1)."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash the bytes of an entry to the 32 bytes of its leaf (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtree hashes to the hash of their parent (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bytes:
    """Return the leaf hash `leaf` once `proof` shows it at `index` of the tree (`size`, `root`).

    `proof` holds 32-byte hashes from the leaf's sibling up. Raises `LogProofInvalid`.
    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:  # step 1
        raise LogProofInvalid(
            f"An entry at index {index} cannot be in a log of {size} entries; ask again for the "
            "entry, or for a later checkpoint.",
            expected=f"an index below {size}",
            actual=str(index),
        )
    check_shape(proof)
    node, last, found = index, size - 1, leaf  # steps 2 and 3
    for sibling in proof:  # step 4
        if last == 0:
            raise _not_included(index, size)
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            node, last = skip_to_left_child(node, last)
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or found != root:  # step 5
        raise _not_included(index, size)
    return leaf


def skip_to_left_child(node: int, last: int) -> tuple[int, int]:
    """Climb the levels where the rightmost node has no sibling."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def check_shape(proof: Sequence[bytes]) -> None:
    """A proof is hashes. Raises `LogProofInvalid`."""
    if any(len(sibling) != HASH_SIZE for sibling in proof):
        raise LogProofInvalid(
            f"A Merkle proof must consist of hashes of {HASH_SIZE} bytes; fetch the proof again.",
            expected=f"{HASH_SIZE} bytes",
        )


def _not_included(index: int, size: int) -> LogProofInvalid:
    return LogProofInvalid(
        f"The proof does not place the entry at index {index} of the log of {size} entries; "
        "do not rely on the entry, and report the log if a fresh proof fails too.",
        claim=f"index {index} of {size}",
    )
