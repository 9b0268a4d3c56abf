# SPDX-License-Identifier: Apache-2.0
"""One attempt: open the lease, carry out the task, seal and release its outputs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from placet.enclave.connection import Connection
from placet.enclave.worker.joining import Membership
from placet.enclave.worker.lease import ReadTicket
from placet.enclave.worker.objects import Objects
from placet.enclave.worker.patience import patiently, unanswered
from placet.enclave.worker.program import RisingProgress, progress_clock
from placet.enclave.worker.renewing import Renewing
from placet.enclave.worker.task import Means, Outcome, Task, Work
from placet.governance.contexts import release_info
from placet.governance.documents import Release
from placet.governance.documents.lease import answer_header
from placet.governance.envelope import parse_envelope, sign
from placet.proto.frames import DEFAULT_TIMEOUT
from placet.proto.v1 import enclaves_pb2
from placet.refusals import FrameUnexpected
from placet.sealing import seal_envelope

T = TypeVar("T")


class Attempt:
    """Runs in the main thread; `call` does what has to happen on the stream's loop."""

    def __init__(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        member: Membership,
        task: Task,
        scratch: Path,
    ) -> None:
        self.lease = ""
        self._connection = connection
        self._loop = loop
        self._member = member
        self._task = task
        self._scratch = scratch
        self._listener: Callable[[bytes], None] | None = None

    def run(self, package: enclaves_pb2.LeasePackage, expected: ReadTicket | None) -> None:
        """From the lease to the release; raises what ended it before. Keys and outputs are wiped
        either way."""
        # Named before it is believed, so that a refusal says which lease it refuses.
        self.lease = parse_envelope(package.lease).digest
        with self._task.open(package, self._member, int(time.time()), expected) as work:
            ends = progress_clock() + work.proposal.document.work.deadline_seconds
            # Times are whole seconds: a lease holds through the last of its seconds.
            remaining = work.lease.document.deadline + 1 - time.time()
            renewing = Renewing(self._connection, self.lease, ends)
            renewing.arm(remaining)
            self._progress(0)
            self._loop.call_soon_threadsafe(renewing.start, remaining)
            objects = Objects(
                self._connection,
                self.call,
                self._scratch,
                lambda: renewing.work_seconds_left,
            )
            outcome = work.carry_out(self._means(objects, renewing))
            message = self._release(work, objects, outcome)
        # A renewal that came after the release would be refused.
        self.call(renewing.stop())
        self.call(self._ask_release(message, renewing))

    def hear(self, payload: bytes) -> None:
        """Hand the payload of a `KIND_ASKS` to the work. Called on the stream's loop. Raises
        `FrameUnexpected`."""
        if self._listener is None:
            raise FrameUnexpected("Nothing is asked of this worker.", claim="kind")
        self._listener(payload)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the stream's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _means(self, objects: Objects, renewing: Renewing) -> Means:
        report = RisingProgress(self._progress, progress_clock)
        link = self._connection.link
        return Means(objects, report, link, renewing, self._listen, self._on_loop)

    def _listen(self, listener: Callable[[bytes], None]) -> None:
        self._listener = listener

    def _on_loop(self, function: Callable[[], None]) -> None:
        async def run() -> None:
            function()

        self.call(run())

    def _release(
        self, work: Work, objects: Objects, outcome: Outcome
    ) -> enclaves_pb2.ReleaseRequest:
        """Seal and store the outputs; returns the signed request to release them."""
        declared = work.proposal.document.work.outputs
        owner = min(key.text for key in work.proposal.signers)
        lease = work.lease
        key, descriptors = objects.store(outcome.outputs, declared, owner, lease.digest)
        release = Release(
            header=answer_header(lease.document, lease.digest, Release.KIND),
            lease=lease.digest,
            worker=self._member.keys.identity.digest,
            outputs=descriptors,
            left=outcome.left,
        )
        envelope = sign(release, self._member.keys.signing)
        info = release_info(parse_envelope(envelope).digest)
        sealed = seal_envelope(key.to_bytes(), self._member.authority.hpke, info)
        key.wipe()
        return enclaves_pb2.ReleaseRequest(release=envelope, key_envelope=sealed)

    async def _ask_release(self, message: enclaves_pb2.ReleaseRequest, renewing: Renewing) -> None:
        """Ask until it is answered, or the lease is over, with which the kernel ends us."""

        def ask() -> Awaitable[bytes]:
            patience = max(renewing.seconds_left, DEFAULT_TIMEOUT)
            return self._connection.link.request(
                enclaves_pb2.KIND_RELEASE, message, peer="authority", timeout=patience
            )

        await patiently(ask, unanswered, lambda: renewing.seconds_left)

    def _progress(self, percent: int) -> None:
        message = enclaves_pb2.Progress(lease=self.lease, percent=percent)
        self._loop.call_soon_threadsafe(
            self._connection.link.send, enclaves_pb2.KIND_PROGRESS, message
        )
