# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of a log in memory: append leaf hashes, ask for roots and proofs of any size.

Level k holds the hashes of all complete subtrees of 2^k leaves, one after the other in one
bytearray, 64 bytes a leaf in all. Appending never changes a hash that is there, so every earlier
size can still be asked for.
"""

import hashlib
from collections.abc import Iterable

from placet.governance.log.merkle import EMPTY_ROOT, HASH_SIZE, node_hash

MAX_ENTRY_BYTES = 65535
"""Longest entry: what the 16-bit length prefix of C2SP tlog-tiles can say."""


class Tree:
    """An append-only RFC 6962 tree over `leaf_hashes`, each of 32 bytes.

    Arguments out of range raise `ValueError`, and then nothing has changed.
    """

    __slots__ = ("_levels",)

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels = [bytearray()]
        self.extend(leaf_hashes)

    def copy(self) -> "Tree":
        """A tree of the same leaves, to be extended on trial: 64 bytes a leaf are copied, and
        nothing is hashed."""
        made = Tree()
        made._levels = [bytearray(level) for level in self._levels]
        return made

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_SIZE

    def append(self, leaf: bytes) -> int:
        """Append one leaf hash and return its index."""
        index = self.size
        self.extend((leaf,))
        return index

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaf hashes in order, at about the cost of hashing the inner nodes."""
        leaves = list(leaf_hashes)
        if not set(map(len, leaves)) <= {HASH_SIZE}:
            raise ValueError(f"a leaf hash must have {HASH_SIZE} bytes")
        self._levels[0] += b"".join(leaves)
        level = 0
        while len(self._levels[level]) >= 2 * HASH_SIZE:
            if level + 1 == len(self._levels):
                self._levels.append(bytearray())
            if not _hash_pairs(self._levels[level], self._levels[level + 1]):
                return
            level += 1

    def leaf(self, index: int) -> bytes:
        """Return the leaf hash at `index`."""
        return self.nodes(0, index, index + 1)

    def nodes(self, level: int, start: int, end: int) -> bytes:
        """Return the hashes `start` up to `end` of the complete subtrees of 2^`level` leaves."""
        available = len(self._levels[level]) // HASH_SIZE if level < len(self._levels) else 0
        if level < 0 or not 0 <= start <= end <= available:
            raise ValueError(f"level {level} has {available} nodes, not {start} to {end}")
        return bytes(self._levels[level][start * HASH_SIZE : end * HASH_SIZE])

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves, by default of all."""
        return self._root_of(0, self._checked(size))

    def inclusion_proof(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """Prove leaf `index` to be in the tree of `size` leaves (RFC 6962 section 2.1.1)."""
        end = self._checked(size)
        if not 0 <= index < end:
            raise ValueError(f"no leaf {index} in a tree of {end}")
        start, proof = 0, list[bytes]()
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._root_of(middle, end))
                end = middle
            else:
                proof.append(self._root_of(start, middle))
                start = middle
        return tuple(reversed(proof))

    def consistency_proof(self, old_size: int, new_size: int | None = None) -> tuple[bytes, ...]:
        """Prove the tree of `new_size` to extend that of `old_size` (RFC 6962 section 2.1.2).

        The proof from size 0, or from a size to itself, is empty.
        """
        end = self._checked(new_size)
        if not 0 <= old_size <= end:
            raise ValueError(f"a tree of {end} does not extend a tree of {old_size}")
        if old_size == 0:
            return ()
        start, proof = 0, list[bytes]()
        while end != old_size:
            middle = start + _split(end - start)
            if old_size <= middle:
                proof.append(self._root_of(middle, end))
                end = middle
            else:
                proof.append(self._root_of(start, middle))
                start = middle
        if start:  # else this subtree is the whole old tree, whose root the verifier has
            proof.append(self._root_of(start, end))
        return tuple(reversed(proof))

    def _checked(self, size: int | None) -> int:
        if size is None:
            return self.size
        if not 0 <= size <= self.size:
            raise ValueError(f"the tree has had sizes 0 to {self.size}, not {size}")
        return size

    def _root_of(self, start: int, end: int) -> bytes:
        """Fold, from the right, the complete subtrees that make up the leaves `start` to `end`.

        `start` must be a multiple of a power of two that is not below their number.
        """
        count, root = end - start, b""
        for level in range(count.bit_length()):
            if count >> level & 1:
                position = ((end >> level) - 1) * HASH_SIZE
                node = bytes(self._levels[level][position : position + HASH_SIZE])
                root = node_hash(node, root) if root else node
        return root or EMPTY_ROOT


def _split(count: int) -> int:
    """Return the largest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def _hash_pairs(children: bytearray, parents: bytearray) -> bool:
    """Append to `parents` what `children` has complete pairs for; tell whether that was any."""
    pair = 2 * HASH_SIZE
    start, end = len(parents) * 2, len(children) - len(children) % pair
    if start == end:
        return False
    source = bytes(children[start:end])
    # Copying a primed state is a third faster than a new one: the constructor looks up its digest.
    primed, digests = hashlib.sha256(b"\x01"), list[bytes]()
    for offset in range(0, end - start, pair):
        state = primed.copy()
        state.update(source[offset : offset + pair])
        digests.append(state.digest())
    parents += b"".join(digests)
    return True
