# SPDX-License-Identifier: Apache-2.0
"""The workers of a service, each verified down from the log's key before it is told anything."""

import asyncio

from placet.client.connection.connection import Connection
from placet.client.council.council import AsyncCouncil
from placet.client.errors import AnswerMalformed, HostUnreachable
from placet.client.log.reader import LogReader
from placet.client.services.chain import ServedWorker, verify_renewed, verify_worker
from placet.governance.judgements.leasing import check_running
from placet.proto.v1 import inference_pb2
from placet.refusals import (
    JoinLapsed,
    JoinUnknown,
    LaunchedForMismatch,
    LeaseClosed,
    LeaseExpired,
    LeasePresentedTwice,
    LeaseUnknown,
    Refused,
)

# By the log a worker is not to be asked any more.
GONE = (
    LaunchedForMismatch,
    JoinLapsed,
    JoinUnknown,
    LeaseClosed,
    LeaseExpired,
    LeasePresentedTwice,
    LeaseUnknown,
)
_NOT_YET = ("WORKER_UNAVAILABLE", "AUTHORITY_UNAVAILABLE", "CLOCK_JUMPED")
_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class Workers:
    """Finds workers, and verifies them."""

    def __init__(self, connection: Connection, log: LogReader, council: AsyncCouncil) -> None:
        self._connection = connection
        self._log = log
        self._council = council

    async def verify(self, id: str, lease: str = "") -> ServedWorker:
        self._log.charter()  # nothing is asked of a host before it is known whose it should be
        given = await self._describe(id, lease)
        council = await self._council.verify()
        found = verify_worker(given, council, id, now=self._connection.now())
        if lease and found.lease.digest != lease:
            raise AnswerMalformed("The host told of a worker with another lease.", claim="lease")
        for note in found.notes:
            await self._log.accept(note)
        await self._check_running(found)
        return found

    async def find(self, service: str, patience: float) -> ServedWorker:
        """A worker of a service that something secret is told, verified; waits up to `patience`
        seconds while there is none, or no host.

        Raises `EvidenceSimulated`, `OfferInvalid`, or what a call raises.
        """
        loop = asyncio.get_running_loop()
        pause, until = _PAUSE, loop.time() + patience
        while True:
            try:
                found = await self.verify(service)
                self._connection.check_simulated(found.simulated)
                return found
            except HostUnreachable:
                if loop.time() + pause > until:
                    raise
            except GONE:  # the host will have another
                if loop.time() + pause > until:
                    raise
            except Refused as refused:
                if refused.reason not in _NOT_YET or loop.time() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def renewed(self, known: ServedWorker) -> ServedWorker:
        """The same worker with its newest offer, if nothing has stopped it since. Raises as
        `verify`."""
        given = await self._describe(known.service, known.lease.digest)
        await self._log.read()
        await self._check_running(known)
        return verify_renewed(given, known)

    async def _check_running(self, known: ServedWorker) -> None:
        """A stop, a revocation or a closed lease that the log has ends what is asked of a worker.
        The time is the log's."""
        digest = known.lease.digest
        await self._log.judged(lambda log: check_running(log, digest, log.state.times))

    async def _describe(self, id: str, lease: str) -> inference_pb2.Description:
        request = inference_pb2.DescribeRequest(service=id, lease=lease)
        return await self._connection.ask(self._connection.inference.Describe, request)
