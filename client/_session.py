# SPDX-License-Identifier: Apache-2.0
"""One connection to one log: calls, and checkpoints that may only grow.

A checkpoint is accepted in these steps (`accept`):

1. it is signed by the key of the pinned log;
2. it is not smaller than what was known when the request was sent;
3. a consistency proof shows that the larger of it and the newest one known extends the smaller;
4. if it is the larger, it is kept.
Answers may overtake each other, so step 3 goes both ways.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import grpc.aio

from placet.client._calls import translated
from placet.client._channel import METADATA
from placet.client.errors import Refused
from placet.client.memory import CheckpointMemory
from placet.governance.documents import Header, Seen, new_header
from placet.governance.errors import NotFounded
from placet.governance.log import (
    Checkpoint,
    VerifierKey,
    verify_checkpoint,
    verify_extends,
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

CALL_TIMEOUT = 60.0


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
    """The stubs of a channel and the memory of a log. `now` gives Unix seconds."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        memory: CheckpointMemory,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.channel = channel
        self.memory = memory
        self.blobs = blobs_pb2_grpc.BlobsStub(channel)
        self.federations = federations_pb2_grpc.FederationsStub(channel)
        self.governance = governance_pb2_grpc.GovernanceStub(channel)
        self.inference = inference_pb2_grpc.InferenceStub(channel)
        self.jobs = jobs_pb2_grpc.JobsStub(channel)
        self.keys = keys_pb2_grpc.KeysStub(channel)
        self.log = log_pb2_grpc.LogStub(channel)
        self._now = now

    def now(self) -> int:
        """The present time in whole Unix seconds."""
        return int(self._now())

    async def ask(self, method: Method[Q, R], request: Q, *, timeout: float = CALL_TIMEOUT) -> R:
        """One unary call. Raises `Refused`, `Unreachable` or `AnswerMalformed`."""
        with translated():
            return await method(request, timeout=timeout, metadata=METADATA)

    def log_key(self) -> VerifierKey:
        """The key of the pinned log. Raises `NotFounded` before one is known."""
        if not self.memory.log:
            raise NotFounded(
                "This home folder knows no log yet. Sign a charter, or read the constitution of a council that is founded.",
                claim="log",
            )
        return VerifierKey.from_text(self.memory.log)

    def charter(self) -> str:
        """The digest that names the pinned council. Raises `NotFounded` before one is known."""
        self.log_key()
        return self.memory.charter

    async def accept(self, note: bytes, before: Checkpoint | None) -> Checkpoint:
        """Verify a checkpoint that answers a request sent when `before` was the newest known.

        Raises `CheckpointInvalidError`, `LogTruncatedError`, `LogForkedError`, or what a call raises.
        """
        found = verify_checkpoint(note, self.log_key())
        if before is not None and found.size < before.size:
            return verify_extends(before, found, ())  # always raises
        while True:
            newest = self.memory.newest()
            if newest is not None and found.size < newest.size:
                await self._extends(found, newest)
                return found
            if newest is not None:
                await self._extends(newest, found)
            if found == newest or self.memory.advance(note):
                return found

    async def checkpoint(self) -> Checkpoint:
        """The newest checkpoint, verified and remembered. Raises `NotFounded` before there is one."""
        return (await self.newest_note())[1]

    async def newest_note(self) -> tuple[bytes, Checkpoint]:
        """The newest checkpoint with the note that it came in."""
        before = self.memory.newest()
        answer = await self.ask(self.log.GetCheckpoint, log_pb2.GetCheckpointRequest())
        if not answer.note and before is None:
            raise NotFounded("The log has no charter yet. Found it first: placet charter.")
        return answer.note, await self.accept(answer.note, before)

    async def header(self) -> Header:
        """A header for a new document: the council, and the newest checkpoint."""
        newest = await self.checkpoint()
        return new_header(self.charter(), Seen(newest.size, root_text(newest.root)))

    async def known_header(self) -> Header:
        """The same from what is known already, where anything is: for who has just read the log."""
        newest = self.memory.newest()
        if newest is None:
            return await self.header()
        return new_header(self.charter(), Seen(newest.size, root_text(newest.root)))

    async def _extends(self, old: Checkpoint, new: Checkpoint) -> None:
        proof: tuple[bytes, ...] = ()
        if 0 < old.size < new.size:
            request = log_pb2.ConsistencyProofRequest(old_size=old.size, new_size=new.size)
            try:
                proof = tuple((await self.ask(self.log.GetConsistencyProof, request)).hashes)
            except Refused as refused:
                # A host that shows no proof shows no extension.
                if refused.reason != "LOG_RANGE":
                    raise
        verify_extends(old, new, proof)


def root_text(root: bytes) -> str:
    """A root hash as documents name it."""
    return "sha256:" + root.hex()
