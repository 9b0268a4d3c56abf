# SPDX-License-Identifier: Apache-2.0
"""A founded council on a host of its own, and an approved proposal of a program that does nothing:
what benchmarks of the host begin with."""

import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

from _login import login
from hospitals import Council, running_host
from shares import HOSPITALS, load_shares

from placet.client import Client
from placet.client.connection.access import Metadata
from placet.client.connection.channel import pin_of
from placet.proto.limits import GRPC_OPTIONS
from placet.proto.v1 import common_pb2

BALLOTS = 5


@dataclass(frozen=True, slots=True)
class Scene:
    """The host, by folder, address and certificate; its council, with the analyst's client; the
    proposal."""

    folder: Path
    address: str
    certificate: bytes
    council: Council
    client: Client
    proposal: str
    ticket: common_pb2.Ticket

    async def login(self, channel: grpc.aio.Channel) -> Metadata:
        """What the analyst's calls over a channel bring along."""
        pin = pin_of(self.certificate.decode())
        return await login(channel, self.council.memory.charter, pin, self.council.analyst)

    @property
    def log(self) -> str:
        """The operator's log so far."""
        return (self.folder / "host" / "logs" / "host.log").read_text()


@contextmanager
def scene(uses: int, options: Sequence[str] = ()) -> Generator[Scene]:
    """The host runs in the block, on the disk of the working folder."""
    with tempfile.TemporaryDirectory(prefix="placet-bench-", dir=".") as temporary:
        folder = Path(temporary).resolve()
        with running_host(folder, options=options) as (address, pin):
            council = Council(folder, uses=uses)
            with council.connect(address, pin) as client:
                council.found(client)
                for hospital in HOSPITALS:
                    council.seal_and_grant(client, hospital, load_shares().training[hospital])
                proposal = council.propose(
                    client, "../bench/nothing", {}, "report", uses=uses, reason="To be timed."
                )
                council.vote(client, proposal, *council.seats)
                ticket = client.council.ticket(proposal)
                assert len(ticket.ballots) == BALLOTS
                wire = common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots)
                certificate = (folder / "host" / "tls" / "cert.pem").read_bytes()
                yield Scene(folder, address, certificate, council, client, proposal, wire)


@asynccontextmanager
async def connected(
    address: str, certificate: bytes, *, own: bool = False
) -> AsyncGenerator[grpc.aio.Channel]:
    """A channel; `own`: over a connection that no other channel shares."""
    credentials = grpc.ssl_channel_credentials(certificate)
    options = [*GRPC_OPTIONS, ("grpc.ssl_target_name_override", "localhost")]
    options += [("grpc.use_local_subchannel_pool", 1)] if own else []
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        yield channel
