# SPDX-License-Identifier: Apache-2.0
"""The log: what it folds to, documents by digest, and the audit of all of it."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from placet.auditing.audit import AuditReport, audit
from placet.client.connection.connection import Connection
from placet.client.log.auditing import GivenDocuments, attest, digests_in
from placet.client.log.export import Export, is_document, lacking, write_log
from placet.client.log.reader import LogReader
from placet.governance.codec import parse_object
from placet.governance.entries.kind import Entry
from placet.governance.ledger import Ledger
from placet.governance.log import MAX_ENTRY_BYTES, Checkpoint
from placet.proto.v1 import log_pb2
from placet.refusals import Refused

T = TypeVar("T")

_AT_ONCE = 16


class AsyncLog:
    """The log of the pinned council."""

    def __init__(self, connection: Connection, log: LogReader) -> None:
        self._connection = connection
        self._log = log

    @property
    def charter(self) -> str:
        """The pinned council by the digest of its charter; empty before one is pinned."""
        return self._log.memory.charter

    @property
    def key(self) -> str:
        """The log by its verifier key text; empty before its charter was seen."""
        return self._log.memory.log

    async def checkpoint(self) -> Checkpoint:
        """The newest checkpoint: signed by the log, over all that was read before and everything
        new."""
        await self._log.read()
        newest = self._log.memory.newest()
        assert newest is not None, "reading leaves a checkpoint"
        return newest

    async def ledger(self) -> Ledger:
        """The ledger that the log folds to now, not to be changed. It is the authority's word, not
        the host's.

        One call, for the entries that this home has not seen. Raises `NotFounded`,
        `LogCheckpointInvalid`, `LogTruncated`, `LogForked`, `LogEntryInvalid`, `OtherLog`,
        `SettingMissing`, or what a call raises.
        """
        return await self._log.read()

    async def judged(self, judge: Callable[[Ledger], T]) -> T:
        """The value of a function of the ledger, as far as the log was read; each document that it
        takes is fetched and verified.

        Call `ledger` first. Raises `DocumentNotFound` where the host withholds one, what the
        function raises, or what a call raises.
        """
        return await self._log.judged(judge)

    def entries(self) -> tuple[Entry, ...]:
        """The entries that the ledger was folded from, in order. Call `ledger` first."""
        replica = self._log.replica
        return tuple(
            parse_object(replica.entry(index), MAX_ENTRY_BYTES) for index in range(replica.size)
        )

    async def document(self, digest: str) -> bytes:
        """A document by the digest of its payload (an envelope) or of its bytes, not verified.

        Raises `Refused` with DOCUMENT_NOT_FOUND.
        """
        request = log_pb2.GetDocumentRequest(digest=digest)
        return (await self._connection.ask(self._connection.log.GetDocument, request)).document

    async def audit(self) -> AuditReport:
        """Fetch checkpoint, entries and documents, and judge all of it again.

        Raises `LogEntryInvalid` for the first entry that does not come out as the log has it,
        `DocumentNotFound` without the charter, or what reading the log and a call raise. The report
        says which parts could not be checked.
        """
        await self._log.read()
        memory = self._log.memory
        # Together, since another task may read on while the documents come.
        entries, note = tuple(memory.entries()), memory.note
        documents = GivenDocuments(await self._documents(digests_in(entries)))
        charter = self._log.charter()
        return await asyncio.to_thread(audit, entries, documents, charter, note, attest=attest)

    async def export(self, folder: Path) -> Export:
        """Write the log to a folder, as the files that monitors of other makers read (C2SP
        tlog-tiles), and the documents that an audit takes; what is there already stays.

        Raises `FileRefused` for a folder that holds something else, `LogTruncated` or `LogForked`
        for one that holds a longer log or another history, or what reading the log and a call
        raise.
        """
        ledger = await self._log.read()
        size, root = ledger.head()
        memory, key = self._log.memory, await self._log.key()
        # Together, since another task may read on while the documents come.
        entries, note = tuple(memory.entries()), memory.note
        wanted = lacking(folder, digests_in(entries))
        given = await self._documents(wanted)
        documents = {d: data for d, data in given.items() if is_document(d, data)}
        files = await asyncio.to_thread(write_log, folder, key, note, entries, documents)
        missing = tuple(digest for digest in wanted if digest not in documents)
        return Export(size, root, files, len(documents), missing)

    async def _documents(self, digests: Iterable[str]) -> dict[str, bytes]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def fetch(digest: str) -> tuple[str, bytes | None]:
            async with slots:
                try:
                    return digest, await self.document(digest)
                except Refused as refused:
                    if refused.reason != "DOCUMENT_NOT_FOUND":
                        raise
                    return digest, None

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(fetch(digest)) for digest in digests]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        found = (task.result() for task in tasks)
        return {digest: data for digest, data in found if data is not None}
