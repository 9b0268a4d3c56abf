# SPDX-License-Identifier: Apache-2.0
"""Submissions a second while 10,000 jobs wait, over those while 100 wait; and how long a stop takes
that ends all of them.

Host, authority and worker are processes of their own, and so is the caller. One job runs and the
others wait behind it, each admitted by the authority and durable.

    python bench/waiting.py
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from _figures import Figure, arguments, figure, tell
from _login import login

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from hospitals import Council, running_host
from shares import HOSPITALS, load_shares

from placet.client.connection.access import Metadata
from placet.client.connection.channel import pin_of
from placet.proto.v1 import common_pb2, runs_pb2, runs_pb2_grpc

AT_ONCE = 8


def run(few: int, many: int, timed: int) -> Iterator[Figure]:
    """The lines to print: with so few jobs waiting, and so many, a number of submissions is
    timed."""
    with tempfile.TemporaryDirectory(prefix="placet-bench-") as temporary:
        folder = Path(temporary)
        options = ("--max-queue", str(many + 2 * timed), "--max-workers", "1")
        with running_host(folder, options=options) as (address, pin):
            council = Council(folder, uses=many + 2 * timed)
            with council.connect(address, pin) as client:
                council.found(client)
                for hospital in HOSPITALS:
                    council.seal_and_grant(client, hospital, load_shares().training[hospital])
                proposal = council.propose(
                    client, "attacks/slow", {"seconds": 600}, "report",
                    uses=council.uses, reason="To be timed.",
                )  # fmt: skip
                council.vote(client, proposal, *council.seats)
                ticket = client.council.ticket(proposal)
                wire = common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots)
                certificate = (folder / "host" / "tls" / "cert.pem").read_bytes()
                first, then = asyncio.run(
                    rates(council, address, certificate, wire, few, many, timed)
                )
                started = time.perf_counter()
                client.council.stop(council.seats["privacy"], "pause", proposal)
                stopped = time.perf_counter() - started
    yield figure("queue_10k_over_100", then, "submissions/s", first, then / first, waiting=many)
    yield figure("stop_of_a_queue", stopped * 1000, "ms", None, None, waiting=many)


async def rates(
    council: Council,
    address: str,
    certificate: bytes,
    ticket: common_pb2.Ticket,
    few: int,
    many: int,
    timed: int,
) -> tuple[float, float]:
    """Submissions a second once so few wait, and once so many do."""
    async with connected(council, address, certificate) as runs:
        await submit(runs, ticket, few)
        first = await submit(runs, ticket, timed)
        await submit(runs, ticket, many - few - timed)
        return first, await submit(runs, ticket, timed)


async def submit(
    runs: "tuple[runs_pb2_grpc.RunsAsyncStub, Metadata]", ticket: common_pb2.Ticket, count: int
) -> float:
    """Submit so many jobs, a few at once; how many that were a second."""
    stub, metadata = runs
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            request = runs_pb2.StartRequest(ticket=ticket, request_id=os.urandom(16))
            await stub.Start(request, metadata=metadata)

    started = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - started)


@asynccontextmanager
async def connected(
    council: Council, address: str, certificate: bytes
) -> "AsyncGenerator[tuple[runs_pb2_grpc.RunsAsyncStub, Metadata]]":
    """The stub, and what its calls bring along."""
    credentials = grpc.ssl_channel_credentials(certificate)
    options = (("grpc.ssl_target_name_override", "localhost"),)
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        charter, pin = council.memory.charter, pin_of(certificate.decode())
        metadata = await login(channel, charter, pin, council.analyst)
        yield runs_pb2_grpc.RunsStub(channel), metadata


if __name__ == "__main__":
    small = arguments(__doc__).parse_args().small
    tell(run(20, 60, 20) if small else run(100, 10_000, 300))
