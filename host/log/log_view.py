# SPDX-License-Identifier: Apache-2.0
"""The log as the host answers from it: the newest checkpoint, and the tree of leaf hashes in
memory.

Both follow the store: they are loaded when the host starts and extended as each commit is durable.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from placet.governance.log import Checkpoint, LogProof, SignedNote, Tree, leaf_hash
from placet.host.errors import LogRange
from placet.host.log.log_table import log_size, read_checkpoint, read_entries

_BATCH = 4096


class LogView:
    """Checkpoint and tree. Raises `LogRange` for what is not in the log."""

    def __init__(self) -> None:
        self.checkpoint = b""
        self.tree = Tree()

    def load(self, connection: sa.Connection) -> None:
        """Read everything that the store has."""
        self.checkpoint = read_checkpoint(connection)
        for start in range(0, log_size(connection), _BATCH):
            self.tree.extend(map(leaf_hash, read_entries(connection, start, start + _BATCH)))

    def extend(self, entries: Sequence[bytes], checkpoint: bytes) -> None:
        """Follow a commit."""
        self.tree.extend(map(leaf_hash, entries))
        self.checkpoint = checkpoint or self.checkpoint

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """The proof that an entry is in the log of a size; size 0 stands for the present one."""
        size = self._size(size)
        if index >= size:
            raise LogRange(f"A log of {size} entries has no entry {index}.", claim="index")
        return self.tree.inclusion_proof(index, size)

    def proof(self, index: int) -> bytes:
        """The tlog-proof of an entry under the newest checkpoint."""
        note = self.checkpoint
        size = Checkpoint.from_text(SignedNote.from_bytes(note).text).size
        return LogProof(index, self.inclusion_proof(index, size), note).to_bytes()

    def consistency_proof(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """The proof that one size extends another; new size 0 stands for the present one."""
        new_size = self._size(new_size)
        if old_size > new_size:
            raise LogRange(f"A log of {new_size} extends none of {old_size}.", claim="old_size")
        return self.tree.consistency_proof(old_size, new_size)

    def _size(self, size: int) -> int:
        if size > self.tree.size:
            raise LogRange(f"The log has {self.tree.size} entries, not {size}.", claim="size")
        return size or self.tree.size
