# SPDX-License-Identifier: Apache-2.0
"""An authority that stands still for a while (SIGSTOP): a lease that it renews in time goes on, and
one that ran out costs an attempt, not the job."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from placet.governance.documents import Limits

SLOW = """
import time


def main(job):
    time.sleep(job.parameters["ms"] / 1000)
    with job.output("out") as sink:
        sink.write(b"done")
"""


@pytest.fixture(scope="module")
def stalled(new_world: Callable[..., Any]) -> Any:
    """A council with leases of five seconds."""
    world = new_world().start(founding=False)
    world.found(world.constitution(limits=Limits(lease_seconds=5, join_seconds=600)))
    return world


def run(world: Any, stall: float) -> Any:
    """A job whose authority stands still once it runs; how it ended."""
    program = world.bundle(SLOW).digest
    terms = world.job(program, {"data": world.data()}, parameters={"ms": int(stall * 1000)})
    job = world.client.runs.start(world.ticket(terms)).id
    world.until(lambda: world.client.runs.get(job).state == "running", 30)
    [authority] = world.enclaves("authority")
    os.kill(authority, signal.SIGSTOP)
    time.sleep(stall)
    os.kill(authority, signal.SIGCONT)
    return world.client.runs.wait(job)


def test_a_late_answer_renews_the_lease(stalled: Any) -> None:
    ended = run(stalled, 3.7)  # more than two thirds of the lease
    assert (ended.state, ended.job.attempt) == ("finished", 1), ended.refusal
    assert stalled.entries_of(ended.id) == ["lease", "release"]


def test_a_lease_that_ran_out_costs_an_attempt(stalled: Any) -> None:
    ended = run(stalled, 7.0)
    assert (ended.state, ended.job.attempt) == ("finished", 2), ended.refusal
    assert stalled.entries_of(ended.id) == ["lease", "close", "lease", "release"]
    said = f"attempt-ended job={ended.id} code=87 why=lost reason=REASON_LEASE_EXPIRED"
    assert said in stalled.host_log()


def test_a_host_whose_authority_stands_still_says_so(stalled: Any) -> None:
    [authority] = stalled.enclaves("authority")
    os.kill(authority, signal.SIGSTOP)
    try:
        stalled.until(lambda: "not-ready what=authority why=hangs" in stalled.host_log(), 30)
    finally:
        os.kill(authority, signal.SIGCONT)
    stalled.until(lambda: "ready-again what=authority" in stalled.host_log(), 30)
