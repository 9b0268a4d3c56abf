# SPDX-License-Identifier: Apache-2.0
"""The constitution is amended under every kind of work that runs: what the host tells, what a
client is told, and what the log folds to."""

import os
import time
from dataclasses import replace
from typing import Any

import pytest
from onnx import TensorProto, helper

from placet.governance.codec import encode
from placet.governance.documents import (
    Amendment,
    Card,
    Input,
    Party,
    Rations,
    Raw,
    Roster,
    Rule,
    Serve,
    When,
)
from placet.governance.entries.table import apply
from placet.governance.envelope import digest_of
from placet.governance.state import State
from placet.proto.v1 import common_pb2
from placet.refusals import Refused

QUICK = """
def main(job):
    with job.output("out") as sink:
        sink.write(b"done")
"""

SLOW = """
import time


def main(job):
    time.sleep(6)
    with job.output("out") as sink:
        sink.write(b"done")
"""


def amend(world: Any, **changed: Any) -> None:
    """The same council under another constitution."""
    current = world.client.council.verify().newest
    successor = replace(
        current.document,
        nonce=os.urandom(16).hex(),
        version=current.document.version + 1,
        predecessor=current.digest,
        **changed,
    )
    amendment = world.propose(Amendment(digest_of(encode(successor))), uses=1)
    world.vote(amendment, "ada", "ben")
    world.client.council.amend(world.seats["ada"], amendment, successor)


def moved(world: Any) -> tuple[Party, ...]:
    """The proposer is of another organisation, on whom all proposals rest, and no grant."""
    listed = world.client.council.verify().newest.document.parties
    [before] = [party.organisation for party in listed if party.id == "analyst"]
    other = "clinic" if before == "university" else "university"
    return tuple(replace(p, organisation=other) if p.id == "analyst" else p for p in listed)


def fold(world: Any) -> State:
    """What the log says."""
    state = State()
    for entry in world.entries():
        apply(state, entry)
    return state


def model() -> bytes:
    """scores = 2 * x."""
    rows: list[str | int | None] = ["rows", 4]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["scores"])],
        "twice",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, rows)],
        [helper.make_tensor("factor", TensorProto.FLOAT, [], [2.0])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


def service(world: Any) -> Serve:
    """A service of the model for the analyst."""
    later = int(time.time()) + 86400
    return Serve(
        model=Input(world.data(model()).object.descriptor, "owner"),
        card=Card("Twice as much", ("health",), "", None, later),
        users=Roster("roster", ("analyst",)),
        rations=Rations(user=100, total=100, minute=100, tranche=10),
        answers={"scores": Raw("raw")},
        not_finite="refuse",
        largest_request=64,
        largest_question=1024 * 1024,
        samples={},
        batch="shared",
        batch_rows=64,
        privacy=None,
        review=later,
        deadline_seconds=3600,
    )


@pytest.fixture
def served(council: Any) -> Any:
    """The council, under a constitution with a rule for services too."""
    rules = council.world.client.council.verify().newest.document.rules
    rule = Rule("serve", "Serving", When(("serve",), "any", "any"), rules[0].demands)
    amend(council.world, rules=(rule, *(other for other in rules if other.id != rule.id)))
    return council


def test_an_amendment_that_ends_the_work_under_way(served: Any, make_vector: Any) -> None:
    council, world = served, served.world
    client = world.client
    serving = world.propose(service(world), uses=5)
    world.vote(serving, "ada", "ben")
    client.runs.start(client.council.ticket(serving), workers=1)
    next(status for status in client.runs.watch(serving) if status.service.ready)
    federation = council.federation()
    federation.send("ana", make_vector(1))
    taking_part = client.federations.join(federation.id, council.clients["bea"])
    program = world.bundle(SLOW).digest
    ticket = world.ticket(world.job(program, {"data": world.data()}), uses=2)
    job = client.runs.start(ticket, request_id=os.urandom(16)).id
    next(record for record in client.runs.watch(job) if record.state == "running")
    amend(world, parties=moved(world))
    # The round is over with the amendment, and nothing more can come of the federation.
    ended = federation.until_state("FAILED")
    assert ended.refusal.reason == common_pb2.REASON_OTHER_CONSTITUTION
    assert [(o.round, o.released, o.updates) for o in ended.federation.outcomes] == [(1, False, 1)]
    assert [e["standing"] for e in federation.entries("close-round")] == ["void"]
    with pytest.raises(Refused) as refused:
        list(taking_part.rounds())
    assert refused.value.reason == "OTHER_CONSTITUTION"
    # A job that runs goes on to its end; another one under its ticket is not let through.
    state = fold(world)
    running = {lease.job for lease in state.open_leases.values()}
    assert job in running
    assert client.runs.wait(job).state == "finished"
    world.check_refusal(world.refusal_of(lambda: client.runs.start(ticket)), "OTHER_CONSTITUTION")
    # So does a service, until its review; it gets no further worker.
    status = client.runs.get(serving)
    assert (status.state, status.service.ready) == ("running", 1)
    refusal = world.refusal_of(lambda: client.runs.start(client.council.ticket(serving), workers=2))
    world.check_refusal(refusal, "OTHER_CONSTITUTION")
    assert client.runs.get(serving).service.ready == 1
    # All this is what the log folds to, and what the next host tells.
    state = fold(world)
    assert [r.status for r in state.federations[federation.id].rounds] == ["void"]
    assert {lease.proposal for lease in state.open_leases.values()} == {serving}
    assert world.host_log().count(f"ended federation={federation.id}") == 1
    size = len(world.entries())
    council.restart()
    assert federation.get() == ended
    assert len(world.entries()) <= size + 3  # a boot, and the lease that went with the former host


def test_an_amendment_ends_a_federation_and_its_round(council: Any, make_vector: Any) -> None:
    """What says that the round is void is an entry, so the host does not ask for it for ever."""
    federation = council.federation()
    federation.send("ana", make_vector(1))
    amend(council.world, parties=moved(council.world))
    ended = federation.until_state("FAILED")
    assert ended.refusal.reason == common_pb2.REASON_OTHER_CONSTITUTION
    assert [(o.round, o.released) for o in ended.federation.outcomes] == [(1, False)]
    [void] = federation.entries("close-round")
    assert void["standing"] == "void"
    council.restart()
    assert federation.get() == ended


def test_an_amendment_of_something_else_leaves_all_of_it_alone(
    served: Any, make_vector: Any
) -> None:
    council, world = served, served.world
    client = world.client
    serving = world.propose(service(world), uses=5)
    world.vote(serving, "ada", "ben")
    client.runs.start(client.council.ticket(serving), workers=1)
    next(status for status in client.runs.watch(serving) if status.service.ready)
    federation = council.federation()
    federation.send("ana", make_vector(1))
    ticket = world.ticket(world.job(world.bundle(QUICK).digest, {"data": world.data()}), uses=2)
    client.runs.wait(client.runs.start(ticket, request_id=os.urandom(16)).id)
    amend(world, name="The council under another name")
    # The round goes on with the update that it had, and so does the next.
    for name in ("bea", "cem", "dia", "eli"):
        federation.send(name, make_vector(1))
    assert federation.until_over(1).released
    federation.until_round(2)
    assert [e["standing"] for e in federation.entries("close-round")] == ["closed"]
    # The job's second use is let through, and the service gets another worker.
    job = client.runs.start(ticket, request_id=os.urandom(16)).id
    assert client.runs.wait(job).state == "finished"
    client.runs.start(client.council.ticket(serving), workers=2)
    next(status for status in client.runs.watch(serving) if status.service.ready == 2)
