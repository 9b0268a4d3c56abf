# SPDX-License-Identifier: Apache-2.0
"""The worker as a process. The program runs in the main thread; the stream to the host lives in another.

Whatever hangs, the kernel's timer ends the process: at the lease's deadline unless it is renewed, and at the job's.
"""

import asyncio
import logging
import os
import threading
import time
from pathlib import Path

from google.protobuf.message import Message

from placet.attestation import Attester
from placet.enclave import _kernel
from placet.enclave.connection import Connection
from placet.enclave.errors import FrameUnexpected
from placet.enclave.worker.attempt import Attempt
from placet.enclave.worker.bundle import Bundle
from placet.enclave.worker.joining import Membership, join
from placet.proto.refusals import refusal_of
from placet.proto.v1 import enclaves_pb2

EXIT_RELEASED = 0
EXIT_ENDED = 70
EXIT_HOST_GONE = 75

_log = logging.getLogger("placet.worker")


class Worker:
    """One worker: one connection, one membership, one lease."""

    def __init__(self, attester: Attester, bundle: Bundle, scratch: Path) -> None:
        self.attester = attester
        self.bundle = bundle
        self.scratch = scratch
        self.loop = asyncio.new_event_loop()
        self.assigned: asyncio.Future[enclaves_pb2.LeasePackage] = self.loop.create_future()
        self.attempt: Attempt | None = None
        self.connection: Connection

    async def start(self, address: str, certificate: bytes, token: str) -> Membership:
        """Attach and join."""
        self.connection = Connection(address, certificate, self._handle)
        await self.connection.attach("worker", token)
        self._watch = asyncio.create_task(self._until_gone())
        return await join(self.connection, self.attester, self.bundle.digest, int(time.time()))

    async def _handle(self, frame: enclaves_pb2.Frame) -> Message | None:
        if frame.kind == enclaves_pb2.KIND_ASSIGN and not self.assigned.done():
            self.assigned.set_result(enclaves_pb2.LeasePackage.FromString(frame.payload))
        elif frame.kind == enclaves_pb2.KIND_STOPPED and self.attempt is not None:
            stopped = enclaves_pb2.Stopped.FromString(frame.payload)
            if frame.peer == "authority" and stopped.lease == self.attempt.lease:
                await self.attempt.end(stopped.refusal)
        else:
            raise FrameUnexpected("A worker gets one lease.", claim="kind")
        return None

    async def _until_gone(self) -> None:
        """Nothing is left to do without the host."""
        await self.connection.ended()
        if self.attempt is None or not self.attempt.over:
            os._exit(EXIT_HOST_GONE)


def run_worker(
    address: str, certificate: bytes, token: str, attester: Attester, bundle: Path, scratch: Path
) -> int:
    """Join, wait for the lease, run the program, release; returns the exit code."""
    worker = Worker(attester, Bundle(bundle.read_bytes()), scratch)
    threading.Thread(target=worker.loop.run_forever, name="stream", daemon=True).start()

    member = asyncio.run_coroutine_threadsafe(
        worker.start(address, certificate, token), worker.loop
    ).result()
    _log.info("joined worker=%s bound_to=%s", member.keys.identity.digest, worker.bundle.digest)

    async def assigned() -> enclaves_pb2.LeasePackage:
        return await worker.assigned

    package = asyncio.run_coroutine_threadsafe(assigned(), worker.loop).result()
    attempt = Attempt(worker.connection, worker.loop, member, worker.bundle, scratch)
    worker.attempt = attempt
    try:
        attempt.run(package)
    except Exception as error:  # noqa: BLE001 - whatever it was leaves as a refusal
        attempt.call(attempt.end(refusal_of(error)))
        return EXIT_ENDED  # not reached: end leaves the process
    finally:
        _kernel.exit_cancel()
    attempt.call(attempt.close())
    return EXIT_RELEASED
