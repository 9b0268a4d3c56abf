# SPDX-License-Identifier: Apache-2.0
"""One connection to one council: calls, and the log as far as it was read, which may only grow.

The council is pinned by the digest of its charter before anything of a host's is believed. The
charter gives the log key, the key the checkpoints, a checkpoint the entries. Whatever else a host
says is held against these.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol, TypeVar

import grpc.aio

from placet.auditing.consistency import verify_extends
from placet.client.connection.calls import translated
from placet.client.connection.channel import METADATA
from placet.client.connection.memory import CouncilMemory
from placet.client.connection.replica import Replica
from placet.client.errors import AnswerMalformed, EvidenceSimulated, Refused, SettingMissing
from placet.governance.documents import Header, Seen, new_header
from placet.governance.envelope import parse_envelope
from placet.governance.errors import DocumentNotFound, NotFounded
from placet.governance.judgements.founding import verify_charter
from placet.governance.ledger import Ledger, missing_document
from placet.governance.log import (
    MAX_ENTRY_BYTES,
    Checkpoint,
    VerifierKey,
    verify_checkpoint,
)
from placet.proto.v1 import (
    blobs_pb2_grpc,
    federations_pb2_grpc,
    governance_pb2_grpc,
    inference_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
)

Q_contra = TypeVar("Q_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
Q = TypeVar("Q")
R = TypeVar("R")
T = TypeVar("T")

CALL_TIMEOUT = 60.0
_STREAM_TIMEOUT = 600.0


class Method(Protocol[Q_contra, R_co]):
    """A unary method of a stub."""

    def __call__(
        self,
        request: Q_contra,
        /,
        *,
        timeout: float | None = None,
        metadata: tuple[tuple[str, str], ...] | None = None,
    ) -> Awaitable[R_co]: ...


class Session:
    """The stubs of a channel, the memory of a council, and its log.

    simulated: whether its caller gives secrets to whom no hardware vouches for. now: gives Unix
    seconds.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        memory: CouncilMemory,
        *,
        simulated: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.channel = channel
        self.memory = memory
        self.replica = Replica(memory)
        self.blobs = blobs_pb2_grpc.BlobsStub(channel)
        self.federations = federations_pb2_grpc.FederationsStub(channel)
        self.governance = governance_pb2_grpc.GovernanceStub(channel)
        self.inference = inference_pb2_grpc.InferenceStub(channel)
        self.jobs = jobs_pb2_grpc.JobsStub(channel)
        self.keys = keys_pb2_grpc.KeysStub(channel)
        self.log = log_pb2_grpc.LogStub(channel)
        self._simulated = simulated
        self._now = now
        self._reading = asyncio.Lock()

    def now(self) -> int:
        """The present time in whole Unix seconds."""
        return int(self._now())

    async def ask(self, method: Method[Q, R], request: Q, *, timeout: float = CALL_TIMEOUT) -> R:
        """One unary call. Raises `Refused`, `Unreachable` or `AnswerMalformed`."""
        with translated():
            return await method(request, timeout=timeout, metadata=METADATA)

    def check_simulated(self, simulated: bool) -> None:
        """Refuse to give a secret to simulated evidence, unless the caller has said so.

        Raises `EvidenceSimulated`.
        """
        if simulated and not self._simulated:
            raise EvidenceSimulated(
                "The evidence is SIMULATED: no hardware vouches for it, and whoever runs the host "
                "can read what is given to it. Give it nothing that may not be public; for that, "
                "say --simulated (in Python: simulated=True).",
                claim="evidence",
                expected="evidence of hardware",
                actual="simulation",
            )

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

    async def log_key(self) -> VerifierKey:
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
           than
        what was seen; 3. its root is that of what was seen with the entries that are new. Raises
        `LogError`, `NotFounded`, or what a call raises.
        """
        async with self._reading:
            key = await self.log_key()
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
        `LogError`, or what a call raises.
        """
        found = verify_checkpoint(note, await self.log_key())
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
            found = (await self.ask(self.log.GetDocument, request)).document
        except Refused as refused:
            if refused.reason != "DOCUMENT_NOT_FOUND":
                raise
            raise missing_document(digest) from None
        if parse_envelope(found).digest != digest:
            raise missing_document(digest)
        self.memory.keep_document(digest, found)
        return found

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
            call = self.log.GetEntries(request, timeout=_STREAM_TIMEOUT, metadata=METADATA)
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
