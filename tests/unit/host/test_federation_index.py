# SPDX-License-Identifier: Apache-2.0
"""What the store makes of the log's entries about federations."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from placet.governance.codec import encode
from placet.governance.documents import Proposal
from placet.governance.envelope import digest_of, inspect
from placet.host.documents import FederationFacts, TicketFacts, read_ticket
from placet.host.errors import FederationNotFound, LogEntryInvalid
from placet.host.log.log_entry import Effects
from placet.host.log.log_table import apply_commit, log_size
from placet.host.store.federation_record import Suspension
from placet.host.store.federation_table import (
    end_federation,
    get_federation,
    insert_federation,
    resume_federation,
    running_federations,
)
from placet.host.store.job_table import (
    NewJob,
    get_job,
    insert_job,
    open_leases,
    refuse_job,
    ticket_of,
)
from placet.host.store.schema import metadata
from placet.proto.v1 import common_pb2, enclaves_pb2, federations_pb2, jobs_pb2

P = "sha256:" + "ab" * 32
JOB = "ab" * 20 + "-1"
LEASE = {"kind": "lease", "lease": "l", "proposal": P, "job": JOB, "attempt": 1, "worker": "w"}
OPEN = {"kind": "open", "proposal": P, "round": 1, "key": "k", "closes": 99}
AGGREGATE = {"kind": "aggregate", "lease": "l", "proposal": P, "job": JOB, "round": 1}
ROUND_JOB = NewJob(id=JOB, request_id=b"r", proposal=P, program=P, ticket=b"")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    metadata.create_all(engine)
    federation = FederationFacts(rounds=3, roster=("a", "b", "c"), sealed_bytes=72)
    with engine.connect() as connection:
        insert_federation(connection, TicketFacts(P, P, 3, 100, federation=federation), b"t")
        yield connection
    engine.dispose()


def store(connection: sa.Connection, *entries: dict[str, Any]) -> Effects:
    commit = enclaves_pb2.Commit(
        first_index=log_size(connection),
        entries=[json.dumps(entry).encode() for entry in entries],
    )
    return apply_commit(connection, commit)


def update(client: str, number: int = 1) -> dict[str, Any]:
    return {"kind": "update", "proposal": P, "round": number, "client": client, "update": "u"}


def cohort(standing: str) -> dict[str, Any]:
    return {"kind": "cohort", "proposal": P, "round": 1, "standing": standing, "counted": []}


def released(receipt: str, left: dict[str, str]) -> dict[str, Any]:
    return {**AGGREGATE, "release": "x", "receipt": receipt, "left": left, "until": 4}


def test_a_round_goes_from_open_to_released(connection: sa.Connection) -> None:
    assert get_federation(connection, P).current is None
    effects = store(connection, OPEN, update("a"), update("c"), update("c"))
    assert effects.federations == {P}
    record = get_federation(connection, P)
    assert record.current is not None
    assert (record.current.number, record.current.opened_at, record.current.closes) == (1, 0, 99)
    assert (record.updated, record.complete) == (frozenset("ac"), False)
    assert record.current.updates == 3
    store(connection, update("b"))
    assert get_federation(connection, P).complete
    insert_job(connection, ROUND_JOB)
    store(connection, cohort("closed"), LEASE)
    record = get_federation(connection, P)
    assert record.job is not None
    assert record.job.state == jobs_pb2.JOB_STATE_LEASED
    assert not record.to_proto().outcomes
    effects = store(connection, released("r", {"b": "NORM_EXCEEDED"}))
    assert [job.id for job in effects.jobs] == [JOB]
    assert open_leases(connection) == []
    record = get_federation(connection, P)
    job = get_job(connection, JOB)
    assert record.job == job
    assert (job.state, job.receipt) == (jobs_pb2.JOB_STATE_RELEASED, "r")
    assert record.model_round == 1
    assert record.suspended == {"b": Suspension(4, "NORM_EXCEEDED")}
    outcome = record.to_proto().outcomes[0]
    assert (outcome.released, dict(outcome.left)) == (True, {"b": "NORM_EXCEEDED"})


def test_an_aggregate_without_a_receipt_fails_the_job(connection: sa.Connection) -> None:
    insert_job(connection, ROUND_JOB)
    store(connection, OPEN, cohort("closed"), LEASE, released("", {"a": "SEGMENT_FORGED"}))
    job = get_job(connection, JOB)
    assert job.state == jobs_pb2.JOB_STATE_FAILED
    refusal = common_pb2.Refusal.FromString(job.refusal)
    assert refusal.reason == common_pb2.REASON_COHORT_TOO_SMALL
    record = get_federation(connection, P)
    assert record.current is not None
    assert record.current.over
    assert record.model_round == 0
    assert record.suspended.keys() == {"a"}
    assert open_leases(connection) == []


def test_the_next_round_begins_anew(connection: sa.Connection) -> None:
    """A round that was never aggregated is void from then on."""
    store(connection, OPEN, update("a"), cohort("closed"), LEASE, {**LEASE, "lease": "m"})
    store(connection, {"kind": "close", "lease": "l"}, {"kind": "close", "lease": "m"})
    lift = {"kind": "lift", "proposal": P, "client": "b", "round": 2}
    store(connection, lift, {**OPEN, "round": 2, "closes": 200})
    record = get_federation(connection, P)
    assert record.updated == frozenset()
    assert [(r.number, r.standing) for r in record.latest] == [(2, "open"), (1, "void")]
    assert [(o.round, o.released, o.updates) for o in record.to_proto().outcomes] == [(1, False, 1)]


def test_a_suspension_ends_by_its_entry(connection: sa.Connection) -> None:
    store(connection, OPEN, cohort("closed"), LEASE, released("r", {"a": "NORM_EXCEEDED"}))
    assert get_federation(connection, P).suspended
    store(connection, {"kind": "lift", "proposal": P, "client": "a", "round": 4})
    assert not get_federation(connection, P).suspended


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "open", "proposal": P, "round": "1", "closes": 1},
        {"kind": "open", "round": 1, "closes": 1},
        {"kind": "update", "proposal": P, "round": 1},
        {**released("r", {}), "left": ["a"]},
        {**released("r", {}), "left": {"a": 1}},
        {"kind": "lift", "proposal": P},
        {**cohort("closed"), "standing": "ajar"},
    ],
)
def test_an_entry_that_lacks_something_is_not_stored(
    connection: sa.Connection, bad: dict[str, Any]
) -> None:
    with pytest.raises(LogEntryInvalid), connection.begin_nested():
        store(connection, bad)
    assert log_size(connection) == 0


def test_a_stop_ends_it_and_another_proposals_does_not(connection: sa.Connection) -> None:
    veto = {"kind": "stop", "action": "veto", "target": "sha256:other"}
    assert store(connection, OPEN, veto).federations == {P}
    assert running_federations(connection) == [b"t"]
    assert store(connection, {**veto, "target": P}).federations == {P}
    record = get_federation(connection, P)
    assert record.state == federations_pb2.FEDERATION_STATE_STOPPED
    assert common_pb2.Refusal.FromString(record.refusal).reason == common_pb2.REASON_VETOED
    assert running_federations(connection) == []
    end_federation(connection, P, None)  # what has ended stays as it ended
    assert get_federation(connection, P) == record


def test_what_goes_on_gets_a_new_job_for_a_round_that_is_closed(connection: sa.Connection) -> None:
    insert_job(connection, ROUND_JOB)
    store(connection, OPEN, cohort("closed"))
    refusal = common_pb2.Refusal(reason=common_pb2.REASON_WORKER_UNAVAILABLE)
    refuse_job(connection, JOB, refusal)
    end_federation(connection, P, refusal)
    assert get_federation(connection, P).state == federations_pb2.FEDERATION_STATE_FAILED
    resume_federation(connection, P)
    record = get_federation(connection, P)
    assert (record.ended, record.job) == (False, None)


def test_rounds_share_the_ticket(connection: sa.Connection) -> None:
    insert_job(connection, ROUND_JOB)
    assert ticket_of(connection, JOB) == b"t"


def test_too_many_outcomes_leave_out_the_oldest(connection: sa.Connection) -> None:
    for number in range(1, 1200):
        store(connection, {**OPEN, "round": number}, {**cohort("void"), "round": number})
    shown = get_federation(connection, P).to_proto()
    assert [outcome.round for outcome in shown.outcomes] == list(range(200, 1200))


def test_an_unknown_federation_is_refused(connection: sa.Connection) -> None:
    with pytest.raises(FederationNotFound):
        get_federation(connection, "sha256:other")


def test_what_the_host_reads_in_a_ticket(world: Any) -> None:
    ticket = world.federation("release", rounds=4)
    facts = read_ticket(ticket)
    assert facts.proposal == world.digest(ticket.proposal)
    terms = encode(inspect(ticket.proposal, Proposal).body)
    assert (facts.terms, facts.program) == (terms, digest_of(terms))
    assert facts.bundle == facts.program[7:39]
    assert facts.uses == 4
    assert facts.federation == FederationFacts(4, ("ada", "ben", "cleo"), 16 + 40 + 16)
    job = read_ticket(world.ticket("release"))
    assert (job.terms, job.federation) == (b"", None)
