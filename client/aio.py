# SPDX-License-Identifier: Apache-2.0
"""The client for programs that run in an event loop.

async with await AsyncClient.connect("127.0.0.1:7433", pin, memory=home.memory()) as client:
    job = await client.submit(ticket)
    async for state in client.watch(job.id):
        ...
"""

from types import TracebackType
from typing import Self

import grpc.aio

from placet.attestation import AttestationError
from placet.client._channel import open_channel
from placet.client._session import Session
from placet.client.auditing import AuditOperations
from placet.client.errors import Refused
from placet.client.home import Home
from placet.client.memory import CheckpointMemory
from placet.client.records import HostStatus
from placet.governance.errors import NotFounded


class AsyncClient(AuditOperations):
    """All operations over one channel. Made by `connect` or `at_home`."""

    def __init__(
        self, channel: grpc.aio.Channel, memory: CheckpointMemory, address: str = ""
    ) -> None:
        super().__init__(Session(channel, memory))
        self._channel = channel
        self.address = address

    @classmethod
    async def connect(
        cls, address: str, pin: str, *, memory: CheckpointMemory | None = None
    ) -> Self:
        """Connect to the host at "address:port" whose certificate has this pin ("sha256:<hex>").

        `memory` is where the newest checkpoint is kept; without it nothing is remembered after this client.
        Raises `HostUnreachable` or `PinMismatch`.
        """
        channel = await open_channel(address, pin)
        return cls(channel, memory or CheckpointMemory(), address)

    @classmethod
    async def at_home(cls, home: Home) -> Self:
        """Connect to the host of a home folder, with its memory."""
        address, pin = home.host()
        made = await cls.connect(address, pin, memory=home.memory())
        made.outbox = home.outbox
        return made

    async def close(self) -> None:
        """End the connection; calls that run are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def status(self, limit: int = 10) -> HostStatus:
        """Host, log, evidence and the newest jobs in one view.

        What could not be verified about the evidence is told in it and not raised; a log that shrank or forked is raised.
        """
        size, constitution, evidence = 0, "", ""
        marks = ["UNWITNESSED"]
        try:
            council = await self.council()
            constitution = council.newest.digest
            size = (await self.checkpoint()).size
            authority = await self.verify_authority(council.policy("authority"))
            evidence = authority.claims.kind
            if authority.simulated:
                marks.insert(0, "SIMULATED")
        except NotFounded:
            evidence = "not judged before the log is founded"
        except AttestationError as error:
            evidence = f"REFUSED: {error}"
        except Refused as refused:
            if refused.reason not in ("NOT_FOUNDED", "AUTHORITY_UNAVAILABLE"):
                raise
            evidence = refused.message
        jobs = await self.jobs(limit)
        return HostStatus(self.address, self.log, size, constitution, evidence, tuple(marks), jobs)
