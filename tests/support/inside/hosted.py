# SPDX-License-Identifier: Apache-2.0
"""A host of this process as tests have it: its log and its enclaves, and the lies that it can
tell."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from placet.enclave.authority.clock import passed
from placet.governance.codec import encode
from placet.governance.entries.kind import Entry
from placet.governance.log import (
    Checkpoint,
    LogProof,
    NoteSigner,
    SignedNote,
    Tree,
    leaf_hash,
    sign_checkpoint,
)
from placet.host import Host, HostConfig
from placet.host.calls.tls import read_certificate
from placet.proto.v1 import enclaves_pb2, log_pb2, log_pb2_grpc
from placet.refusals import DocumentNotFound
from tests.support.council import ORIGIN
from tests.support.inside.enclaves import ThreadLauncher, WorkerThread
from tests.support.inside.relay import Call, Relay
from tests.support.live import Loop
from tests.support.machines.machine import Machine


class Hosted:
    """See the module. It runs in `loop`; the methods are called from other threads."""

    def __init__(self, loop: Loop, host: Host, launcher: ThreadLauncher, relay: Relay) -> None:
        self._loop, self._launcher, self.relay = loop, launcher, relay
        self.pin = host.pin
        self.told = host.told()  # whoever started it

    @property
    def address(self) -> str:
        """Where the relay listens."""
        return self.relay.address

    @property
    def called(self) -> list[str]:
        """Which methods were called, in their order."""
        return self.relay.called

    @property
    def workers(self) -> list[WorkerThread]:
        """All that were launched."""
        return self._launcher.workers

    # The log.

    @property
    def core(self) -> Any:
        """What the living authority stands on. Asked for its keys it is an authority that
        lies."""
        return self._launcher.authority.core

    @property
    def state(self) -> Any:
        """What the authority has folded its log to."""
        return self.core.ledger.state

    @property
    def entries(self) -> list[bytes]:
        """The log, as the authority would read it."""

        async def read() -> list[bytes]:
            batches = self._log.GetEntries(
                log_pb2.GetEntriesRequest(), metadata=self.core.life.connection.metadata
            )
            return [entry async for batch in batches for entry in batch.entries]

        return self._loop.run(read())

    def document(self, digest: str) -> bytes:
        """A document of the log."""

        async def read() -> bytes:
            request = log_pb2.GetDocumentRequest(digest=digest)
            return bytes(
                (
                    await self._log.GetDocument(
                        request, metadata=self.core.life.connection.metadata
                    )
                ).document
            )

        return self._loop.run(read())

    @property
    def _log(self) -> Any:
        return log_pb2_grpc.LogStub(self.core.life.connection.channel)

    @property
    def signer(self) -> NoteSigner:
        """The log's key."""
        found: NoteSigner = self.core.life.log_keys.checkpoints
        return found

    def note(self, size: int | None = None) -> bytes:
        """The checkpoint of a size, by default the newest, as a host may have kept it."""
        return OwnLog(self.entries[:size]).note(self.signer)

    def do(self, function: Callable[[], Any]) -> Any:
        """Do something where the authority lives."""

        async def run() -> Any:
            return function()

        return self._loop.run(run())

    def ask(self, kind: Any, message: Any) -> bytes:
        """What the authority answers to a frame of the host's."""

        async def run() -> bytes:
            frame = enclaves_pb2.Frame(kind=kind, payload=message.SerializeToString())
            answer = await self._launcher.authority.handle(frame)
            return answer.SerializeToString()

        return self._loop.run(run())

    # What a host does.

    def restart_authority(self) -> None:
        """End the authority; another one is on its way."""
        self.do(self._launcher.end_authority)

    def hold_workers(self) -> None:
        """Start no workers until `free_workers`."""
        self.do(self._launcher.free.clear)

    def free_workers(self) -> None:
        self.do(self._launcher.free.set)

    def close_round(self, federation: str) -> None:
        """Let the time of a round be over by the authority's clock, which is the host's; the round
        closes."""
        current = self.state.federation(federation).current
        clock, later = self.core._clock, max(current.closes + 1 - time.time(), 0)
        clock._now, clock._elapsed = lambda: time.time() + later, lambda: passed() + later
        request = enclaves_pb2.CloseRound(federation=federation, round=current.number)
        self.ask(enclaves_pb2.KIND_CLOSE_ROUND, request)

    # Lies.

    def show(self, size: int) -> None:
        """Show the log as it was at this size, as a host does that was rolled back with its
        authority."""
        note = self.note(size)
        self.show_log(self.entries[:size], note)
        journal = self.core.life.journal
        journal.covering = type(journal.covering)(size, note)

    def show_log(self, entries: Sequence[bytes], note: bytes) -> None:
        """Show these entries under this checkpoint."""
        size = Checkpoint.from_text(SignedNote.from_bytes(note).text).size

        async def lie(call: Call) -> Any:
            request = call.request
            if not request.end:
                yield log_pb2.EntriesResponse(checkpoint=note)
            for entry in entries[request.start : request.end or size]:
                yield log_pb2.EntriesResponse(entries=[entry])

        self.relay.lie("Log.GetEntries", lie)

    def honest(self, *methods: str) -> None:
        """Lie no more, about these or about anything."""
        self.relay.honest(*methods)

    def withhold(self, digest: str) -> None:
        """Give a document to nobody."""

        async def lie(call: Call) -> Any:
            if call.request.digest == digest:
                raise DocumentNotFound("There is none.")
            return await call.answer()

        self.relay.lie("Log.GetDocument", lie)


class OwnLog:
    """Entries that no authority has judged, signed with a log's key all the same."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = list(entries)

    def append(self, entry: Entry) -> int:
        self.entries.append(encode(entry))
        return len(self.entries) - 1

    def note(self, signer: NoteSigner) -> bytes:
        tree = Tree(map(leaf_hash, self.entries))
        checkpoint = Checkpoint(signer.verifier_key.name, tree.size, tree.root())
        return sign_checkpoint(checkpoint, signer)

    def proof(self, index: int, signer: NoteSigner) -> bytes:
        tree = Tree(map(leaf_hash, self.entries))
        return LogProof(index, tree.inclusion_proof(index, tree.size), self.note(signer)).to_bytes()


@asynccontextmanager
async def hosted(
    folder: Path, loop: Loop, machine: Machine, **settings: Any
) -> AsyncGenerator[Hosted, None]:
    """A host on a folder, in the loop that this runs in, with an authority that answers."""
    relay, launcher = Relay(), ThreadLauncher(machine)
    settings = {"spares": 0, "drain_seconds": 0.1, **settings}
    config = HostConfig(state=folder / "host", cpu=folder / "cpu", origin=ORIGIN, **settings)
    async with Host(config, launcher) as host:
        tls = config.state / "tls"
        certificate = read_certificate(tls / "cert.pem", tls / "key.pem")
        await relay.start(host.address, certificate.certificate_pem, certificate.key_pem)
        async with asyncio.timeout(20):
            await launcher.lives.wait()
        try:
            yield Hosted(loop, host, launcher, relay)
        finally:
            launcher.free.set()
            await relay.stop()
