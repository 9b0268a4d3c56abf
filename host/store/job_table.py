# SPDX-License-Identifier: Apache-2.0
"""Jobs in the store: each function is one change or query inside the caller's transaction.

A job that has ended never changes again: every update says from which states it may go.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from placet.host.store.schema import jobs, runs
from placet.host.store.sql import Prepared, insert_or_ignore
from placet.proto.v1 import common_pb2, runs_pb2
from placet.refusals import RunNotFound

QUEUED = runs_pb2.RUN_STATE_QUEUED
LEASED = runs_pb2.RUN_STATE_LEASED
RUNNING = runs_pb2.RUN_STATE_RUNNING
FINISHED = runs_pb2.RUN_STATE_FINISHED
FAILED = runs_pb2.RUN_STATE_FAILED
STOPPED = runs_pb2.RUN_STATE_STOPPED
ACTIVE = (QUEUED, LEASED, RUNNING)
ENDED = (FINISHED, FAILED, STOPPED)
# Reasons for which a run is said to have been stopped rather than to have failed.
STOPPING = (
    common_pb2.REASON_STOPPED,
    common_pb2.REASON_VETOED,
    common_pb2.REASON_GRANT_WITHDRAWN,
    common_pb2.REASON_SERVICE_ENDED,
)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as stored, without its ticket. `refusal` is a serialised `placet.v1.Refusal` or
    empty."""

    seq: int
    id: str
    proposal: str
    program: str
    state: runs_pb2.RunState.ValueType
    progress: int
    attempt: int
    lease: str
    receipt: str
    refusal: bytes
    submitted_ms: int
    changed_ms: int

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED

    def to_proto(self) -> runs_pb2.Run:
        """The job as callers see it."""
        run = runs_pb2.Run(
            id=self.id,
            proposal=self.proposal,
            state=self.state,
            progress=self.progress,
            started_ms=self.submitted_ms,
            job=runs_pb2.Job(attempt=self.attempt, changed_ms=self.changed_ms),
        )
        if self.refusal:
            run.refusal.ParseFromString(self.refusal)
        return run


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a submitted job begins with. `ticket` is empty for a round of a federation and a worker
    of a service."""

    id: str
    proposal: str
    program: str
    ticket: bytes


# All of a `JobRecord`, in its order.
COLUMNS = list(jobs.c)
_QUEUED_ROW: Mapping[str, object] = {
    "state": QUEUED,
    "progress": 0,
    "attempt": 0,
    "lease": "",
    "receipt": "",
    "refusal": b"",
}
# Made once: they are on the way from submit to running.
_BY_ID = Prepared(lambda _: sa.select(jobs).where(jobs.c.id == sa.bindparam("id")))
_ACTIVE_JOB = Prepared(
    lambda _: (
        jobs.update()
        .where(
            jobs.c.id == sa.bindparam("job"),
            sa.or_(*(jobs.c.state == state for state in ACTIVE)),
        )
        .returning(*COLUMNS)
    )
)
_INSERT = Prepared(lambda dialect: insert_or_ignore(dialect, jobs).returning(*COLUMNS))
_INSERT_RUN = Prepared(lambda dialect: insert_or_ignore(dialect, runs))


def now_ms() -> int:
    """Unix milliseconds by the host's clock."""
    return time.time_ns() // 1_000_000


def insert_job(
    connection: sa.Connection, new: NewJob, change: Mapping[str, object] = _QUEUED_ROW
) -> tuple[JobRecord, bool]:
    """The job of this name, and whether it was made now, with this change of state."""
    now = now_ms()
    row: dict[str, object] = {"id": new.id, "proposal": new.proposal, "program": new.program}
    row |= {**_QUEUED_ROW, **change, "submitted_ms": now, "changed_ms": now}
    for made in _INSERT.run(connection, row):
        if new.ticket:
            run = {"id": new.id, "action": "job", "ticket": new.ticket, "wanted": 1}
            run |= {"state": RUNNING, "refusal": b"", "started_ms": now}
            _INSERT_RUN.run(connection, run)
        return JobRecord(*made), True
    return get_job(connection, new.id), False


def find_job(connection: sa.Connection, job: str) -> JobRecord | None:
    """The job of a name, if there is one."""
    rows = _BY_ID.run(connection, {"id": job})
    return JobRecord(*rows[0]) if rows else None


def get_job(connection: sa.Connection, job: str) -> JobRecord:
    """The job of a name. Raises `RunNotFound`."""
    record = find_job(connection, job)
    if record is None:
        raise RunNotFound("No job has this id.", claim="id")
    return record


def active_jobs(connection: sa.Connection) -> list[JobRecord]:
    """Every job that has not ended, oldest first."""
    query = sa.select(*COLUMNS).where(jobs.c.state.in_(ACTIVE)).order_by(jobs.c.seq)
    return [JobRecord(**row) for row in connection.execute(query).mappings()]


def active_rounds(connection: sa.Connection) -> set[str]:
    """The ids of those jobs that have not ended and are rounds of federations."""
    query = sa.select(jobs.c.id).join(runs, runs.c.id == jobs.c.proposal)
    return set(connection.execute(query.where(jobs.c.state.in_(ACTIVE))).scalars())


def ticket_of(connection: sa.Connection, job: str) -> bytes:
    """The serialised ticket of a job: that of its run."""
    run = sa.or_(runs.c.id == jobs.c.id, runs.c.id == jobs.c.proposal)
    query = sa.select(runs.c.ticket).join(jobs, run).where(jobs.c.id == job)
    ticket: bytes = connection.execute(query).scalar_one()
    return ticket


def recent_tickets(connection: sa.Connection, limit: int) -> list[bytes]:
    """Tickets of the proposals that jobs were submitted under last, newest first."""
    newest = sa.select(sa.func.max(jobs.c.seq)).group_by(jobs.c.proposal)
    query = sa.select(runs.c.ticket).join(jobs, runs.c.id == jobs.c.id)
    query = query.where(jobs.c.seq.in_(newest))
    return list(connection.execute(query.order_by(jobs.c.seq.desc()).limit(limit)).scalars())


def change_job(
    connection: sa.Connection, job: str, change: Mapping[str, object]
) -> list[JobRecord]:
    """Change a job as an entry says; nothing if it has ended, or is none of this store."""
    row = {**change, "job": job, "changed_ms": now_ms()}
    return [JobRecord(*found) for found in _ACTIVE_JOB.run(connection, row)]


def set_progress(connection: sa.Connection, lease: str, percent: int) -> None:
    """Record that the attempt runs and how far it is; progress only rises."""
    running = sa.and_(
        jobs.c.lease == lease, jobs.c.state.in_((LEASED, RUNNING)), jobs.c.progress <= percent
    )
    change = {"state": RUNNING, "progress": percent, "changed_ms": now_ms()}
    connection.execute(jobs.update().where(running).values(change))


def requeue_job(connection: sa.Connection, job: str) -> JobRecord:
    """Let a job wait for a further attempt, unless it has ended."""
    change_job(connection, job, {"state": QUEUED, "progress": 0, "lease": ""})
    return get_job(connection, job)


def refuse_job(connection: sa.Connection, job: str, refusal: common_pb2.Refusal) -> JobRecord:
    """End a job with a refusal, unless it has ended already."""
    change = {"state": _refused(refusal), "refusal": refusal.SerializeToString()}
    change_job(connection, job, change)
    return get_job(connection, job)


def refuse_waiting(
    connection: sa.Connection, proposal: str, refusal: common_pb2.Refusal
) -> list[JobRecord]:
    """End the jobs of a proposal that still wait for a worker."""
    waiting = jobs.update().where(jobs.c.state == QUEUED, jobs.c.proposal == proposal)
    change = {"state": _refused(refusal), "refusal": refusal.SerializeToString()}
    ended = connection.execute(waiting.values(**change, changed_ms=now_ms()).returning(*COLUMNS))
    return [JobRecord(*row) for row in ended]


def drop_ended(connection: sa.Connection, job: str) -> None:
    """Forget a job that has ended."""
    connection.execute(jobs.delete().where(jobs.c.id == job, jobs.c.state.in_(ENDED)))


def _refused(refusal: common_pb2.Refusal) -> int:
    return STOPPED if refusal.reason in STOPPING else FAILED
