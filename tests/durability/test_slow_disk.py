# SPDX-License-Identifier: Apache-2.0
"""A disk that takes its time: a job with a free worker is refused before anything of it is written, and leaves nothing."""

import contextlib
import sqlite3
from typing import Any

import pytest

from placet.client import Refused
from placet.governance.documents import Evidence


def test_a_lease_refused_before_its_job_is_durable(world: Any) -> None:
    """The host asks for the lease at once; the refusal is Submit's answer, though nobody can write just then."""
    wanted = Evidence(world.policy("authority"), world.policy("worker", measurements=("ab" * 32,)))
    job = world.job(world.bundle(world.copy).digest, {"data": world.data(evidence=wanted)})
    ticket = world.ticket(job, uses=9)
    first = world.client.wait(world.client.submit(ticket).id)  # from here on a worker is warm
    assert first.refusal.reason == "APPRAISAL_REFUSED"
    before = [job.id for job in world.client.jobs()]
    with contextlib.closing(
        sqlite3.connect(world.folder / "host" / "placet.db", isolation_level=None)
    ) as database:
        database.execute("BEGIN IMMEDIATE")  # nobody else writes now; the host waits five seconds
        with pytest.raises(Refused) as refusal:
            world.client.submit(ticket)
        database.execute("ROLLBACK")
    assert refusal.value.reason == "APPRAISAL_REFUSED"
    assert [job.id for job in world.client.jobs()] == before
