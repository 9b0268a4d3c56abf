# SPDX-License-Identifier: Apache-2.0
"""The log as this client has it: every entry under the newest checkpoint, folded to a ledger.

An answer of the host is believed by this ledger alone. Nothing is judged again here (that is
`audit`). It is verified that the log's key has signed just these entries, so the ledger is the
authority's word and not the host's.
"""

from collections.abc import Sequence

from placet.client.log.memory import CouncilMemory
from placet.governance.codec import parse_object
from placet.governance.ledger import Ledger, missing_document
from placet.governance.log import MAX_ENTRY_BYTES, Checkpoint, leaf_hash
from placet.refusals import LogForked, OtherLog


class KeptDocuments:
    """The documents that a memory holds, as a ledger asks for them."""

    def __init__(self, memory: CouncilMemory) -> None:
        self._memory = memory

    def envelope(self, digest: str) -> bytes:
        """Raises `DocumentNotFound`."""
        found = self._memory.document(digest)
        if found is None:
            raise missing_document(digest)
        return found


class Replica:
    """A ledger that follows the memory. `extend` is the only way in, and verifies."""

    def __init__(self, memory: CouncilMemory) -> None:
        self._memory = memory
        self.ledger = Ledger(KeptDocuments(memory))
        self._entries: list[bytes] = []

    @property
    def size(self) -> int:
        """How many entries have been folded."""
        return self.ledger.tree.size

    def entry(self, index: int) -> bytes:
        """An entry that was folded."""
        return self._entries[index]

    @property
    def entries(self) -> Sequence[bytes]:
        """All that were folded, not to be changed."""
        return self._entries

    def catch_up(self) -> None:
        """Fold what is remembered, by this process or by another one.

        Entries that do not have the remembered checkpoint's root are dropped, to be read anew.
        """
        newest, kept = self._memory.newest(), self._memory.entries()
        if newest is None or len(kept) <= self.size:
            return
        try:
            self._fold(kept[self.size : newest.size], newest)
        except LogForked:
            self._memory.forget_entries()

    def extend(self, entries: Sequence[bytes], checkpoint: Checkpoint, note: bytes) -> None:
        """Fold the next entries, up to a checkpoint whose signature was verified; remember both.

        Raises `LogForked` where the entries are not the checkpoint's, or do not begin with what was
        seen; `LogEntryInvalid`, or `OtherLog`.
        """
        self._fold(entries, checkpoint)
        if not self._memory.advance(note, self._entries):
            self.catch_up()

    def contains(self, checkpoint: Checkpoint) -> None:
        """Raises `LogForked` unless the log so far begins with what the checkpoint covers."""
        if self.ledger.tree.root(checkpoint.size) != checkpoint.root:
            raise forked(checkpoint)

    def _fold(self, entries: Sequence[bytes], checkpoint: Checkpoint) -> None:
        tree = self.ledger.tree.copy()
        tree.extend(map(leaf_hash, entries))
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            raise forked(checkpoint)
        # Entries that were lost are read anew, and have to be those that were seen before.
        seen = self._memory.newest()
        if seen is not None and seen.size <= tree.size and tree.root(seen.size) != seen.root:
            raise forked(seen)
        for data in entries:
            self._apply(data)

    def _apply(self, data: bytes) -> None:
        entry = parse_object(data, MAX_ENTRY_BYTES)
        if self.size == 0 and entry.get("charter") != self._memory.charter:
            raise _other_council(self._memory.charter, str(entry.get("charter")))
        self.ledger.replay(entry, data)
        self._entries.append(data)


def forked(checkpoint: Checkpoint) -> LogForked:
    """Entries that were read, and a checkpoint that the log's key signed, are of two histories."""
    return LogForked(
        "The host shows two histories of the log: the entries are not those of the checkpoint. "
        "Keep both, and report it to the organisations.",
        claim=f"{checkpoint.size} entries",
    )


def _other_council(expected: str, actual: str) -> OtherLog:
    return OtherLog(
        "The log begins with another charter than the one that this home folder belongs to. "
        "Report the host.",
        claim="charter",
        expected=expected,
        actual=actual,
    )
