# SPDX-License-Identifier: Apache-2.0
"""Commit before effect: entries are appended at once, and waited for until a stored checkpoint
covers them.

`append` changes the ledger and queues what the host has to store; one task sends it, as much of
what has gathered as one step holds: wrapped secrets, documents, entries and the checkpoint over
them, durable together. An effect (a key leaving, an answer) awaits `covered`, in one place
(service.py). With no witness configured the authority's own signature makes a checkpoint
acceptable; with witnesses, their quorum has to be gathered where `_commit` now signs alone.

If the host does not store a step, the ledger in memory is ahead of the disk for good: everything
that waits is refused, nothing is appended any more, and the authority ends. Its next life replays
what was stored.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from placet.governance.entries.kind import Entry
from placet.governance.ledger import Ledger
from placet.governance.log import Checkpoint, NoteSigner, sign_checkpoint
from placet.proto.limits import MAX_FRAME
from placet.proto.v1 import enclaves_pb2
from placet.refusals import AuthorityUnavailable

Store = Callable[[enclaves_pb2.Commit], Awaitable[object]]

# One entry with all that belongs to it is far smaller than half a frame, so a step is always
# smaller than a frame.
_STEP_BYTES = MAX_FRAME // 2
_MAX_WAITING = 4096  # entries that a host has not stored yet, before less is judged


@dataclass(frozen=True, slots=True)
class Covering:
    """A checkpoint that the host has stored: the signed note, and the number of entries that it
    covers."""

    size: int
    note: bytes


class Journal:
    """The writing side of the log. `covering` is the newest checkpoint that the host has
    acknowledged."""

    def __init__(self, ledger: Ledger, signer: Callable[[], NoteSigner], store: Store) -> None:
        self.covering = Covering(0, b"")
        self._ledger = ledger
        self._signer = signer
        self._store = store
        # One piece an entry: a step with that entry, its documents and its secrets.
        self._pieces: deque[enclaves_pb2.Commit] = deque()
        self._wake = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[Covering]]] = []
        self._broken = False

    def resume(self, checkpoint: bytes) -> None:
        """Go on after a replay that ended at this checkpoint."""
        self.covering = Covering(self._ledger.tree.size, checkpoint)

    def append(
        self,
        entry: Entry,
        documents: Mapping[str, bytes] | None = None,
        secrets: Callable[[], Sequence[enclaves_pb2.Secret]] = tuple,
    ) -> int:
        """Append a judged entry; returns its index. Nothing of it is an effect yet. Raises
        `AuthorityUnavailable`.

        `secrets` is called once the ledger has the entry, and knows what is over with it.
        """
        self._check_writing()
        index = self._ledger.tree.size
        stored = (documents or {}).items()
        self._pieces.append(
            enclaves_pb2.Commit(
                entries=[self._ledger.append(entry)],
                documents=[enclaves_pb2.StoredDocument(digest=d, document=b) for d, b in stored],
                secrets=secrets(),
            )
        )
        self._wake.set()
        return index

    def check_room(self) -> None:
        """Raises `AuthorityUnavailable` where too much waits for the host already."""
        if len(self._pieces) >= _MAX_WAITING:
            raise AuthorityUnavailable(
                "The host has not stored the last entries of the log. Try again later.",
                claim="commit",
            )

    async def covered(self, index: int) -> Covering:
        """Wait until a stored checkpoint covers the entry; returns it. Raises
        `AuthorityUnavailable`."""
        if index < self.covering.size:
            return self.covering
        self._check_writing()
        waiter: asyncio.Future[Covering] = asyncio.get_running_loop().create_future()
        self._waiting.append((index, waiter))
        return await waiter

    async def run(self) -> None:
        """Store step after step; returns only by raising what storing raised."""
        try:
            while True:
                while not self._pieces:
                    self._wake.clear()
                    await self._wake.wait()
                await self._commit(self._step())
        finally:
            self._broken = True
            for _, waiter in self._waiting:
                if not waiter.done():
                    waiter.set_exception(_not_stored())

    def _step(self) -> enclaves_pb2.Commit:
        """As many entries as one step holds, at least one."""
        step = enclaves_pb2.Commit(first_index=self.covering.size)
        size = 0
        while self._pieces and (not size or size + self._pieces[0].ByteSize() <= _STEP_BYTES):
            piece = self._pieces.popleft()
            size += piece.ByteSize()
            step.MergeFrom(piece)
        return step

    async def _commit(self, step: enclaves_pb2.Commit) -> None:
        size = step.first_index + len(step.entries)
        root = self._ledger.tree.root(size)
        signer = self._signer()
        checkpoint = Checkpoint(signer.verifier_key.name, size, root)
        step.checkpoint = sign_checkpoint(checkpoint, signer)
        await self._store(step)
        self.covering = Covering(size, step.checkpoint)
        ready = [waiter for index, waiter in self._waiting if index < size]
        self._waiting = [(index, waiter) for index, waiter in self._waiting if index >= size]
        for waiter in ready:
            if not waiter.done():
                waiter.set_result(self.covering)

    def _check_writing(self) -> None:
        if self._broken:
            raise _not_stored()


def _not_stored() -> AuthorityUnavailable:
    return AuthorityUnavailable(
        "The host did not store a step of the log, so the authority ends. Try again once it is "
        "back.",
        claim="commit",
    )
