# SPDX-License-Identifier: Apache-2.0
"""One attempt: verify the lease, open the keys, bring the inputs, run the program, seal and release the outputs."""

import asyncio
import io
import logging
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from placet.enclave import _kernel
from placet.enclave.connection import Connection
from placet.enclave.worker import blobs
from placet.enclave.worker.bundle import Bundle
from placet.enclave.worker.job import Input, Job
from placet.enclave.worker.joining import Membership
from placet.enclave.worker.lease import OpenedLease, open_lease
from placet.enclave.worker.program import RisingProgress, progress_clock, run_program
from placet.governance.contexts import release_info
from placet.governance.documents import Release, new_header
from placet.governance.envelope import parse_envelope, sign
from placet.proto.refusals import PeerRefused, refusal_of
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.sealing import (
    ObjectDescriptor,
    StreamKey,
    open_stream,
    pad,
    seal_envelope,
    seal_stream,
    verify_root,
)

T = TypeVar("T")

EXIT_ENDED = 70
EXIT_DEADLINE = 86
_RENEWALS_A_LEASE = 3

_log = logging.getLogger("placet.worker")


class Attempt:
    """Runs in the main thread; `call` does what has to happen on the stream's loop."""

    def __init__(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        member: Membership,
        bundle: Bundle,
        scratch: Path,
    ) -> None:
        self.lease = ""
        self.over = False
        self._connection = connection
        self._loop = loop
        self._member = member
        self._bundle = bundle
        self._scratch = scratch
        self._job_ends = 0.0

    def run(self, package: enclaves_pb2.LeasePackage) -> None:
        """From the lease to the release; raises what ended it before."""
        # Named before it is believed, so that a refusal says which lease it refuses.
        self.lease = parse_envelope(package.lease).digest
        opened = open_lease(package, self._member, self._bundle.digest, int(time.time()))
        self._job_ends = progress_clock() + opened.proposal.document.job.deadline_seconds
        remaining = opened.lease.document.deadline - time.time()
        self._arm(remaining)
        self._progress(0)
        self._loop.call_soon_threadsafe(self._keep_renewing, max(remaining, 1.0))
        job = self._job(opened)
        outputs = run_program(self._bundle, job, self._scratch / "program")
        self._release(opened, outputs)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the stream's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def end(self, refusal: common_pb2.Refusal) -> None:
        """Say how the attempt ended, and leave the process, whatever the program is doing."""
        self.over = True
        message = enclaves_pb2.Ended(lease=self.lease, refusal=refusal)
        self._connection.link.send(enclaves_pb2.KIND_ENDED, message)
        await self._connection.close()
        os._exit(EXIT_ENDED)

    async def close(self) -> None:
        """Leave in good order."""
        self.over = True
        await self._connection.close()

    def _job(self, opened: OpenedLease) -> Job:
        proposal = opened.proposal.document.job
        inputs = {
            name: self._input(name, value.object, opened.keys[name])
            for name, value in proposal.inputs.items()
        }
        outputs = {name: output.max_bytes for name, output in proposal.outputs.items()}
        report = RisingProgress(self._progress, progress_clock)
        return Job(inputs, proposal.parameters, outputs, report, self._scratch)

    def _input(self, name: str, descriptor: ObjectDescriptor, key: StreamKey) -> Input:
        """Fetch the sealed bytes and check them against the descriptor's root, segment by segment."""
        path = self._scratch / f"input-{name}"
        self.call(blobs.fetch(self._connection.channel, descriptor, path))
        with path.open("rb", buffering=0) as source:
            leaves = verify_root(source, descriptor)

        def opener() -> io.RawIOBase:
            source = path.open("rb", buffering=0)
            return open_stream(source, key, descriptor, leaf_hashes=leaves)

        return Input(opener, descriptor.length, descriptor.labels)

    def _release(self, opened: OpenedLease, outputs: dict[str, bytearray]) -> None:
        """Seal every output at its declared size, store it, and ask for the release."""
        key, descriptors = StreamKey.generate(), dict[str, ObjectDescriptor]()
        declared = opened.proposal.document.job.outputs
        owner = next(iter(opened.proposal.signers)).text
        for name, content in outputs.items():
            sealed = io.BytesIO()
            padded = pad(io.BytesIO(content), len(content), declared[name].max_bytes)
            descriptors[name] = seal_stream(padded, sealed, key, kind="result", labels=())
            if content:
                _kernel.wipe(content)
            work = blobs.store(
                self._connection.channel, descriptors[name].id, owner, sealed.getvalue()
            )
            self.call(work)
        header = opened.lease.document.header
        release = Release(
            header=new_header(header.log, header.seen),
            lease=opened.lease.digest,
            worker=self._member.keys.identity.digest,
            outputs=descriptors,
        )
        envelope = sign(release, self._member.keys.signing)
        info = release_info(parse_envelope(envelope).digest)
        message = enclaves_pb2.ReleaseRequest(
            release=envelope,
            key_envelope=seal_envelope(key.to_bytes(), self._member.authority.hpke, info),
        )
        self.call(self._request(enclaves_pb2.KIND_RELEASE, message))
        _log.info("released lease=%s outputs=%d", opened.lease.digest, len(descriptors))

    async def _request(
        self, kind: enclaves_pb2.Kind.ValueType, message: enclaves_pb2.ReleaseRequest
    ) -> bytes:
        return await self._connection.link.request(kind, message, peer="authority")

    def _progress(self, percent: int) -> None:
        message = enclaves_pb2.Progress(lease=self.lease, percent=percent)
        self._loop.call_soon_threadsafe(
            self._connection.link.send, enclaves_pb2.KIND_PROGRESS, message
        )

    def _arm(self, lease_seconds: float) -> None:
        """The process ends when the lease does, and when the job's time is over, whoever holds the interpreter."""
        left = min(lease_seconds, self._job_ends - progress_clock())
        _kernel.exit_at(max(left, 0.0), EXIT_DEADLINE)

    def _keep_renewing(self, lease_seconds: float) -> None:
        self._renewing = self._loop.create_task(self._renew(lease_seconds))

    async def _renew(self, lease_seconds: float) -> None:
        """Renew well before the deadline; a refusal ends the attempt at once."""
        while not self.over:
            await asyncio.sleep(lease_seconds / _RENEWALS_A_LEASE)
            message = enclaves_pb2.RenewRequest(lease=self.lease)
            try:
                reply = await self._connection.link.request(
                    enclaves_pb2.KIND_RENEW, message, peer="authority"
                )
            except PeerRefused as refusal:
                await self.end(refusal_of(refusal))
                return
            lease_seconds = enclaves_pb2.Renewed.FromString(reply).remaining_ms / 1000
            self._arm(lease_seconds)
