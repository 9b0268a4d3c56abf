# SPDX-License-Identifier: Apache-2.0
"""Jobs a second from end to end, of a program that does nothing, and what a job is made of.

Spares are ready when the first job is submitted, and all are submitted at once. `steps_ms` are the
medians of a job's ways from one state to the next while it is the only one; `cpu_ms` is what a job
costs each of host, authority and workers in processor time, the start of a worker included: each
serves one lease and is gone.

    python bench/throughput.py
"""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
from _figures import Figure, arguments, figure, tell
from _host.council import Scene, connected, scene
from _inference.process import find_process

from placet.client.connection.access import Metadata
from placet.proto.v1 import runs_pb2, runs_pb2_grpc

WORKERS, SPARES = 3, 2
STATES = {
    runs_pb2.RUN_STATE_LEASED: "leased",
    runs_pb2.RUN_STATE_RUNNING: "running",
    runs_pb2.RUN_STATE_FINISHED: "finished",
}
Steps = dict[str, list[float]]


def run(jobs: int, alone: int) -> Iterator[Figure]:
    """The line to print."""
    options = ("--max-workers", str(WORKERS), "--spares", str(SPARES))
    with scene(jobs + alone + 1, options) as made:
        steps, rate, cpu = asyncio.run(measure(made, jobs, alone))
    named = {name: round(1000 * statistics.median(found), 1) for name, found in steps.items()}
    costs = {name: round(1000 * seconds / jobs) for name, seconds in cpu.items()}
    yield figure(
        "jobs_per_second", rate, "jobs/s", None, None,
        cores=os.cpu_count(), workers=WORKERS, steps_ms=named, cpu_ms=costs,
    )  # fmt: skip


async def measure(made: Scene, jobs: int, alone: int) -> tuple[Steps, float, dict[str, float]]:
    """The steps of jobs that run alone, jobs a second together, and processor time of these."""
    async with connected(made.address, made.certificate) as channel:
        metadata = await made.login(channel)
        runs = runs_pb2_grpc.RunsStub(channel)
        request = runs_pb2.WatchRequest(proposal=made.proposal)
        states = runs.Watch(request, metadata=metadata).__aiter__()
        steps: Steps = {}
        for number in range(1 + alone):
            await spares_ready(made, number)
            await one_alone(channel, metadata, states, made, steps if number else {})
        alone += 1
        await spares_ready(made, alone)
        before, started = processor_time(made.folder), time.perf_counter()
        calls = [submit(channel, metadata, made) for _ in range(jobs)]
        await asyncio.gather(*calls, ended(states, jobs))
        rate = jobs / (time.perf_counter() - started)
        after = processor_time(made.folder)
    return steps, rate, {name: after[name] - before[name] for name in before}


async def submit(channel: grpc.aio.Channel, metadata: Metadata, made: Scene) -> str:
    """Submit a job."""
    request = runs_pb2.StartRequest(ticket=made.ticket, request_id=os.urandom(16))
    return (await runs_pb2_grpc.RunsStub(channel).Start(request, metadata=metadata)).id


async def one_alone(
    channel: grpc.aio.Channel,
    metadata: Metadata,
    states: AsyncIterator[runs_pb2.Run],
    made: Scene,
    steps: Steps,
) -> None:
    """A job, with the seconds from each of its states to the next."""
    last = time.perf_counter()
    submitting = asyncio.create_task(submit(channel, metadata, made))
    async for told in states:
        name = STATES.get(told.state)
        if name is None:
            continue
        now = time.perf_counter()
        steps.setdefault(name, []).append(now - last)
        last = now
        if told.state >= runs_pb2.RUN_STATE_FINISHED:
            break
    await submitting


async def ended(states: AsyncIterator[runs_pb2.Run], count: int) -> None:
    """Until so many jobs have finished."""
    async for told in states:
        if told.state >= runs_pb2.RUN_STATE_FINISHED:
            assert told.state == runs_pb2.RUN_STATE_FINISHED, told.refusal.message
            count -= 1
        if not count:
            return


async def spares_ready(made: Scene, used: int) -> None:
    """Wait until there are as many spares as there may be, then for calm. The first job finds
    none: its ticket says which program they are of."""
    while used and made.log.count("event=ready enclave=") < SPARES + used:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


def processor_time(folder: Path) -> dict[str, float]:
    """Seconds that host, authority, and workers that have ended, have used so far; the process that
    workers are forked from counts among them."""
    host = find_process("placet.host", str(folder))
    authority = find_process("placet.enclave", "authority", str(folder))
    preloaded = find_process("placet.enclave", "preloaded", parent=host.pid)
    workers = preloaded.cpu + preloaded.ended_cpu
    return {"host": host.cpu, "authority": authority.cpu, "workers": workers}


if __name__ == "__main__":
    small = arguments(__doc__).parse_args().small
    tell(run(3, 1) if small else run(60, 10))
