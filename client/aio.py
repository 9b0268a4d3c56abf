# SPDX-License-Identifier: Apache-2.0
"""The client for programs that run in an event loop. The one for all others (`blocking.py`) is made
from it by `make blocking`.

async with await AsyncClient.connect("127.0.0.1:7433", pin, memory=home.memory()) as client:
    run = await client.runs.start(await client.council.ticket(digest))
    async for status in client.runs.watch(run.id):
        ...
    async with await client.services.open(service, user=keys) as model:
        answers = await model.predict(rows)
"""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc.aio

from placet.attestation.belief import NOT_BELIEVED
from placet.client.connection.access import NOT_SHOWN, Access, Kept, KeysLater
from placet.client.connection.channel import open_channel, open_channel_by_ca
from placet.client.connection.connection import Connection
from placet.client.connection.pins import Pins
from placet.client.council.authority import AsyncAuthority
from placet.client.council.council import AsyncCouncil
from placet.client.council.founding import AsyncFounding
from placet.client.data.blobs import AsyncBlobs
from placet.client.data.grants import AsyncGrants
from placet.client.errors import SettingMissing
from placet.client.federations.federations import AsyncFederations
from placet.client.home import Home
from placet.client.jobs.jobs import AsyncJobs
from placet.client.keys import Keys
from placet.client.log.log import AsyncLog
from placet.client.log.memory import CouncilMemory
from placet.client.log.reader import LogReader
from placet.client.runs.runs import AsyncRuns
from placet.client.runs.status import RunStatus
from placet.client.services.services import AsyncServices
from placet.proto.v1 import access_pb2_grpc
from placet.refusals import NotFounded, Refused


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What `status` found out: the log (empty before it is founded), and whether its authority is
    simulated."""

    address: str
    log: str
    size: int
    constitution: str
    evidence: str  # the kind of the authority's evidence, verified; why not, where it could not be
    marks: tuple[str, ...]
    runs: tuple[RunStatus, ...] | None  # None: without a login, or under a pass
    well: bool = True  # False where the authority is away, or is not to be believed


class AsyncClient:
    """A host and a council, over one channel. Made by `connect` or `at_home`; close it, or use it
    as a context."""

    address: str
    log: AsyncLog
    council: AsyncCouncil
    authority: AsyncAuthority
    founding: AsyncFounding
    blobs: AsyncBlobs
    grants: AsyncGrants
    runs: AsyncRuns
    jobs: AsyncJobs
    federations: AsyncFederations
    services: AsyncServices

    def __init__(
        self,
        channel: grpc.aio.Channel,
        memory: CouncilMemory,
        address: str = "",
        *,
        outbox: Path | None = None,
        simulated: bool = False,
        keys: Keys | KeysLater | None = None,
        pin: str = "",
        kept: Kept | None = None,
        pass_: bytes = b"",
    ) -> None:
        stub = access_pb2_grpc.AccessStub(channel)
        access = Access(stub, keys, lambda: memory.charter, pin, kept, pass_)
        connection = Connection(channel, simulated=simulated, access=access)
        log = LogReader(connection, memory)
        self._channel = channel
        self._reader = log
        self.address = address
        self.log = AsyncLog(connection, log)
        self.council = AsyncCouncil(connection, log)
        self.authority = AsyncAuthority(connection, log, self.council)
        self.founding = AsyncFounding(connection, log, self.authority)
        self.blobs = AsyncBlobs(connection, log)
        self.grants = AsyncGrants(connection, log, self.council, self.authority)
        self.runs = runs = AsyncRuns(connection, log, self.council)
        self.jobs = AsyncJobs(connection, log, self.council, runs, self.blobs)
        self.federations = AsyncFederations(
            connection, log, self.council, self.authority, runs, self.blobs, outbox
        )
        self.services = AsyncServices(connection, log, self.council)

    @classmethod
    async def connect(
        cls,
        address: str,
        pin: str | Pins = "",
        *,
        ca: bytes = b"",
        charter: str = "",
        memory: CouncilMemory | None = None,
        outbox: Path | None = None,
        simulated: bool = False,
        keys: Keys | KeysLater | None = None,
        kept: Kept | None = None,
        pass_: bytes = b"",
        certificate: bytes = b"",
    ) -> Self:
        """Connect to the host at "address:port" whose certificate has this pin ("sha256:<hex>"), or
        follows the one that has it.

        keys: of a seat or party, by which the client logs in where a call takes a login; without
        them by the first keys that a method is given. Without any the client is a stranger: it
        reads the log and sends signed stops. kept: where the login is kept for later clients.
        pass_: what a principal signed (`sign_pass`) for these keys, which then log in in its name.
        certificate: the client's and its key (PEM), for a host that asks for one. ca: certificates
        of CAs (PEM), to be trusted instead of a pin. charter: the digest of the council's charter,
        from another member; needed unless the memory knows it, or a council is founded. memory:
        where the log is kept; without it nothing is remembered after this client. outbox: the
        folder for sealed updates that have no receipt yet. simulated: accept SIMULATED evidence of
        whom a secret is given to. Raises `HostUnreachable`, `HostPinMismatch`,
        `HostCertificateRefused`, `FileRefused` or `OtherLog`.
        """
        remembered = memory or CouncilMemory()
        if charter:
            remembered.pin(charter)
        if ca:
            channel, shown = await open_channel_by_ca(address, ca, certificate)
        else:
            pins = Pins(pin) if isinstance(pin, str) else pin
            # A login is for the certificate that is shown, which may be an earlier one of a host.
            channel, shown = await open_channel(address, pins, certificate)
        return cls(
            channel,
            remembered,
            address,
            outbox=outbox,
            simulated=simulated,
            keys=keys,
            pin=shown,
            kept=kept,
            pass_=pass_,
        )

    @classmethod
    async def at_home(
        cls,
        home: Home,
        *,
        simulated: bool = False,
        keys: Keys | KeysLater | None = None,
        pass_: bytes = b"",
    ) -> Self:
        """Connect to the host of a home folder, with its memory, its outbox, its login and its
        certificate, if the host asks for one."""
        address, _ = home.host()
        memory, ca = home.memory(), home.ca()
        return await cls.connect(
            address,
            "" if ca else home.pins(),
            ca=ca,
            memory=memory,
            outbox=home.outbox,
            simulated=simulated,
            keys=keys,
            kept=home.login(),
            pass_=pass_,
            certificate=home.certificate(),
        )

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
        """Host, log, evidence and the newest runs in one view.

        A fault of the evidence is told in the view and not raised; a log that shrank or forked is
        raised.
        """
        size, constitution, evidence, well = 0, "", "", True
        marks = ["UNWITNESSED"]
        try:
            council = await self.council.verify()
            constitution, size = council.newest.digest, self._reader.replica.size
            authority = await self.authority.verify(council.policy("authority"))
            evidence = authority.attested.claims.kind
            if authority.attested.simulated:
                marks.insert(0, "SIMULATED")
        except NotFounded:
            evidence = "not judged before the log is founded"
        except SettingMissing as missing:
            evidence = f"not judged: {missing}"
        except NOT_BELIEVED as error:
            evidence, well = f"REFUSED: {error}", False
        except Refused as refused:
            if refused.reason not in ("NOT_FOUNDED", "AUTHORITY_UNAVAILABLE"):
                raise
            evidence, well = str(refused), refused.reason == "NOT_FOUNDED"
        try:
            runs = await self.runs.list(limit)
        except Refused as refused:
            if refused.reason not in NOT_SHOWN:  # a stranger, or a pass
                raise
            runs = None
        return HostStatus(
            self.address, self.log.key, size, constitution, evidence, tuple(marks), runs, well
        )
