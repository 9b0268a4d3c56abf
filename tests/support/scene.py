# SPDX-License-Identifier: Apache-2.0
"""A real authority on a host in memory, with its council."""

import asyncio
import os
from typing import Any

from placet.attestation import Identity
from placet.enclave.authority.main import run_authority
from placet.enclave.connection import Connection
from placet.governance.envelope import parse_envelope
from placet.proto.v1 import (
    enclaves_pb2,
    governance_pb2,
    keys_pb2,
)
from tests.support.council import ORIGIN, Council, Sealed
from tests.support.machines.machine import Machine
from tests.support.memory_host import MemoryHost


class Scene:
    """An authority in this process, on a host in memory, with its council."""

    def __init__(self, host: MemoryHost, machine: Machine, council: Council) -> None:
        self.host, self.machine, self.council = host, machine, council
        self.authority = ""
        self.connections: list[Connection] = []
        self._life: asyncio.Task[None] | None = None

    async def boot(self) -> None:
        """Start the authority, and wait until it answers."""
        self.host.links.pop("authority", None)
        attester = self.machine.attester("authority")
        self._life = asyncio.create_task(
            run_authority(self.host.address, self.host.certificate, "token", ORIGIN, attester)
        )
        while "authority" not in self.host.links:
            await asyncio.sleep(0.002)
        request = keys_pb2.EvidenceRequest(nonce=os.urandom(32), constitution=self.council.digest)
        asked = asyncio.ensure_future(self.host.ask(enclaves_pb2.KIND_EVIDENCE, request))
        await asyncio.wait([asked])
        if asked.exception() is not None:
            await self.ended()  # raises why
        evidence = keys_pb2.EvidenceResponse.FromString(asked.result())
        identity = Identity.from_bytes(evidence.identity)
        self.council.log, self.authority = identity.log, identity.hpke

    async def end(self) -> None:
        """End the authority as a host does, by closing its stream."""
        if self._life is not None:
            if "authority" in self.host.links:
                self.host.links["authority"].close()
            await asyncio.wait([self._life])

    async def ended(self) -> None:
        """Wait until the authority has ended by itself; raises what ended it."""
        assert self._life is not None
        async with asyncio.timeout(10):
            await self._life

    async def found(self) -> None:
        await self.boot()
        await self.host.ask(enclaves_pb2.KIND_FOUND, self.council.founding())

    async def provision(self, sealed: Sealed, **bounds: Any) -> str:
        request = self.council.provision(sealed, self.authority, **bounds)
        await self.host.ask(enclaves_pb2.KIND_PROVISION, request)
        return parse_envelope(request.grant).digest

    async def record(self, envelope: bytes) -> None:
        request = governance_pb2.DocumentRequest(envelope=envelope)
        await self.host.ask(enclaves_pb2.KIND_RECORD, request)

    async def connect(self, name: str, handle: Any = None) -> Connection:
        """A worker's stream."""

        async def ignore(frame: enclaves_pb2.Frame) -> None:
            return None

        connection = Connection(self.host.address, self.host.certificate, name, handle or ignore)
        await connection.attach("worker")
        self.connections.append(connection)
        return connection
