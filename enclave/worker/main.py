# SPDX-License-Identifier: Apache-2.0
"""The worker as a process. Its work runs in the main thread; the stream to the host lives in
another.

Whatever hangs, the kernel's timer ends the process: at the lease's deadline unless it is renewed,
and at the job's.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from placet.attestation import Attester
from placet.enclave.connection import Connection
from placet.enclave.worker.attempt import Attempt
from placet.enclave.worker.joining import Membership, join
from placet.enclave.worker.lease import ReadTicket, read_ticket, rehearse
from placet.enclave.worker.leaving import EXIT_ENDED, EXIT_HOST_GONE, EXIT_RELEASED, end, leave
from placet.enclave.worker.running import ProgramTask
from placet.enclave.worker.task import Task
from placet.governance.documents import Serve
from placet.governance.terms import decode_terms
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import FrameUnexpected, RequestMalformed

T = TypeVar("T")

_log = logging.getLogger("placet.worker")


class Worker:
    """One worker: one connection, one membership, one lease."""

    def __init__(self, attester: Attester, task: Task, scratch: Path) -> None:
        self._attester = attester
        self._task = task
        self._scratch = scratch
        self._loop = asyncio.new_event_loop()
        self._assigned: asyncio.Future[enclaves_pb2.LeasePackage] = self._loop.create_future()
        self._joined: asyncio.Future[Membership] = self._loop.create_future()
        self._expected: ReadTicket | None = None
        self._attempt: Attempt | None = None
        self._connection: Connection
        threading.Thread(target=self._loop.run_forever, name="stream", daemon=True).start()

    def join(self, address: str, certificate: bytes, token: str) -> Membership:
        return self._call(self._join(address, certificate, token))

    def serve(self, member: Membership) -> int:
        """Wait for the lease, carry out the task, release; returns the exit code, or ends the
        process with it."""
        package = self._call(self._package())
        attempt = Attempt(self._connection, self._loop, member, self._task, self._scratch)
        self._attempt = attempt
        try:
            attempt.run(package, self._expected)
        # A program's threads can raise KeyboardInterrupt here.
        except BaseException as error:  # noqa: BLE001
            self._call(end(self._connection, attempt.lease, refusal_of(error)))
            return EXIT_ENDED
        self._call(leave(self._connection, EXIT_RELEASED))
        return EXIT_RELEASED

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _join(self, address: str, certificate: bytes, token: str) -> Membership:
        self._connection = Connection(address, certificate, token, self._handle)
        await self._connection.attach("worker")
        self._watch = asyncio.create_task(self._until_gone())
        now = int(time.time())
        try:
            member = await join(self._connection, self._attester, self._task.launched_for, now)
        except Exception as error:
            self._connection.leaving = True
            self._connection.say_why(error)
            await self._connection.close()
            raise
        self._joined.set_result(member)
        return member

    async def _package(self) -> enclaves_pb2.LeasePackage:
        return await self._assigned

    async def _handle(self, frame: enclaves_pb2.Frame) -> Message | None:
        try:
            if frame.kind == enclaves_pb2.KIND_ASSIGN and not self._assigned.done():
                self._assigned.set_result(enclaves_pb2.LeasePackage.FromString(frame.payload))
            elif frame.kind == enclaves_pb2.KIND_EXPECT:
                ticket = common_pb2.Ticket.FromString(frame.payload)
                self._expected = read_ticket(ticket, await self._joined)
            elif frame.kind == enclaves_pb2.KIND_ASKS and self._attempt is not None:
                self._attempt.hear(frame.payload)
            elif frame.kind == enclaves_pb2.KIND_STOPPED and self._attempt is not None:
                stopped = enclaves_pb2.Stopped.FromString(frame.payload)
                # Whoever sent it: the host can end a worker in other ways, and this one takes
                # nothing else.
                if stopped.lease == self._attempt.lease:
                    await end(self._connection, stopped.lease, stopped.refusal)
            else:
                raise FrameUnexpected("A worker gets one lease.", claim="kind")
        except DecodeError:
            raise RequestMalformed("The request is not of its kind.", claim="payload") from None
        return None

    async def _until_gone(self) -> None:
        """Nothing is left to do without the host."""
        await self._connection.ended()
        if not self._connection.leaving:
            os._exit(EXIT_HOST_GONE)


def run_worker(
    address: str, certificate: bytes, token: str, attester: Attester, bundle: Path, scratch: Path
) -> int:
    """Join, wait for the lease, carry out the task, release; returns the exit code."""
    task = _task(bundle.read_bytes(), scratch)
    worker = Worker(attester, task, scratch)
    member = worker.join(address, certificate, token)
    _log.info("joined worker=%s", member.keys.identity.digest)
    task.prepare()
    rehearse(member)
    return worker.serve(member)


def _task(data: bytes, scratch: Path) -> Task:
    """The task that we were launched for: by terms, which are JSON, or by the bundle of a program,
    which is not."""
    if not data.startswith(b"{"):
        return ProgramTask(data, scratch)
    terms = decode_terms(data)
    # A worker joins sooner without what the others need.
    if isinstance(terms, Serve):
        from placet.enclave.worker.inference.task import InferenceTask

        return InferenceTask(terms)
    from placet.enclave.worker.federation.round import RoundTask

    return RoundTask(terms)
