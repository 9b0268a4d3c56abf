# SPDX-License-Identifier: Apache-2.0
"""Leases of two seconds: a program goes on as long as its worker renews, and not a moment
longer."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.council import Council


@pytest.fixture(scope="module")
def short(start: Callable[..., Any]) -> Any:
    return start(Council(lease_seconds=2))


@pytest.fixture(scope="module")
def data(short: Any) -> Any:
    return short(short.live.provision(b"plain"))[0]


def test_a_lease_is_renewed_while_the_program_runs(short: Any, data: Any) -> None:
    program = """
import time
def main(job):
    time.sleep(2.1)
    job.output("out").write(b"later than one lease")
"""
    outcome = short(short.live.run(program, {"data": data}))
    assert outcome.results == {"out": b"later than one lease"}
    assert sum(b'"kind":"renewal"' in entry for entry in short(short.live.entries())) >= 2


def test_a_worker_that_cannot_renew_ends_with_its_lease(short: Any, data: Any) -> None:
    program = "def main(job): sum(range(10**14))"
    outcome = short(short.live.run(program, {"data": data}, seconds=60))
    assert (outcome.state, outcome.reason) == ("FAILED", "LEASE_EXPIRED")
    assert short.live.logs().count("code=87 why=lost reason=REASON_LEASE_EXPIRED") == 1
