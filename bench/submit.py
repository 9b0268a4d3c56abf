# SPDX-License-Identifier: Apache-2.0
"""From the call of Submit to RUNNING on a Watch stream already open, over a unary echo on the same
TLS server.

RUNNING is set when the worker has verified its lease and opened its inputs' keys. A spare worker
has joined and is idle, writes are durable, nothing on the path polls. Host, authority and worker
are processes of their own, and so is the caller.

    python bench/submit.py
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
from _figures import Figure, arguments, figure, tell
from _login import login
from grpc_health.v1 import health_pb2, health_pb2_grpc

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from hospitals import Council, running_host
from shares import HOSPITALS, load_shares

from placet.client import Client
from placet.client.connection.access import Metadata
from placet.client.connection.channel import pin_of
from placet.proto.v1 import common_pb2, runs_pb2, runs_pb2_grpc

ROUNDS = 50
WARM_UP = 3
ECHOES = 20
BALLOTS = 5


def run(rounds: int) -> Iterator[Figure]:
    """The lines to print."""
    with tempfile.TemporaryDirectory(prefix="placet-bench-") as temporary:
        folder = Path(temporary)
        with running_host(folder) as (address, pin):
            council = Council(folder, uses=rounds + WARM_UP)
            ticket, proposal = prepare(council, address, pin)
            certificate = (folder / "host" / "tls" / "cert.pem").read_bytes()
            log = folder / "host" / "logs" / "host.log"
            submits, echoes = asyncio.run(
                measure(council, address, certificate, ticket, proposal, log, rounds)
            )
    submit, echo = statistics.median(submits), statistics.median(echoes)
    yield figure(
        "submit_to_running_over_echo",
        submit * 1000,
        f"ms (p50 of {rounds})",
        echo * 1000,
        submit / echo,
    )


def prepare(council: Council, address: str, pin: str) -> tuple[common_pb2.Ticket, str]:
    """Data of three hospitals, and an approved proposal with a use for every round."""
    with council.connect(address, pin) as client:
        council.found(client)
        for hospital in HOSPITALS:
            council.seal_and_grant(client, hospital, load_shares().training[hospital])
        return approved(council, client)


def approved(council: Council, client: Client) -> tuple[common_pb2.Ticket, str]:
    proposal = council.propose(
        client, "../bench/nothing", {}, "report", uses=council.uses, reason="To be timed."
    )
    council.vote(client, proposal, *council.seats)
    ticket = client.council.ticket(proposal)
    assert len(ticket.ballots) == BALLOTS
    return common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots), proposal


async def measure(
    council: Council,
    address: str,
    certificate: bytes,
    ticket: common_pb2.Ticket,
    proposal: str,
    log: Path,
    rounds: int,
) -> tuple[list[float], list[float]]:
    """Seconds of each submission until RUNNING, and of each echo; rounds of the two interleaved."""
    credentials = grpc.ssl_channel_credentials(certificate)
    options = (("grpc.ssl_target_name_override", "localhost"),)
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        charter, pin = council.memory.charter, pin_of(certificate.decode())
        metadata = await login(channel, charter, pin, council.analyst)
        runs = runs_pb2_grpc.RunsStub(channel)
        health: Any = health_pb2_grpc.HealthStub(channel)
        request = runs_pb2.WatchRequest(proposal=proposal)
        states = runs.Watch(request, metadata=metadata).__aiter__()
        submits: list[float] = []
        echoes: list[float] = []
        for number in range(rounds + WARM_UP):
            if number:
                await spare_ready(log, number)
            for _ in range(ECHOES):
                started = time.perf_counter()
                await health.Check(health_pb2.HealthCheckRequest(), metadata=metadata)
                echoes.append(time.perf_counter() - started)
            submits.append(await until_running(runs, metadata, states, ticket))
        return submits[WARM_UP:], echoes[WARM_UP * ECHOES :]


async def until_running(
    runs: "runs_pb2_grpc.RunsAsyncStub",
    metadata: Metadata,
    states: AsyncIterator[runs_pb2.Run],
    ticket: common_pb2.Ticket,
) -> float:
    """Submit, and wait for RUNNING; then for the job's end, so that rounds do not overlap."""
    request = runs_pb2.StartRequest(ticket=ticket, request_id=os.urandom(16))
    started = time.perf_counter()
    call = runs.Start(request, metadata=metadata)
    running = 0.0
    async for job in states:
        if job.state == runs_pb2.RUN_STATE_RUNNING and not running:
            running = time.perf_counter() - started
        if job.state >= runs_pb2.RUN_STATE_FINISHED:
            assert job.state == runs_pb2.RUN_STATE_FINISHED, job.refusal.message
            break
    await call
    return running


async def spare_ready(log: Path, number: int) -> None:
    """Wait until the host has said of one worker more than there were jobs that it is ready, then
    for calm."""
    while log.read_text().count("event=ready enclave=") <= number:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


if __name__ == "__main__":
    tell(run(2 if arguments(__doc__).parse_args().small else ROUNDS))
