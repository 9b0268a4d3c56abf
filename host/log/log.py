# SPDX-License-Identifier: Apache-2.0
"""The log as the host answers from it: the newest checkpoint, the tree, and what the entries fold
to.

The fold is governance's own, so the host knows of proposals, leases and rounds what the authority,
a client and an auditor know of them. A step of the authority is folded first, since its effects
say which rows change with it; tree and checkpoint follow once the step is durable. A step that
fails in between is taken back by loading everything anew.
"""

import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa

from placet.governance.entries.kind import Entry
from placet.governance.entries.table import apply
from placet.governance.federation_state import FederationState
from placet.governance.log import (
    MAX_ENTRY_BYTES,
    Checkpoint,
    LogProof,
    SignedNote,
    Tree,
    leaf_hash,
)
from placet.governance.state import LeaseState, State
from placet.host.log.log_table import log_size, read_checkpoint, read_entries
from placet.proto.v1 import common_pb2
from placet.refusals import LogRange

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Effects:
    """What a step has changed for the host: the difference of two readings of the state.

    `leased` and `ended` are leases, in the order of the log; `touched` are the proposals that the
    step speaks of, `stopped` those of them that somebody has stopped.
    """

    leased: tuple[LeaseState, ...]
    ended: tuple[LeaseState, ...]
    touched: frozenset[str]
    stopped: tuple[tuple[str, common_pb2.Reason.ValueType], ...]


class Log:
    def __init__(self) -> None:
        self.checkpoint = b""
        self.tree = Tree()
        self.state = State()

    def load(self, connection: sa.Connection) -> None:
        """Read everything that the store has."""
        gc.disable()  # nothing of a fold is garbage, and looking for it takes longer than the fold
        try:
            self._load(connection)
        finally:
            gc.enable()
        gc.freeze()  # nor will it be

    def _load(self, connection: sa.Connection) -> None:
        checkpoint, tree, state = read_checkpoint(connection), Tree(), State()
        for start in range(0, log_size(connection), _BATCH):
            entries = read_entries(connection, start, start + _BATCH)
            tree.extend(map(leaf_hash, entries))
            # One parse for many entries takes half the time that one for each would.
            for entry in json.loads(b"[%b]" % b",".join(entries)):
                apply(state, entry)
        self.checkpoint, self.tree, self.state = checkpoint, tree, state

    def extend(self, first: int, entries: Sequence[bytes]) -> Effects:
        """Fold a step. Raises `LogRange` unless it follows the last entry, or `LogEntryInvalid`:
        then nothing holds of the state until it is loaded."""
        state = self.state
        if first != state.size:
            raise LogRange(
                f"The commit begins at entry {first}; the log has {state.size}.",
                expected=str(state.size),
                actual=str(first),
            )
        leases, were_open = len(state.leases), dict(state.open_leases)
        touched = frozenset(self._fold(entries))
        leased = tuple(islice(reversed(state.leases.values()), len(state.leases) - leases))[::-1]
        lately = (*were_open.values(), *leased)
        return Effects(
            leased=leased,
            ended=tuple(lease for lease in lately if lease.digest not in state.open_leases),
            touched=touched,
            stopped=tuple((p, why) for p in touched if (why := self.stopped(p)) is not None),
        )

    def follow(self, entries: Iterable[bytes], checkpoint: bytes) -> None:
        """A step is durable."""
        self.tree.extend(map(leaf_hash, entries))
        self.checkpoint = checkpoint or self.checkpoint

    def stopped(self, proposal: str) -> common_pb2.Reason.ValueType | None:
        """Why nothing of a proposal may go on any more; None where nobody has stopped it."""
        known = self.state.proposals.get(proposal)
        if known is None or not known.stopped:
            return None
        veto = known.stopped == "veto"
        return common_pb2.REASON_VETOED if veto else common_pb2.REASON_STOPPED

    def leased(self, proposal: str) -> int:
        """How many jobs of a proposal have had a lease."""
        known = self.state.proposals.get(proposal)
        return sum(map(bool, known.jobs.values())) if known else 0

    def federation(self, proposal: str) -> FederationState:
        """A federation as the log has it; one without rounds if the log has none."""
        return self.state.federations.get(proposal) or FederationState(proposal)

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

    def _fold(self, entries: Iterable[bytes]) -> Iterator[str]:
        for data in entries:
            try:
                # Parsed as `load` does: an entry that is taken in can be read at the next start.
                row: list[Entry] = (
                    json.loads(b"[%b]" % data) if len(data) <= MAX_ENTRY_BYTES else []
                )
                [entry] = row
            except (ValueError, RecursionError):
                entry = {}  # of no kind, which the fold refuses
            apply(self.state, entry)
            yield from (entry[name] for name in ("proposal", "target") if name in entry)

    def _size(self, size: int) -> int:
        if size > self.tree.size:
            raise LogRange(f"The log has {self.tree.size} entries, not {size}.", claim="size")
        return size or self.tree.size
