# SPDX-License-Identifier: Apache-2.0
"""Many workers, one after the other and beside each other, all forks of one process: each speaks
gRPC, computes on threads, and draws numbers of its own."""

import json
from typing import Any

JOBS = 24
PROGRAM = """
import json, os, random
import numpy as np


def main(job):
    square = np.ones((400, 400))
    assert (square @ square == 400).all()
    drawn = [random.random(), np.random.random(), os.urandom(8).hex()]
    with job.output("out") as sink:
        sink.write(json.dumps([os.getppid(), *drawn]).encode())
"""


def test_many_forks_work_and_draw_apart(new_world: Any) -> None:
    world = new_world(max_workers=3).start()
    job = world.job(world.bundle(PROGRAM).digest, {"data": world.data(b"x")})
    ticket = world.ticket(job, uses=JOBS)
    started = [world.client.runs.start(ticket).id for _ in range(JOBS)]
    ended = [world.client.runs.wait(job) for job in started]
    assert {(job.state, job.job.attempt) for job in ended} == {("finished", 1)}
    parents, *drawn = zip(*(json.loads(world.output(job)) for job in started), strict=True)
    assert set(parents) == set(world.enclaves("preloaded"))
    assert [len(set(numbers)) for numbers in drawn] == [JOBS] * 3
    assert "not-forked" not in world.host_log()
    world.stop()
