# SPDX-License-Identifier: Apache-2.0
"""The log of the pinned council as far as this home has read it, which may only grow.

The council is pinned by the digest of its charter before anything of a host's is believed. The
charter gives the log key, the key the checkpoints, a checkpoint the entries. Whatever else a host
says is held against these.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from placet.auditing.consistency import verify_extends
from placet.client.connection.calls import translated
from placet.client.connection.connection import Connection, Method
from placet.client.errors import AnswerMalformed, SettingMissing
from placet.client.log.memory import CouncilMemory
from placet.client.log.replica import Replica
from placet.governance.codec import parse_object
from placet.governance.documents import Header, Seen, new_header
from placet.governance.envelope import parse_envelope
from placet.governance.judgements.founding import verify_charter
from placet.governance.ledger import Ledger, missing_document
from placet.governance.log import (
    MAX_ENTRY_BYTES,
    Checkpoint,
    VerifierKey,
    verify_checkpoint,
)
from placet.proto.v1 import common_pb2, log_pb2
from placet.refusals import DocumentNotFound, LogEntryInvalid, NotFounded, Refused

Q = TypeVar("Q")
T = TypeVar("T")

_STREAM_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """A document that the log has: the entry at `index` names `digest`, and `checkpoint` covers it.
    Verified."""

    digest: str
    index: int
    checkpoint: Checkpoint


class LogReader:
    """Reads on, and holds answers against what was read. Every part of the client has the same
    one."""

    def __init__(self, connection: Connection, memory: CouncilMemory) -> None:
        self.memory = memory
        self.replica = Replica(memory)
        self._connection = connection
        self._reading = asyncio.Lock()

    def charter(self) -> str:
        """The digest that names the pinned council. Raises `SettingMissing` where none is
        pinned."""
        if not self.memory.charter:
            raise SettingMissing(
                "This home folder does not know which council is yours, and a host could show any. "
                "Get the charter's digest from another member, and run: placet init --charter "
                "sha256:...",
                claim="charter",
            )
        return self.memory.charter

    async def key(self) -> VerifierKey:
        """The key of the pinned council's log, by its charter.

        Raises `NotFounded`, `OtherLog` or `SettingMissing`.
        """
        if not self.memory.log:
            charter = self.charter()
            try:
                envelope = await self.envelope(charter)
            except DocumentNotFound:
                raise NotFounded(
                    "The host has no log of this council: it has not been founded yet, or this is "
                    "another council's host.",
                    claim="charter",
                    expected=charter,
                ) from None
            self.memory.learn(verify_charter(envelope, charter).log)
        return VerifierKey.from_text(self.memory.log)

    async def read(self) -> Ledger:
        """Read on to the newest checkpoint: one call, for the entries that this home has not seen.

        1. The checkpoint is signed by the key of the pinned council's log; 2. it is not smaller
        than what was seen; 3. its root is that of what was seen with the entries that are new.
        Raises `LogCheckpointInvalid`, `LogTruncated`, `LogForked`, `LogEntryInvalid`, as `key`, or
        what a call raises.
        """
        async with self._reading:
            key = await self.key()
            self.replica.catch_up()
            async with aclosing(self._answers(self.replica.size)) as answers:
                note = (await anext(answers, log_pb2.EntriesResponse())).checkpoint
                seen = self.memory.newest()
                if not note and seen is None:
                    raise NotFounded("The log has no charter yet. Found it first: placet charter.")
                checkpoint = verify_checkpoint(note, key)  # 1
                if seen is not None and checkpoint.size < seen.size:
                    verify_extends(seen, checkpoint, ())  # 2: always raises
                entries = await _taken(answers, checkpoint.size - self.replica.size)
            self.replica.extend(entries, checkpoint, note)  # 3
            return self.replica.ledger

    async def accept(self, note: bytes, before: Checkpoint | None = None) -> Checkpoint:
        """Verify a checkpoint that came with an answer: it is of the log that this client has read.

        `before`: what was known when the request was sent, than which it may not be smaller. Raises
        as `read`.
        """
        found = verify_checkpoint(note, await self.key())
        if before is not None and found.size < before.size:
            return verify_extends(before, found, ())  # always raises
        if found.size > self.replica.size:
            await self.read()
        if found.size > self.replica.size:
            raise AnswerMalformed(
                "The host shows a checkpoint, and not the entries that it covers."
            )
        self.replica.contains(found)
        return found

    async def judged(self, judge: Callable[[Ledger], T]) -> T:
        """What a judgement over the log so far says, made again for each document it needs."""
        fetched: set[str] = set()
        while True:
            try:
                return judge(self.replica.ledger)
            except DocumentNotFound as error:
                digest = error.details["actual"]
                if digest in fetched:
                    raise
                fetched.add(digest)
                await self.envelope(digest)

    async def envelope(self, digest: str) -> bytes:
        """An envelope by the digest of its payload, from the memory or from the host.

        Raises `DocumentNotFound`.
        """
        kept = self.memory.document(digest)
        if kept is not None and parse_envelope(kept).digest == digest:
            return kept
        request = log_pb2.GetDocumentRequest(digest=digest)
        try:
            found = (await self._connection.ask(self._connection.log.GetDocument, request)).document
        except Refused as refused:
            if refused.reason != "DOCUMENT_NOT_FOUND":
                raise
            raise missing_document(digest) from None
        if parse_envelope(found).digest != digest:
            raise missing_document(digest)
        self.memory.keep_document(digest, found)
        return found

    async def record(
        self,
        method: Method[Q, common_pb2.Committed],
        request: Q,
        envelope: bytes,
        index: int | None = None,
    ) -> Recorded:
        """Hand a document in, and believe that it was recorded only once the log shows it.

        1. the checkpoint is the log's and extends what was seen; 2. the entry at `index` (None:
        where the host says) is in it; 3. it is the document's own, which it names in the field of
        its kind. Raises `LogEntryInvalid`, or as `read`.
        """
        before, digest = self.memory.newest(), parse_envelope(envelope).digest
        committed = await self._connection.ask(method, request)
        checkpoint = await self.accept(committed.checkpoint, before)  # 1
        index = committed.index if index is None else index
        found = index < checkpoint.size  # 2
        entry = parse_object(self.replica.entry(index), MAX_ENTRY_BYTES) if found else {}
        if entry.get(str(entry.get("kind"))) != digest:  # 3
            raise LogEntryInvalid(
                "The host says that the document was recorded, and the log has another entry "
                "there. Do not rely on it: send the document again, and report the host.",
                claim=f"entry {index}",
                expected=digest,
                actual=str(entry.get("kind")),
            )
        self.memory.keep_document(digest, envelope)
        return Recorded(digest, index, checkpoint)

    async def header(self) -> Header:
        """A header for a new document: the council, and the newest checkpoint."""
        await self.read()
        return self.known_header()

    def known_header(self) -> Header:
        """The same from what has been read already."""
        return new_header(self.charter(), Seen(*self.replica.ledger.head()))

    async def _answers(self, start: int) -> AsyncGenerator[log_pb2.EntriesResponse, None]:
        """What the host gives from an entry on: the newest checkpoint first."""
        request = log_pb2.GetEntriesRequest(start=start)
        with translated():
            call = self._connection.log.GetEntries(
                request, timeout=_STREAM_TIMEOUT, metadata=self._connection.access.metadata()
            )
            try:
                async for answer in call:
                    yield answer
            finally:
                call.cancel()


async def _taken(answers: AsyncIterator[log_pb2.EntriesResponse], count: int) -> list[bytes]:
    """At most so many entries, none larger than a log can hold: no more of an answer is kept."""
    found: list[bytes] = []
    async for answer in answers:
        found += answer.entries
        if len(found) > count or any(len(entry) > MAX_ENTRY_BYTES for entry in answer.entries):
            raise AnswerMalformed("The host gave more of the log than its checkpoint covers.")
    return found
