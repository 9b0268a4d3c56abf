# SPDX-License-Identifier: Apache-2.0
"""The published log as pages: what `placet log export` writes, of which strangers get what they get
over gRPC."""

import re

from placet.auditing.tiles.contents import encode_entries, encode_tile
from placet.auditing.tiles.paths import CHECKPOINT_PATH, TilePath
from placet.host.documents import is_public
from placet.host.listener import Page
from placet.host.log.log import Log
from placet.host.log.log_table import read_document, read_entries
from placet.host.store.store import Store
from placet.refusals import LogTileMalformed

_BYTES, _TEXT = "application/octet-stream", "text/plain; charset=utf-8"
_DOCUMENT = re.compile(r"documents/([0-9a-f]{64})")
_MAX_PATH = 128
_SECONDS, _FOR_EVER = 5, 365 * 86400  # the checkpoint changes, and nothing else ever does


class LogPages:
    """Of one log."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log

    async def page(self, path: str) -> Page | None:
        """The page of a path. Raises `StoreUnavailable`."""
        if path == CHECKPOINT_PATH:
            note = self._log.checkpoint
            return Page(note, _TEXT, _SECONDS) if note else None
        if named := _DOCUMENT.fullmatch(path):
            return await self._document(f"sha256:{named[1]}")
        try:
            data = await self.tile(TilePath.from_text(path[:_MAX_PATH]))
        except (LogTileMalformed, ValueError):
            return None
        return Page(data, _BYTES, _FOR_EVER)

    async def tile(self, path: TilePath) -> bytes:
        """A tile or bundle, rendered when asked for; `ValueError` if the log has not grown to
        it."""
        if path.level is not None:
            return encode_tile(self._log.tree, path)
        end = path.start + path.width
        self._log.tree.nodes(0, path.start, end)
        return encode_entries(await self._store.read(lambda c: read_entries(c, path.start, end)))

    async def _document(self, digest: str) -> Page | None:
        document = await self._store.read(lambda c: read_document(c, digest))
        if document is None or not is_public(self._log.state, digest, document):
            return None
        return Page(document, _BYTES, _FOR_EVER)
