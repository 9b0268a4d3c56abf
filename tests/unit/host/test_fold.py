# SPDX-License-Identifier: Apache-2.0
"""What the host makes of the log's entries: the fold, and the rows that change with it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from placet.governance.codec import encode
from placet.governance.documents import Proposal
from placet.governance.envelope import digest_of, inspect
from placet.governance.federation_state import Quarantine
from placet.host.documents import FederationFacts, read_ticket
from placet.host.log import job_rows
from placet.host.log.log import Effects, Log
from placet.host.log.log_table import (
    log_size,
    read_checkpoint,
    read_document,
    read_entries,
    read_secret,
    store_commit,
)
from placet.host.runs.federation_record import FederationRecord
from placet.host.store.job_table import (
    JobRecord,
    NewJob,
    drop_ended,
    find_job,
    get_job,
    insert_job,
    refuse_job,
    ticket_of,
)
from placet.host.store.run_table import (
    RunRecord,
    end_drained,
    end_run,
    get_run,
    insert_run,
    left_runs,
    list_runs,
    note_refusal,
    resume_run,
    want,
)
from placet.host.store.schema import metadata
from placet.proto.v1 import common_pb2, enclaves_pb2, runs_pb2
from placet.refusals import LogEntryInvalid, LogRange, RunNotFound

P = "sha256:" + "ab" * 32
JOB = "ab" * 20 + "-1"
FACTS = FederationFacts(rounds=3, roster=("a", "b", "c"), sealed_bytes=72)
ROUND_JOB = NewJob(id=JOB, proposal=P, program=P, ticket=b"")
PROPOSAL = {"kind": "proposal", "proposal": P, "proposer": "lab"}
FREE: dict[str, Any] = {"grants": [], "charges": {}}
LEASE = {
    "kind": "lease",
    "lease": "l",
    "proposal": P,
    "job": JOB,
    "attempt": 1,
    "worker": "w",
    "deadline": 9,
    "judged": 0,
    **FREE,
}
OPEN = {"kind": "open-round", "proposal": P, "round": 1, "key": "k", "closes": 99, **FREE}
AGGREGATE = {"kind": "release", "lease": "l", "proposal": P, "job": JOB, "round": 1}
RELEASE = {"kind": "release", "lease": "l", "proposal": P, "job": JOB, "receipt": "r"}


class Kept:
    """A store with a log beside it, and a federation that was started."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.log = Log()
        insert_run(connection, P, "federate", b"t")
        self.step({"kind": "boot", "boot": "b"}, join("w"), join("x"), PROPOSAL)

    def commit_of(self, *entries: dict[str, Any]) -> enclaves_pb2.Commit:
        first = self.log.state.size
        return enclaves_pb2.Commit(
            first_index=first,
            entries=[entry_of(entry) for entry in entries],
            documents=[enclaves_pb2.StoredDocument(digest=f"sha256:{first}", document=b"d")],
            secrets=[enclaves_pb2.Secret(name="s", wrapped=str(first).encode())],
            checkpoint=f"note {first + len(entries)}".encode(),
        )

    def step(
        self, *entries: dict[str, Any], starting: dict[str, NewJob] | None = None
    ) -> tuple[Effects, list[JobRecord]]:
        """As the hub does it: folded, then stored; or nothing, and the log as the store has it."""
        return self.commit(self.commit_of(*entries), starting)

    def commit(
        self, commit: enclaves_pb2.Commit, starting: dict[str, NewJob] | None = None
    ) -> tuple[Effects, list[JobRecord]]:
        try:
            effects = self.log.extend(commit.first_index, commit.entries)
            store_commit(self.connection, commit)
            changed = job_rows.follow(self.connection, effects, starting or {})
        except Exception:
            self.log.load(self.connection)
            raise
        self.log.follow(commit.entries, commit.checkpoint)
        return effects, changed

    @property
    def record(self) -> FederationRecord:
        return FederationRecord(self.run, FACTS, self.log.federation(P))

    @property
    def run(self) -> RunRecord:
        found = get_run(self.connection, P)
        assert isinstance(found, RunRecord)
        return found

    @property
    def open_leases(self) -> list[str]:
        return list(self.log.state.open_leases)


def entry_of(entry: dict[str, Any]) -> bytes:
    return json.dumps({"at": [1, 1], "nonce": "n", **entry}).encode()


def join(worker: str) -> dict[str, Any]:
    claims = {"launched_for": "p", "measurement": "m", "lapses": 9}
    return {"kind": "join", "worker": worker, "evidence": "e", **claims}


def update(client: str, number: int = 1) -> dict[str, Any]:
    named = {"proposal": P, "round": number, "client": client, "update": "u" + client}
    return {"kind": "update", **named, "charge": [0, 0, 0]}


def cohort(standing: str) -> dict[str, Any]:
    return {"kind": "close-round", "proposal": P, "round": 1, "standing": standing, "counted": []}


def released(receipt: str, left: dict[str, str]) -> dict[str, Any]:
    return {**AGGREGATE, "release": "x", "receipt": receipt, "left": left, "until": 4}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield Kept(connection)
    engine.dispose()


def test_a_commit_is_whole_or_not_at_all(kept: Kept) -> None:
    connection, size = kept.connection, log_size(kept.connection)
    bad = (b"", b"[]", b"{", b'{"kind": 1}', b'{"kind": "lease"}', b"[" * 5000, b" " * 65536)
    for data in (*bad, entry_of({"kind": "unknown"})):
        commit = kept.commit_of({"kind": "boot", "boot": "c"})
        commit.entries.append(data)
        with pytest.raises(LogEntryInvalid):
            kept.commit(commit)
        assert (kept.log.state.size, kept.log.state.boot) == (size, "b")
    for first in (0, size - 1, size + 1):
        commit = kept.commit_of({"kind": "boot", "boot": "c"})
        commit.first_index = first
        with pytest.raises(LogRange) as caught:
            kept.commit(commit)
        assert caught.value.details == {"expected": str(size), "actual": str(first)}
    assert log_size(connection) == kept.log.tree.size == size
    assert read_checkpoint(connection) == f"note {size}".encode()
    assert read_secret(connection, "s") == b"0"
    assert read_document(connection, f"sha256:{size}") is None
    kept.step()  # secrets and a checkpoint alone are a commit too
    assert read_secret(connection, "s") == str(size).encode()
    assert len(read_entries(connection, 0, 10)) == size


def test_what_is_loaded_is_what_was_folded(kept: Kept) -> None:
    kept.step(OPEN, update("a"), cohort("closed"), LEASE, released("r", {"a": "NORM_EXCEEDED"}))
    again = Log()
    again.load(kept.connection)
    assert again.state == kept.log.state
    assert (again.tree.root(), again.checkpoint) == (kept.log.tree.root(), kept.log.checkpoint)


def test_entries_move_a_job_and_an_ended_one_stays(kept: Kept) -> None:
    insert_job(kept.connection, ROUND_JOB)
    effects, changed = kept.step(LEASE)
    assert [(r.state, r.lease) for r in changed] == [(runs_pb2.RUN_STATE_LEASED, "l")]
    assert [lease.digest for lease in effects.leased] == kept.open_leases == ["l"]
    effects, changed = kept.step(RELEASE)
    assert [(r.state, r.progress) for r in changed] == [(runs_pb2.RUN_STATE_FINISHED, 100)]
    assert [lease.digest for lease in effects.ended] == ["l"]
    assert kept.open_leases == []
    refusal = common_pb2.Refusal(reason=common_pb2.REASON_PROGRAM_EXITED)
    refused = refuse_job(kept.connection, JOB, refusal)
    assert refused.state == runs_pb2.RUN_STATE_FINISHED
    kept.step({**LEASE, "lease": "l2", "attempt": 2, "worker": "x"})
    record = get_job(kept.connection, JOB)
    assert (record.state, record.lease, record.receipt) == (runs_pb2.RUN_STATE_FINISHED, "l", "r")


def test_what_begins_and_ends_in_one_step_has_both_effects(kept: Kept) -> None:
    insert_job(kept.connection, ROUND_JOB)
    effects, changed = kept.step(LEASE, RELEASE)
    assert [lease.digest for lease in effects.leased + effects.ended] == ["l", "l"]
    assert [record.state for record in changed] == [
        runs_pb2.RUN_STATE_LEASED,
        runs_pb2.RUN_STATE_FINISHED,
    ]


def test_a_job_that_is_being_started_gets_its_row_with_its_lease(kept: Kept) -> None:
    starting = {job: NewJob(id=job, proposal=P, program="q", ticket=b"t") for job in ("j", "k")}
    _, changed = kept.step({**LEASE, "job": "j"}, starting=starting)
    assert [(r.id, r.state, r.lease, r.attempt) for r in changed] == [
        ("j", runs_pb2.RUN_STATE_LEASED, "l", 1)
    ]
    assert find_job(kept.connection, "j") == changed[0]
    assert find_job(kept.connection, "k") is None
    # One that waits again before its start was over has its row by then.
    insert_job(kept.connection, starting["k"])
    lease = {**LEASE, "lease": "m", "job": "k", "worker": "x"}
    _, changed = kept.step(lease, starting=starting)
    assert [(r.id, r.lease) for r in changed] == [("k", "m")]


def test_a_round_goes_from_open_to_released(kept: Kept) -> None:
    assert kept.record.current is None
    effects, _ = kept.step(OPEN, update("a"), update("c"))
    assert effects.touched == {P}
    record, size = kept.record, kept.log.state.size
    assert record.current is not None
    assert (record.current.number, record.current.closes) == (1, 99)
    assert record.current.opened_at == size - 3
    assert (set(record.current.updates), record.complete) == ({"a", "c"}, False)
    kept.step(update("b"))
    assert kept.record.complete
    insert_job(kept.connection, ROUND_JOB)
    kept.step(cohort("closed"), LEASE)
    record = kept.record
    assert record.job is not None
    assert record.job.state == runs_pb2.RUN_STATE_LEASED
    assert not record.to_proto().federation.outcomes
    _, changed = kept.step(released("r", {"b": "NORM_EXCEEDED"}))
    assert [job.id for job in changed] == [JOB]
    assert kept.open_leases == []
    record = kept.record
    job = get_job(kept.connection, JOB)
    assert record.job == job
    assert (job.state, job.receipt) == (runs_pb2.RUN_STATE_FINISHED, "r")
    assert record.log.quarantined == {"b": Quarantine("NORM_EXCEEDED", 4)}
    shown = record.to_proto()
    assert shown.federation.model_round == 1
    [outcome] = shown.federation.outcomes
    assert (outcome.released, outcome.updates) == (True, 3)
    assert dict(outcome.left) == {"b": "NORM_EXCEEDED"}


def test_an_aggregate_without_a_receipt_fails_the_job(kept: Kept) -> None:
    insert_job(kept.connection, ROUND_JOB)
    kept.step(OPEN, cohort("closed"), LEASE, released("", {"a": "SEGMENT_FORGED"}))
    job = get_job(kept.connection, JOB)
    assert job.state == runs_pb2.RUN_STATE_FAILED
    refusal = common_pb2.Refusal.FromString(job.refusal)
    assert refusal.reason == common_pb2.REASON_COHORT_TOO_SMALL
    record = kept.record
    assert record.current is not None
    assert record.current.over
    assert record.to_proto().federation.model_round == 0
    assert record.log.quarantined.keys() == {"a"}
    assert kept.open_leases == []


def test_the_next_round_begins_anew(kept: Kept) -> None:
    """A round that was never aggregated is void."""
    again = {**LEASE, "lease": "m", "attempt": 2, "worker": "x"}
    kept.step(OPEN, update("a"), cohort("closed"), LEASE, {"kind": "close", "lease": "l"}, again)
    kept.step({"kind": "close", "lease": "m"}, cohort("void"))
    kept.step({**OPEN, "round": 2, "closes": 200})
    record = kept.record
    assert record.current is not None
    assert not record.current.updates
    assert [(r.number, r.status) for r in record.log.rounds] == [(1, "void"), (2, "open")]
    outcomes = record.to_proto().federation.outcomes
    assert [(o.round, o.released, o.updates) for o in outcomes] == [(1, False, 1)]


def test_who_sits_out_is_let_in_by_an_entry(kept: Kept) -> None:
    kept.step(OPEN, cohort("closed"), LEASE, released("r", {"a": "NORM_EXCEEDED"}))
    [member, *_] = kept.record.to_proto().federation.members
    assert (member.client, member.quarantined_until, member.why) == ("a", 4, "NORM_EXCEEDED")
    kept.step({"kind": "lift", "proposal": P, "client": "a", "round": 4})
    assert not kept.record.log.quarantined


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "open-round", "round": 1, "closes": 1},
        {"kind": "update", "proposal": P, "round": 1},
        {**released("r", {}), "left": ["a"]},
        {"kind": "lift", "proposal": P},
        {**cohort("closed"), "proposal": "another"},
        {"kind": "lease", "lease": "l", "proposal": "another"},
    ],
)
def test_an_entry_that_lacks_something_is_not_stored(kept: Kept, bad: dict[str, Any]) -> None:
    size, before = log_size(kept.connection), repr(kept.log.state)
    with pytest.raises(LogEntryInvalid):
        kept.step(bad)
    assert log_size(kept.connection) == size
    assert repr(kept.log.state) == before


@pytest.mark.parametrize(
    ("action", "reason"),
    [("veto", "VETOED"), ("cancel", "STOPPED"), ("pause", "STOPPED")],
)
def test_a_stop_ends_what_waits_and_another_proposals_does_not(
    kept: Kept, action: str, reason: str
) -> None:
    insert_job(kept.connection, ROUND_JOB)
    other = {"kind": "proposal", "proposal": "sha256:other", "proposer": "lab"}
    stop = {"kind": "stop", "action": action, "target": "sha256:other"}
    effects, changed = kept.step(other, stop)
    assert effects.touched == {"sha256:other"}
    assert changed == []
    effects, changed = kept.step({**stop, "target": P})
    assert effects.touched == {P}
    [job] = changed
    assert (job.id, job.state) == (JOB, runs_pb2.RUN_STATE_STOPPED)
    refusal = common_pb2.Refusal.FromString(job.refusal)
    assert common_pb2.Reason.Name(refusal.reason) == "REASON_" + reason


def test_what_has_ended_stays_as_it_ended(kept: Kept) -> None:
    refusal = common_pb2.Refusal(reason=common_pb2.REASON_VETOED)
    assert left_runs(kept.connection) == [b"t"]
    end_run(kept.connection, P, refusal)
    record = kept.record
    assert record.run.state == runs_pb2.RUN_STATE_STOPPED
    assert left_runs(kept.connection) == []
    end_run(kept.connection, P, None)
    assert kept.record == record


def test_what_goes_on_gets_a_new_job_for_a_round_that_is_closed(kept: Kept) -> None:
    insert_job(kept.connection, ROUND_JOB)
    kept.step(OPEN, cohort("closed"))
    drop_ended(kept.connection, JOB)
    assert get_job(kept.connection, JOB).id == JOB  # it has not ended
    refusal = common_pb2.Refusal(reason=common_pb2.REASON_WORKER_UNAVAILABLE)
    refuse_job(kept.connection, JOB, refusal)
    end_run(kept.connection, P, refusal)
    assert kept.record.run.state == runs_pb2.RUN_STATE_FAILED
    resume_run(kept.connection, P)
    drop_ended(kept.connection, JOB)
    assert (kept.record.run.ended, kept.record.job) == (False, None)


def test_rounds_share_the_ticket(kept: Kept) -> None:
    insert_job(kept.connection, ROUND_JOB)
    assert ticket_of(kept.connection, JOB) == b"t"


def test_too_many_outcomes_leave_out_the_oldest(kept: Kept) -> None:
    for number in range(1, 1200):
        opened = {**OPEN, "round": number}
        kept.log.extend(kept.log.state.size, [entry_of(opened), entry_of(cohort("void"))])
    shown = kept.record.to_proto()
    assert [outcome.round for outcome in shown.federation.outcomes] == list(range(200, 1200))


def test_an_unknown_federation_is_refused(kept: Kept) -> None:
    with pytest.raises(RunNotFound):
        get_run(kept.connection, "sha256:other")


def test_a_job_is_a_run_of_its_own(kept: Kept) -> None:
    """It has its ticket, and stands as the job does; those of a federation are no runs."""
    own = NewJob(id="j", proposal="sha256:other", program="q", ticket=b"own")
    insert_job(kept.connection, own)
    insert_job(kept.connection, ROUND_JOB)
    assert (ticket_of(kept.connection, "j"), ticket_of(kept.connection, JOB)) == (b"own", b"t")
    assert left_runs(kept.connection) == [b"t"]  # jobs that are left are the placement's
    refusal = common_pb2.Refusal(reason=common_pb2.REASON_WORKER_UNAVAILABLE)
    for job in ("j", JOB):
        refuse_job(kept.connection, job, refusal)
    [run] = list_runs(kept.connection, 9, action="job")
    assert (run.id, run.state, run.ended) == ("j", runs_pb2.RUN_STATE_FAILED, True)
    assert [run.id for run in list_runs(kept.connection, 9)] == ["j", P]
    assert [run.id for run in list_runs(kept.connection, 9, before="j")] == [P]
    assert [run.id for run in list_runs(kept.connection, 9, proposal=P)] == [JOB]
    assert run.refusal == refusal.SerializeToString()
    assert not kept.run.ended


def test_a_service_has_as_many_workers_as_are_wanted_last(kept: Kept) -> None:
    connection, service = kept.connection, "sha256:" + "cd" * 32

    def run() -> RunRecord:
        found = get_run(connection, service)
        assert isinstance(found, RunRecord)
        return found

    want(connection, service, "serve", b"", 2)  # nothing is there yet to have them
    assert list_runs(connection, 9, action="serve") == []
    want(connection, service, "serve", b"s", 2)
    for number in (1, 2):
        insert_job(connection, NewJob(f"w-{number}", service, "q", b""))
    assert ([job.id for job in run().active], run().made, run().wanted) == (["w-1", "w-2"], 2, 2)
    refusal = common_pb2.Refusal(reason=common_pb2.REASON_WORKER_UNAVAILABLE)
    refuse_job(connection, "w-1", refusal)
    note_refusal(connection, service, refusal)
    assert ([job.id for job in run().active], run().made) == (["w-2"], 2)
    assert (run().state, run().refusal) == (runs_pb2.RUN_STATE_RUNNING, refusal.SerializeToString())
    want(connection, service, "serve", b"", 0)
    assert (run().wanted, run().ticket, run().refusal) == (0, b"s", b"")
    assert left_runs(connection) == [b"t", b"s"]  # its workers are let go
    end_drained(connection, service)
    assert (run().state, run().ended) == (runs_pb2.RUN_STATE_FINISHED, True)
    assert left_runs(connection) == [b"t"]  # a service that is drained is not begun again
    want(connection, service, "serve", b"", 2)
    end_drained(connection, service)  # it is to have workers again
    assert run().state == runs_pb2.RUN_STATE_RUNNING
    end_run(connection, service, refusal)
    assert run().state == runs_pb2.RUN_STATE_FAILED
    want(connection, service, "serve", b"s2", 1)
    assert (run().state, run().ticket) == (runs_pb2.RUN_STATE_RUNNING, b"s2")
    assert left_runs(connection) == [b"t", b"s2"]


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
