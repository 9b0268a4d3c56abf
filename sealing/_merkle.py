# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree hash of RFC 6962, section 2.1, over segments that come one after another.

A leaf is SHA-256(0x00 ‖ segment), a node SHA-256(0x01 ‖ left ‖ right). Memory is one hash for each
level of the tree.
"""

import hashlib
from collections.abc import Iterable

HASH_BYTES = 32


def leaf_hash(segment: bytes | memoryview) -> bytes:
    """Hash one segment as a leaf, without copying it."""
    hasher = hashlib.sha256(b"\x00")
    hasher.update(segment)
    return hasher.digest()


class MerkleRoot:
    """Folds leaf hashes into a root as they come.

    The stack holds the roots of the complete subtrees, largest first, one for each bit set in
    the number of leaves.
    """

    __slots__ = ("_size", "_stack")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._size = 0
        self._stack: list[bytes] = []
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        stack, node, size = self._stack, leaf, self._size
        while size & 1:
            node = _node_hash(stack.pop(), node)
            size >>= 1
        stack.append(node)
        self._size += 1

    def text(self) -> str:
        """The root of what was added, as "sha256:<hex>"."""
        if not self._stack:
            return f"sha256:{hashlib.sha256().hexdigest()}"
        *lefts, node = self._stack
        for left in reversed(lefts):
            node = _node_hash(left, node)
        return f"sha256:{node.hex()}"


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
