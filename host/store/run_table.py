# SPDX-License-Identifier: Apache-2.0
"""Runs in the store: what callers have asked for, and how it ended. Each function is one change or
query inside the caller's transaction.

A run is a job, a federation or a service. The jobs that its workers are given have rows of their
own (job_table.py), and what became of them is the log's to say.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from placet.governance.documents import Action
from placet.host.store import job_table
from placet.host.store.job_table import (
    ACTIVE,
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    STOPPING,
    JobRecord,
    now_ms,
)
from placet.host.store.schema import jobs, runs
from placet.host.store.sql import insert_or_ignore
from placet.proto.v1 import common_pb2, runs_pb2
from placet.refusals import RunNotFound


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A federation or a service as stored. `wanted` is how many workers are asked for; `refusal` a
    serialised `placet.v1.Refusal` or empty; `jobs` are those that have not ended, and the newest,
    in the order in which they were made; `made` is how many there ever were."""

    id: str
    action: Action
    ticket: bytes
    wanted: int
    state: runs_pb2.RunState.ValueType
    refusal: bytes
    started_ms: int
    jobs: tuple[JobRecord, ...]
    made: int

    @property
    def ended(self) -> bool:
        """Whether the host does nothing more for it."""
        return self.state != RUNNING

    @property
    def active(self) -> list[JobRecord]:
        """Its jobs that have not ended, oldest first."""
        return [job for job in self.jobs if not job.ended]

    def to_proto(self) -> runs_pb2.Run:
        """The run as callers see it, without what is particular to its kind."""
        run = runs_pb2.Run(
            id=self.id, proposal=self.id, state=self.state, started_ms=self.started_ms
        )
        if self.refusal:
            run.refusal.ParseFromString(self.refusal)
        return run


Record = JobRecord | RunRecord


def insert_run(connection: sa.Connection, run: str, action: Action, ticket: bytes) -> None:
    """Begin a run; nothing changes if it was begun before."""
    row = {"id": run, "action": action, "ticket": ticket, "wanted": 1, "refusal": b""}
    row |= {"state": RUNNING, "started_ms": now_ms()}
    connection.execute(insert_or_ignore(connection.dialect.name, runs), row)


def drop_run(connection: sa.Connection, run: str) -> None:
    """Forget one whose beginning was refused."""
    connection.execute(runs.delete().where(runs.c.id == run))


def want(connection: sa.Connection, run: str, action: Action, ticket: bytes, wanted: int) -> None:
    """Let a run have so many workers, whatever became of it before. ticket: empty to leave the one
    that it has."""
    change: dict[str, object] = {"wanted": wanted, "state": RUNNING, "refusal": b""}
    if ticket:
        insert_run(connection, run, action, ticket)
        change["ticket"] = ticket
    connection.execute(runs.update().where(runs.c.id == run).values(change))


def note_refusal(connection: sa.Connection, run: str, refusal: common_pb2.Refusal) -> None:
    """Show why the last worker of one that goes on has ended."""
    values = {"refusal": refusal.SerializeToString()}
    connection.execute(_running(run).values(values))


def end_run(connection: sa.Connection, run: str, refusal: common_pb2.Refusal | None) -> None:
    """End one that has not ended: finished, or for the reason of a refusal."""
    change: dict[str, object] = {"state": FINISHED, "refusal": b""}
    if refusal is not None:
        stopped = refusal.reason in STOPPING
        change["state"] = STOPPED if stopped else FAILED
        change["refusal"] = refusal.SerializeToString()
    connection.execute(_running(run).values(change))


def end_drained(connection: sa.Connection, run: str) -> None:
    """End one that is to have no workers, unless it is to have some by now."""
    connection.execute(_running(run).where(runs.c.wanted == 0).values(state=FINISHED))


def resume_run(connection: sa.Connection, run: str) -> None:
    """Let one that failed go on."""
    failed = runs.update().where(runs.c.id == run, runs.c.state == FAILED)
    connection.execute(failed.values(state=RUNNING, refusal=b""))


def left_runs(connection: sa.Connection) -> list[bytes]:
    """The tickets of all federations and services that the former host has left."""
    query = sa.select(runs.c.ticket).where(runs.c.state == RUNNING, runs.c.action != "job")
    return list(connection.execute(query).scalars())


def get_run(connection: sa.Connection, run: str) -> Record:
    """A job, a federation or a service. Raises `RunNotFound`."""
    job = job_table.find_job(connection, run)
    if job is not None:
        return job
    row = connection.execute(sa.select(runs).where(runs.c.id == run)).mappings().one_or_none()
    if row is None:
        raise RunNotFound("Nothing of this id was started here. Start it first.", claim="id")
    return _record(connection, row)


def list_runs(
    connection: sa.Connection, limit: int, before: str = "", action: str = "", proposal: str = ""
) -> list[Record]:
    """At most `limit` runs, newest first, those of an action if one is given; or all jobs of a
    proposal. before: only those that are older than this one; raises `RunNotFound` where it is
    none."""
    table = jobs if proposal else runs
    query = sa.select(table.c.id).order_by(table.c.seq.desc()).limit(limit)
    if before:
        last = sa.select(table.c.seq).where(table.c.id == before)
        known = connection.execute(last).scalar_one_or_none()
        if known is None:
            raise RunNotFound("No run has this id.", claim="before")
        query = query.where(table.c.seq < known)
    if proposal:
        query = query.where(jobs.c.proposal == proposal)
    elif action:
        query = query.where(runs.c.action == action)
    return [get_run(connection, run) for run in connection.execute(query).scalars().all()]


def end_lost(connection: sa.Connection, refusal: common_pb2.Refusal) -> None:
    """End every job of a service, for its worker went with the former host."""
    services = sa.select(runs.c.id).where(runs.c.action == "serve")
    lost = sa.select(jobs.c.id).where(jobs.c.state.in_(ACTIVE), jobs.c.proposal.in_(services))
    for job in connection.execute(lost).scalars().all():
        job_table.refuse_job(connection, job, refusal)


def _running(run: str) -> sa.Update:
    return runs.update().where(runs.c.id == run, runs.c.state == RUNNING)


def _record(connection: sa.Connection, row: sa.RowMapping) -> RunRecord:
    of_run = jobs.c.proposal == row["id"]
    newest = sa.select(sa.func.max(jobs.c.seq)).where(of_run).scalar_subquery()
    shown = sa.select(*job_table.COLUMNS).where(
        of_run, sa.or_(jobs.c.state.in_(ACTIVE), jobs.c.seq == newest)
    )
    found = connection.execute(shown.order_by(jobs.c.seq)).mappings()
    made = connection.execute(sa.select(sa.func.count()).where(of_run)).scalar_one()
    fields: dict[str, Any] = dict(row)
    del fields["seq"]
    return RunRecord(**fields, jobs=tuple(JobRecord(**job) for job in found), made=made)
