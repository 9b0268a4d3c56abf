# SPDX-License-Identifier: Apache-2.0
"""Commit before effect: entries are appended at once, and waited for until a stored checkpoint covers them.

`append` changes the ledger and queues what the host has to store; one task sends it, everything that has gathered in one
step: wrapped secrets, documents, entries and the checkpoint over them, durable together. An effect (a key leaving, an
answer) awaits `covered`. With no witness configured the authority's own signature makes a checkpoint acceptable; with
witnesses, their quorum has to be gathered where `_commit` now signs alone.

If the host does not store a step, the ledger in memory is ahead of the disk for good: the authority ends, and replays.
"""

import asyncio
from collections.abc import Awaitable, Callable

from placet.governance.ledger import Ledger
from placet.governance.log import Checkpoint, NoteSigner, sign_checkpoint
from placet.governance.state import Entry
from placet.proto.v1 import enclaves_pb2

Store = Callable[[enclaves_pb2.Commit], Awaitable[object]]


class Journal:
    """The writing side of the log. `checkpoint` is the newest one that the host has acknowledged; empty before any."""

    def __init__(self, ledger: Ledger, signer: NoteSigner, store: Store) -> None:
        self.checkpoint = b""
        self.committed = 0
        self._ledger = ledger
        self._signer = signer
        self._store = store
        self._step = enclaves_pb2.Commit(first_index=0)
        self._wake = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[bytes]]] = []

    def resume(self, checkpoint: bytes) -> None:
        """Go on after a replay that ended at this checkpoint."""
        self.checkpoint, self.committed = checkpoint, self._ledger.tree.size
        self._step = enclaves_pb2.Commit(first_index=self.committed)

    def append(
        self,
        entry: Entry,
        documents: dict[str, bytes] | None = None,
        secrets: list[enclaves_pb2.Secret] | None = None,
    ) -> int:
        """Append a judged entry; returns its index. Nothing of it is an effect yet."""
        index = self._ledger.tree.size
        self._step.entries.append(self._ledger.append(entry))
        for digest, document in (documents or {}).items():
            self._step.documents.append(
                enclaves_pb2.StoredDocument(digest=digest, document=document)
            )
        self._step.secrets.extend(secrets or ())
        self._wake.set()
        return index

    async def covered(self, index: int) -> bytes:
        """Wait until a stored checkpoint covers the entry; returns the checkpoint."""
        if index < self.committed:
            return self.checkpoint
        waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((index, waiter))
        return await waiter

    async def run(self) -> None:
        """Store step after step; returns only by raising what storing raised."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._commit()
        except BaseException as error:
            for _, waiter in self._waiting:
                if not waiter.done():
                    waiter.set_exception(error if isinstance(error, Exception) else OSError())
            raise

    async def _commit(self) -> None:
        step, size = self._step, self._ledger.tree.size
        self._step = enclaves_pb2.Commit(first_index=size)
        checkpoint = Checkpoint(self._signer.verifier_key.name, size, self._ledger.tree.root())
        step.checkpoint = sign_checkpoint(checkpoint, self._signer)
        await self._store(step)
        self.checkpoint, self.committed = step.checkpoint, size
        ready = [waiter for index, waiter in self._waiting if index < size]
        self._waiting = [(index, waiter) for index, waiter in self._waiting if index >= size]
        for waiter in ready:
            if not waiter.done():
                waiter.set_result(self.checkpoint)
