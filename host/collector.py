# SPDX-License-Identifier: Apache-2.0
"""What nobody needs any more goes after a time: puts that broke off, and the streams of updates
whose round is over.

A stream is removed only if whoever signed the update also owns the blob: an update may name any
blob of its length, so by its word alone a client could have somebody else's removed.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from placet.governance.documents import Update
from placet.governance.envelope import verify_signed
from placet.governance.keys import PublicKey
from placet.host.blobs.blob_store import BlobStore
from placet.host.config import HostConfig
from placet.host.documents import read_update
from placet.host.log.log import Log
from placet.host.log.log_table import read_document
from placet.host.logs import place_of
from placet.host.store.store import Store
from placet.refusals import BlobNotFound, Refusal

_log = logging.getLogger("placet.host.blobs")


class Collector:
    def __init__(self, config: HostConfig, store: Store, log: Log, blobs: BlobStore) -> None:
        self._config = config
        self._store = store
        self._log = log
        self._blobs = blobs
        self._done: set[str] = set()  # updates that have no stream here any more

    async def run(self, believed: Callable[[], bool] = lambda: True) -> None:
        """Collect again and again, until cancelled, while the clock is believed."""
        while True:
            try:
                if believed():
                    await self.collect()
            except Exception as error:  # noqa: BLE001
                _log.error("fault kind=%s at=%s", type(error).__name__, place_of(error))
            await asyncio.sleep(self._config.collect_seconds)

    async def collect(self) -> None:
        """Once."""
        before = time.time() - self._config.keep_broken_seconds
        for blob in await self._blobs.all():
            if await self._blobs.remove_broken(blob, before):
                _log.info("collected blob=%s why=broken-off", blob)
        for digest in self._finished():
            if await self._collect_stream(digest):
                self._done.add(digest)

    def _finished(self) -> list[str]:
        """The updates of rounds that are over, but for those that are done."""
        rounds = [r for f in self._log.state.federations.values() for r in f.rounds if r.over]
        updates = [update.digest for each in rounds for update in each.updates.values()]
        return [digest for digest in updates if digest not in self._done]

    async def _collect_stream(self, digest: str) -> bool:
        """Whether there is nothing to do any more."""
        envelope = await self._store.read(lambda c: read_document(c, digest))
        if envelope is None:
            return True
        try:
            blob = read_update(envelope).blob
            owner = await self._blobs.owner(blob)
            if not owner:
                return True
            verify_signed(envelope, Update, lambda _: (PublicKey(owner),))
        except BlobNotFound:
            return True
        except Refusal as refusal:
            _log.info("not-collected update=%s reason=%s", digest, refusal.reason)
            return True
        before = time.time() - self._config.keep_updates_seconds
        if not await self._blobs.remove_older(blob, before):
            return False
        _log.info("collected blob=%s why=round-over", blob)
        return True
