# SPDX-License-Identifier: Apache-2.0
"""A host in a process of its own that is killed, and one that is asked to end."""

import signal
from typing import Any

from placet.proto.v1 import runs_pb2


def test_killing_the_host_loses_nothing_and_runs_nothing_twice(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.process() as (process, client):
            ticket, request_id = world.ticket("hang", attempts=2), b"r" * 16
            done = await client.run(world.ticket("release"))
            runs = await client.submit(ticket, request_id)
            await client.until(runs.id, runs_pb2.RUN_STATE_RUNNING)
            waits = [await client.submit(world.ticket("release")) for _ in range(3)]
            entries = await world.entries()
            process.kill()
        async with world.process() as (process, client):
            assert (await client.submit(ticket, request_id)).id == runs.id
            assert (await client.watch(done.id))[-1] == done
            last = (await client.watch(runs.id))[-1]
            assert (last.state, last.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, 2)
            for job in waits:
                last = (await client.watch(job.id))[-1]
                assert last.state == runs_pb2.RUN_STATE_FINISHED
            log = await world.entries()
            assert log[: len(entries)] == entries
            assert [entry["kind"] for entry in log].count("release") == 5

    run(body())


def test_a_host_that_is_asked_to_ends_in_order(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.process() as (process, client):
            job = await client.submit(world.ticket("hang"))
            await client.until(job.id, runs_pb2.RUN_STATE_RUNNING)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        log = (world.folder / "state" / "logs" / "host.log").read_text()
        assert "event=stopping" in log
        assert "level=error" not in log
        async with world.process() as (_, client):
            last = (await client.watch(job.id))[-1]
            assert (last.state, last.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, 2)

    run(body())
