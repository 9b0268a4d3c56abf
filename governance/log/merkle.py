# SPDX-License-Identifier: Apache-2.0
"""RFC 6962 Merkle tree hashing with SHA-256, and the verification of its two kinds of proof.

The verification follows the algorithms of RFC 9162, whose step numbers stand in the code. Sizes and
indexes must come from something signed: a proof says nothing about them by itself.
"""

import hashlib
from collections.abc import Sequence

from placet.governance.log.errors import ProofInvalidError

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

    `proof` holds 32-byte hashes from the leaf's sibling up. Raises `ProofInvalidError`.
    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:  # step 1
        raise ProofInvalidError(
            f"An entry at index {index} cannot be in a log of {size} entries; ask again for the "
            "entry, or for a later checkpoint.",
            expected=f"an index below {size}",
            actual=str(index),
        )
    _check_shape(proof)
    node, last, found = index, size - 1, leaf  # steps 2 and 3
    for sibling in proof:  # step 4
        if last == 0:
            raise _not_included(index, size)
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            node, last = _skip_to_left_child(node, last)
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or found != root:  # step 5
        raise _not_included(index, size)
    return leaf


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bytes:
    """Return `new_root` once `proof` shows that the new tree begins with the whole old tree.

    Every tree extends the empty one and itself, by an empty proof. Raises `ProofInvalidError`.
    Source: RFC 9162 section 2.1.4.2, which leaves out these two cases.
    """
    if not 0 <= old_size <= new_size:
        raise _not_consistent(old_size, new_size)
    _check_shape(proof)
    if old_size in (0, new_size):
        same = old_root == (new_root if old_size == new_size else EMPTY_ROOT)
        if proof or not same or (new_size == 0 and new_root != EMPTY_ROOT):
            raise _not_consistent(old_size, new_size)
        return new_root
    path = list(proof)
    if not path:  # step 1
        raise _not_consistent(old_size, new_size)
    if old_size & (old_size - 1) == 0:  # step 2
        path.insert(0, old_root)
    node, last = old_size - 1, new_size - 1  # step 3
    while node & 1:  # step 4
        node, last = node >> 1, last >> 1
    found_old = found_new = path[0]  # step 5
    for sibling in path[1:]:  # step 6
        if last == 0:
            raise _not_consistent(old_size, new_size)
        if node & 1 or node == last:
            found_old = node_hash(sibling, found_old)
            found_new = node_hash(sibling, found_new)
            node, last = _skip_to_left_child(node, last)
        else:
            found_new = node_hash(found_new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or found_old != old_root or found_new != new_root:  # step 7
        raise _not_consistent(old_size, new_size)
    return new_root


def _skip_to_left_child(node: int, last: int) -> tuple[int, int]:
    """Climb the levels where the rightmost node has no sibling."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _check_shape(proof: Sequence[bytes]) -> None:
    if any(len(sibling) != HASH_SIZE for sibling in proof):
        raise ProofInvalidError(
            f"A Merkle proof must consist of hashes of {HASH_SIZE} bytes; fetch the proof again.",
            expected=f"{HASH_SIZE} bytes",
        )


def _not_included(index: int, size: int) -> ProofInvalidError:
    return ProofInvalidError(
        f"The proof does not place the entry at index {index} of the log of {size} entries; "
        "do not rely on the entry, and report the log if a fresh proof fails too.",
        claim=f"index {index} of {size}",
    )


def _not_consistent(old_size: int, new_size: int) -> ProofInvalidError:
    return ProofInvalidError(
        f"The proof does not show that the log of {new_size} entries extends the log of "
        f"{old_size}; keep both checkpoints, and report the log if a fresh proof fails too.",
        claim=f"{old_size} to {new_size}",
    )
