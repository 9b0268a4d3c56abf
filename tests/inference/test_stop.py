# SPDX-License-Identifier: Apache-2.0
"""Stopping a service while it answers: from some answer on there are only refusals, and the service
says why.

Leases are of ten minutes here, so what ends a worker is not the end of its lease.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from placet.governance.documents import Rations, Roster
from placet.proto.refusals import reason_name

IN_FLIGHT = 16


@pytest.fixture(scope="module")
def services(new_services: Callable[..., Any]) -> Any:
    return new_services(lease_seconds=600)


def _veto(services: Any, service: str) -> None:
    services.world.client.council.stop(services.world.seats["cleo"], "veto", service, reason="No.")


def _pause(services: Any, service: str) -> None:
    services.world.client.council.stop(
        services.world.seats["ada"], "pause", service, reason="Wait."
    )


def _withdraw(services: Any, service: str) -> None:
    world, terms = services.world, services.world.client.council.find(service).document.serve
    grants = [e for e in world.entries() if e["kind"] == "grant"]
    [grant] = [e["grant"] for e in grants if e.get("object") == terms.model.object.digest]
    world.client.council.stop(world.owner, "withdraw", grant, reason="Mine.")


STOPS: dict[str, tuple[Callable[[Any, str], None], str]] = {
    "a veto": (_veto, "VETOED"),
    "a pause": (_pause, "STOPPED"),
    "a grant withdrawn": (_withdraw, "GRANT_WITHDRAWN"),
}


@pytest.mark.parametrize("case", STOPS)
def test_the_next_answer_is_a_refusal(services: Any, case: str) -> None:
    stop, reason = STOPS[case]
    service = services.serve()
    asker, stream, rows = services.asker(service), None, services.rows(2)
    stream = asker.stream()
    questions = [asker.question({"x": rows}) for _ in range(IN_FLIGHT)]
    stream.send(*questions)
    answered, refused = 0, list[str]()
    for answer in stream.answers():
        if answer.HasField("refusal"):
            refused.append(reason_name(answer.refusal.reason))
            if len(refused) == 1:
                stream.close()
            continue
        assert not refused, "an answer after a refusal"
        found = asker.opened(questions[answer.id - 1], answer.data)
        assert np.array_equal(found["scores"], 2 * rows)
        answered += 1
        if answered == IN_FLIGHT:
            stop(services, service)  # returns when the log has it; questions go on
        questions.append(asker.question({"x": rows}))
        stream.send(questions[-1])
    assert set(refused) == {reason}
    assert len(refused) + answered == len(questions)
    _check_over(services, service, asker, reason)


def _check_over(services: Any, service: str, asker: Any, reason: str) -> None:
    """Nobody is answered any more, and everybody is told why."""
    [*_, status] = services.world.client.runs.watch(service)
    assert (status.state, status.service.ready, status.refusal.reason) == ("stopped", 0, reason)
    refusal = asker.refused_in_clear(asker.question({"x": services.rows(1)}).data)
    services.world.check_refusal(refusal, reason)
    refusal = services.world.refusal_of(lambda: services.asking(service, "vic").__enter__())
    services.world.check_refusal(refusal, reason)
    refusal = services.world.refusal_of(lambda: services.start(service))
    services.world.check_refusal(refusal, reason)


def test_who_uses_the_library_is_told(services: Any) -> None:
    """In mid-stream: the call ends with the reason, without asking again."""
    service, stopped = services.serve(), list[int]()

    def stop_once(done: int, _: int) -> None:
        if not stopped:
            stopped.append(done)
            _veto(services, service)

    with services.asking(service) as model:
        refusal = services.world.refusal_of(
            lambda: model.predict(services.rows(50_000), progress=stop_once)
        )
    services.world.check_refusal(refusal, "VETOED")


def test_a_user_whose_seat_is_revoked(services: Any) -> None:
    """Members of the council may be users too. What a worker holds of theirs, at most a tranche, is
    the last they are answered."""
    services.users["former"] = services.world.seats["former"]
    rations = Rations(user=100, total=200, minute=100, tranche=2)
    service = services.serve(users=Roster("roster", ("uma", "former")), rations=rations)
    former, uma = services.asker(service, "former"), services.asker(service)
    row = {"x": services.rows(1)}
    assert len(former.ask(row)["scores"]) == 1
    # It draws ahead when half is left, so its hands are full before the seat is revoked.
    services.world.until(lambda: services.drawn(service) == {"former": 3})
    ada = services.world.seats["ada"]
    services.world.client.council.stop(ada, "revoke-seat", "former", reason="They left.")
    for _ in range(2):
        assert len(former.ask(row)["scores"]) == 1
    refusal, _ = former.refused_sealed(row)
    assert refusal.reason == "USER_NOT_ALLOWED"
    assert services.drawn(service)["former"] == 3
    assert len(uma.ask(row)["scores"]) == 1
