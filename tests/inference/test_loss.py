# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load to worker, authority and host: users are answered all the same, nobody twice,
and nobody more than the terms say."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from placet.governance.documents import Rations
from placet.proto.refusals import reason_name

USERS = ("uma", "vic")
ROWS = 4_000


@pytest.fixture(scope="module")
def services(new_services: Callable[..., Any]) -> Any:
    """Leases of a minute: a session by hand lasts as long as a test, however slow the machine."""
    return new_services(lease_seconds=60)


@pytest.fixture(scope="module")
def service(services: Any) -> str:
    """Small questions, so that many are under way, and two workers."""
    rations = Rations(user=1_000_000, total=3_000_000, minute=1_000_000, tranche=500)
    return str(services.serve(workers=2, rations=rations, largest_request=8))


def _kill(services: Any, role: str) -> None:
    for pid in services.world.enclaves(role):
        os.kill(pid, signal.SIGKILL)


def _kill_one_worker(services: Any) -> None:
    """The older one of the two."""
    os.kill(services.world.enclaves("worker")[0], signal.SIGKILL)


def _under_load(services: Any, service: str, hit: Callable[[], None]) -> None:
    """Two users ask thousands of questions; when the first of them is at a third, it hits."""
    hits: list[Future[None]] = []

    def ask(user: str, pool: ThreadPoolExecutor) -> None:
        seed = USERS.index(user)
        asked, told = services.rows(ROWS, seed), list[int]()

        def progress(done: int, _: int) -> None:
            told.append(done)
            if user == "uma" and done > ROWS // 3 and not hits:
                hits.append(pool.submit(hit))

        with services.asking(service, user) as model:
            assert np.array_equal(model.predict(asked, progress=progress), 2 * asked)
        assert told == sorted(set(told))  # each question's answer counted once
        assert told[-1] == ROWS

    with ThreadPoolExecutor() as pool:
        for asking in [pool.submit(ask, user, pool) for user in USERS]:
            asking.result()
        hits[0].result()


def _until_ready(services: Any, service: str) -> None:
    for status in services.world.client.runs.watch(service):
        if status.service.ready == status.service.workers:
            return


def test_a_worker_is_killed_under_load(services: Any, service: str) -> None:
    before = services.drawn(service)
    _under_load(services, service, lambda: _kill_one_worker(services))
    _until_ready(services, service)
    leases = len(services.entries(service, "lease"))
    assert leases == 3
    # What each worker holds, and what was lost with the one: a tranche each, and what it had under
    # way.
    for user in USERS:
        drawn = services.drawn(service)[user] - before.get(user, 0)
        assert ROWS <= drawn <= ROWS + leases * 500 + 2 * 32 * 8


def test_the_authority_is_killed_under_load(services: Any, service: str) -> None:
    _under_load(services, service, lambda: _kill(services, "authority"))
    services.world.until_answered(services.world.client.authority.evidence)
    _until_ready(services, service)


def test_the_host_is_killed_under_load(services: Any, service: str) -> None:
    """The service comes back by itself, with other workers; users find and verify them by
    themselves."""

    def restart() -> None:
        services.world.kill()
        services.world.start()

    before = {entry["lease"] for entry in services.entries(service, "lease")}
    _under_load(services, service, restart)
    _until_ready(services, service)
    assert len({e["lease"] for e in services.entries(service, "lease")} - before) == 2
    services.drain(service)


def test_each_question_is_answered_once_or_refused(services: Any) -> None:
    """Seen on the wire: a worker is lost in mid-batch, and no question has two ends or none."""
    with services.serving() as service:
        asker, other = services.asker(service), services.asker(service, "vic")
        askers = [asker if n % 2 else other for n in range(600)]
        questions = [a.question({"x": services.rows(64, n)}) for n, a in enumerate(askers)]
        stream = asker.stream()
        ends = Counter[int]()
        stream.send(*questions)
        for answer in stream.answers():
            ends[answer.id] += 1
            if len(ends) == 1:
                _kill(services, "worker")
                stream.close()
            if answer.HasField("refusal"):
                assert reason_name(answer.refusal.reason) == "WORKER_UNAVAILABLE"
            else:
                number = answer.id - 1
                found = askers[number].opened(questions[number], answer.data)
                assert np.array_equal(found["scores"], 2 * services.rows(64, number))
        assert ends == Counter(range(1, 601))


def test_at_most_a_tranche_is_lost_with_a_worker(services: Any) -> None:
    """One question at a time, so it is known to the row what the worker held when it died."""
    rations = Rations(user=30, total=60, minute=1000, tranche=10)
    with services.serving(rations=rations, largest_request=10) as service:
        with services.asking(service) as model:
            asked = services.rows(3)
            assert np.array_equal(model.predict(asked), 2 * asked)
            assert services.drawn(service) == {"uma": 10}
            _kill(services, "worker")
            services.world.until(lambda: len(services.entries(service, "lease")) == 2)
            asked = services.rows(10)
            for _ in range(2):  # retried once, on a worker that holds nothing yet
                assert np.array_equal(model.predict(asked), 2 * asked)
            refusal = services.world.refusal_of(lambda: model.predict(asked))
            assert refusal.reason == "ANSWERS_USED_UP"
        assert services.drawn(service) == {"uma": 30}


def test_who_goes_away_in_mid_batch_leaves_the_others_alone(services: Any) -> None:
    with services.serving() as service:
        stays, leaves = services.asker(service), services.asker(service, "vic")
        staying, leaving = stays.stream(), leaves.stream()
        questions = [stays.question({"x": services.rows(64, n)}) for n in range(200)]
        leaving.send(*(leaves.question({"x": services.rows(64)}) for _ in range(200)))
        next(leaving.answers())  # so the worker has them all
        staying.send(*questions)
        leaving.leave()
        for seen, answer in enumerate(staying.answers(), 1):
            found = stays.opened(questions[answer.id - 1], answer.data)
            assert np.array_equal(found["scores"], 2 * services.rows(64, answer.id - 1))
            if seen == len(questions):
                staying.close()
        assert np.array_equal(leaves.ask({"x": services.rows(1)})["scores"], 2 * services.rows(1))


def test_at_the_end_an_audit_finds_nothing(services: Any) -> None:
    assert services.world.client.log.audit().complete
