# SPDX-License-Identifier: Apache-2.0
"""Reading the log: entries with proof that they are in it, and documents by digest."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from placet.client._calls import translated
from placet.client._channel import METADATA
from placet.client._session import Session
from placet.client.errors import AnswerMalformed
from placet.client.records import Recorded
from placet.governance.codec import parse_object
from placet.governance.envelope import parse_envelope
from placet.governance.errors import EntryInvalid
from placet.governance.log import (
    MAX_ENTRY_BYTES,
    Checkpoint,
    LogForkedError,
    Tree,
    leaf_hash,
    verify_inclusion,
)
from placet.governance.state import State
from placet.proto.v1 import common_pb2, log_pb2

_STREAM_TIMEOUT = 600.0


@dataclass(slots=True)
class Replay:
    """The log as far as it was read: its tree, and the state that it folds to. Changed by `LogOperations.replay` alone."""

    tree: Tree = field(default_factory=Tree)
    state: State = field(default_factory=State)


class LogOperations:
    """What needs the log alone; the other operations build on it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def charter(self) -> str:
        """The pinned council by the digest of its charter; empty before one is known."""
        return self._session.memory.charter

    @property
    def log(self) -> str:
        """The pinned council's log by its verifier key text; empty before one is known."""
        return self._session.memory.log

    async def checkpoint(self) -> Checkpoint:
        """The newest checkpoint: signed by the log, and an extension of all that were seen before."""
        return await self._session.checkpoint()

    async def document(self, digest: str) -> bytes:
        """A document by the digest of its payload (an envelope) or of its bytes; the caller verifies it.

        Raises `Refused` with DOCUMENT_NOT_FOUND.
        """
        request = log_pb2.GetDocumentRequest(digest=digest)
        return (await self._session.ask(self._session.log.GetDocument, request)).document

    async def entries(self, checkpoint: Checkpoint) -> tuple[bytes, ...]:
        """Every entry that a checkpoint covers. Raises `LogForkedError` where they do not have its root."""
        tree = Tree()
        found: list[bytes] = []
        async for entry in self._stream(0, checkpoint.size):
            tree.append(leaf_hash(entry))
            found.append(entry)
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            raise _forked(checkpoint)
        return tuple(found)

    async def replay(self, known: Replay) -> State:
        """Read on to the newest checkpoint: the state that every entry up to there folds to.

        Nothing is judged again (that is `audit`); but that the log's key has signed just these entries is verified, so
        the state is the authority's word and not the host's. Raises `LogForkedError`, `EntryInvalid` or `AnswerMalformed`.
        """
        checkpoint = await self.checkpoint()
        start = known.tree.size
        if checkpoint.size <= start:
            return known.state
        found = [entry async for entry in self._stream(start, checkpoint.size)]
        if len(found) != checkpoint.size - start:
            raise AnswerMalformed("The host ended the log's entries early. Try again.")
        known.tree.extend(map(leaf_hash, found))
        if known.tree.root() != checkpoint.root:
            raise _forked(checkpoint)
        for entry in found:
            try:
                known.state.apply(parse_object(entry, MAX_ENTRY_BYTES))
            except (KeyError, IndexError, TypeError):
                raise EntryInvalid(
                    "The log has an entry that this version does not know. Use a client of the authority's version.",
                    claim=f"entry {known.state.size}",
                ) from None
        return known.state

    async def entry(self, index: int, checkpoint: Checkpoint) -> bytes:
        """One entry with proof. Raises `ProofInvalidError` or `AnswerMalformed`."""
        entries = [entry async for entry in self._stream(index, index + 1)]
        if len(entries) != 1:
            raise AnswerMalformed(
                "The host did not give the one entry it was asked for. Try again."
            )
        request = log_pb2.InclusionProofRequest(index=index, size=checkpoint.size)
        proof = await self._session.ask(self._session.log.GetInclusionProof, request)
        leaf = leaf_hash(entries[0])
        verify_inclusion(leaf, index, checkpoint.size, tuple(proof.hashes), checkpoint.root)
        return entries[0]

    async def _recorded(
        self,
        committed: common_pb2.Committed,
        envelope: bytes,
        before: Checkpoint | None,
        index: int,
    ) -> Recorded:
        """Believe that a document was recorded only once the log shows it.

        1. the checkpoint is the log's and extends what was seen; 2. the entry at `index` is in it; 3. it names the document.
        """
        checkpoint = await self._session.accept(committed.checkpoint, before)
        entry = parse_object(await self.entry(index, checkpoint), MAX_ENTRY_BYTES)
        digest = parse_envelope(envelope).digest
        if digest not in entry.values():
            raise EntryInvalid(
                "The host says that the document was recorded, and the log has another entry there. Do not rely on it: "
                "send the document again, and report the host.",
                claim=f"entry {index}",
                expected=digest,
                actual=str(entry.get("kind")),
            )
        return Recorded(digest, index, checkpoint)

    async def _stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        request = log_pb2.GetEntriesRequest(start=start, end=end)
        left = end - start
        if not left:
            return
        with translated():
            call = self._session.log.GetEntries(request, timeout=_STREAM_TIMEOUT, metadata=METADATA)
            async for answer in call:
                for entry in answer.entries:
                    left -= 1
                    if left < 0 or len(entry) > MAX_ENTRY_BYTES:
                        call.cancel()
                        raise AnswerMalformed(
                            "The host gave more of the log than it was asked for."
                        )
                    yield entry


def _forked(checkpoint: Checkpoint) -> LogForkedError:
    return LogForkedError(
        "The entries that the host gives are not those of the checkpoint; keep both and report it to the organisations.",
        claim=f"{checkpoint.size} entries",
    )
