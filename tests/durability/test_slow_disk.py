# SPDX-License-Identifier: Apache-2.0
"""A disk that takes its time: what the authority says may come before the job that it is about is
durable."""

import contextlib
import sqlite3
import threading
from typing import Any

from placet.governance.documents import Evidence
from tests.support.policies import simulated


def test_a_lease_refused_before_its_job_is_durable(world: Any) -> None:
    """The host asks for the lease while it writes the job; the refusal ends the job all the
    same."""
    wanted = Evidence(simulated("authority"), simulated("worker", measurements=("ab" * 32,)))
    job = world.job(world.bundle(world.copy).digest, {"data": world.data(evidence=wanted)})
    first = world.client.runs.wait(world.client.runs.start(world.ticket(job, uses=9)).id)
    assert first.refusal.reason == "APPRAISAL_REFUSED"
    ticket = world.ticket(job)  # a worker of its program is warm, and the host has not seen it yet
    submitted: list[Any] = []
    call = threading.Thread(target=lambda: submitted.append(world.client.runs.start(ticket)))
    with contextlib.closing(
        sqlite3.connect(world.folder / "host" / "placet.db", isolation_level=None)
    ) as database:
        database.execute("BEGIN IMMEDIATE")  # nobody else writes now, and the host waits
        call.start()
        call.join(timeout=0.5)  # long enough for the refusal, and nothing is answered before
        assert call.is_alive()
        database.execute("ROLLBACK")
    call.join(timeout=30)
    ended = world.client.runs.wait(submitted[0].id, patience=10)
    assert (ended.state, ended.refusal.reason) == ("failed", "APPRAISAL_REFUSED")


def test_another_process_writes_for_longer_than_sqlite_waits(world: Any) -> None:
    """Neither the authority ends, nor the job that waits for its lease."""
    job = world.job(world.bundle(world.copy).digest, {"data": world.data()})
    ticket = world.ticket(job, uses=9)
    world.client.runs.wait(world.client.runs.start(ticket).id)
    before = world.enclaves("authority")
    started: list[Any] = []
    call = threading.Thread(target=lambda: started.append(world.client.runs.start(ticket)))
    with contextlib.closing(
        sqlite3.connect(world.folder / "host" / "placet.db", isolation_level=None)
    ) as database:
        database.execute("BEGIN IMMEDIATE")
        call.start()
        call.join(timeout=10.5)  # SQLite waits for ten seconds
        assert call.is_alive()
        database.execute("ROLLBACK")
    call.join(timeout=30)
    ended = world.client.runs.wait(started[0].id, patience=30)
    # Where a worker was free, the lease was given before the store took it, and was over when it
    # did: then the job has another.
    assert ended.state == "finished"
    assert ended.job.attempt <= 2
    assert world.enclaves("authority") == before
