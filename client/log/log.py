# SPDX-License-Identifier: Apache-2.0
"""Reading the log: the ledger that its entries fold to, and documents by digest."""

from placet.client.connection.connection import Session
from placet.client.records import Recorded
from placet.governance.codec import parse_object
from placet.governance.envelope import parse_envelope
from placet.governance.errors import EntryInvalid
from placet.governance.ledger import Ledger
from placet.governance.log import MAX_ENTRY_BYTES, Checkpoint
from placet.proto.v1 import common_pb2, log_pb2


class LogOperations:
    """What needs the log alone; the other operations build on it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def charter(self) -> str:
        """The pinned council by the digest of its charter; empty before one is pinned."""
        return self._session.memory.charter

    @property
    def log(self) -> str:
        """The pinned council's log by its verifier key text; empty before its charter was seen."""
        return self._session.memory.log

    async def checkpoint(self) -> Checkpoint:
        """The newest checkpoint: signed by the log, over all that was read before and everything
        new."""
        await self._session.read()
        newest = self._session.memory.newest()
        assert newest is not None, "reading leaves a checkpoint"
        return newest

    async def ledger(self) -> Ledger:
        """What the log folds to now, not to be changed: the authority's word, not the host's.

        See `Session.read`.
        """
        return await self._session.read()

    async def document(self, digest: str) -> bytes:
        """A document by the digest of its payload (an envelope) or of its bytes, not verified.

        Raises `Refused` with DOCUMENT_NOT_FOUND.
        """
        request = log_pb2.GetDocumentRequest(digest=digest)
        return (await self._session.ask(self._session.log.GetDocument, request)).document

    async def _recorded(
        self,
        committed: common_pb2.Committed,
        envelope: bytes,
        before: Checkpoint | None,
        index: int,
    ) -> Recorded:
        """Believe that a document was recorded only once the log shows it.

        1. the checkpoint is the log's and extends what was seen; 2. the entry at `index` is in it;
        3. it names the document.
        """
        session, digest = self._session, parse_envelope(envelope).digest
        checkpoint = await session.accept(committed.checkpoint, before)  # 1
        found = index < checkpoint.size  # 2
        entry = parse_object(session.replica.entry(index), MAX_ENTRY_BYTES) if found else {}
        if digest not in entry.values():  # 3
            raise EntryInvalid(
                "The host says that the document was recorded, and the log has another entry "
                "there. Do not rely on it: send the document again, and report the host.",
                claim=f"entry {index}",
                expected=digest,
                actual=str(entry.get("kind")),
            )
        session.memory.keep_document(digest, envelope)
        return Recorded(digest, index, checkpoint)
