# SPDX-License-Identifier: Apache-2.0
"""Runs in the store: what callers have asked for, and how it ended. Each function is one change or
query inside the caller's transaction.

A run is a job, a federation or a service. The jobs that its workers are given have rows of their
own (job_table.py), and what became of them is the log's to say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from placet.governance.documents import Action
from placet.host.store import job_table
from placet.host.store.job_table import ACTIVE, STOPPING, JobRecord
from placet.host.store.schema import RunState, jobs, runs
from placet.host.store.sql import insert_or_ignore
from placet.proto.v1 import common_pb2
from placet.refusals import FederationNotFound, Refusal, ServiceNotFound

_MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as stored. `wanted` is how many workers are asked for; `refusal` a serialised
    `placet.v1.Refusal` or empty; `jobs` are those that have not ended, and the newest, in the order
    in which they were made; `made` is how many there ever were."""

    id: str
    action: Action
    ticket: bytes
    wanted: int
    state: RunState
    refusal: bytes
    jobs: tuple[JobRecord, ...]
    made: int

    @property
    def ended(self) -> bool:
        """Whether the host does nothing more for it."""
        return self.state != RunState.RUNNING

    @property
    def active(self) -> list[JobRecord]:
        """Its jobs that have not ended, oldest first."""
        return [job for job in self.jobs if not job.ended]


_UNKNOWN: dict[Action, Callable[[], Refusal]] = {
    "federate": lambda: FederationNotFound(
        "No federation of this proposal was started here. Start it first.", claim="federation"
    ),
    "serve": lambda: ServiceNotFound(
        "No service of this proposal was started here. Start it with Inference.Serve.", claim="id"
    ),
}


def insert_run(connection: sa.Connection, run: str, action: Action, ticket: bytes) -> None:
    """Begin a run; nothing changes if it was begun before."""
    row = {"id": run, "action": action, "ticket": ticket, "wanted": 1, "refusal": b""}
    row |= {"state": RunState.RUNNING}
    connection.execute(insert_or_ignore(connection.dialect.name, runs), row)


def drop_run(connection: sa.Connection, run: str) -> None:
    """Forget one whose beginning was refused."""
    connection.execute(runs.delete().where(runs.c.id == run))


def want(connection: sa.Connection, run: str, action: Action, ticket: bytes, wanted: int) -> None:
    """Let a run have so many workers, whatever became of it before. ticket: empty to leave the one
    that it has."""
    change: dict[str, object] = {"wanted": wanted, "state": RunState.RUNNING, "refusal": b""}
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
    change: dict[str, object] = {"state": RunState.FINISHED, "refusal": b""}
    if refusal is not None:
        stopped = refusal.reason in STOPPING
        change["state"] = RunState.STOPPED if stopped else RunState.FAILED
        change["refusal"] = refusal.SerializeToString()
    connection.execute(_running(run).values(change))


def resume_run(connection: sa.Connection, run: str) -> None:
    """Let one that failed go on."""
    failed = runs.update().where(runs.c.id == run, runs.c.state == RunState.FAILED)
    connection.execute(failed.values(state=RunState.RUNNING, refusal=b""))


def left_runs(connection: sa.Connection) -> list[bytes]:
    """The tickets of all federations and services that the former host has left."""
    query = sa.select(runs.c.ticket).where(
        runs.c.state == RunState.RUNNING, runs.c.wanted > 0, runs.c.action != "job"
    )
    return list(connection.execute(query).scalars())


def get_run(connection: sa.Connection, run: str, action: Action) -> RunRecord:
    """A run. Raises `FederationNotFound` or `ServiceNotFound`."""
    query = sa.select(runs).where(runs.c.id == run, runs.c.action == action)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise _UNKNOWN[action]()
    return _record(connection, row)


def list_runs(connection: sa.Connection, action: Action) -> list[RunRecord]:
    """All of a kind, in the order of their ids; a bounded number."""
    query = sa.select(runs).where(runs.c.action == action).order_by(runs.c.id).limit(_MAX_LISTED)
    return [_record(connection, row) for row in connection.execute(query).mappings()]


def end_lost(connection: sa.Connection, refusal: common_pb2.Refusal) -> None:
    """End every job of a service, for its worker went with the former host."""
    services = sa.select(runs.c.id).where(runs.c.action == "serve")
    lost = sa.select(jobs.c.id).where(jobs.c.state.in_(ACTIVE), jobs.c.proposal.in_(services))
    for job in connection.execute(lost).scalars().all():
        job_table.refuse_job(connection, job, refusal)


def _running(run: str) -> sa.Update:
    return runs.update().where(runs.c.id == run, runs.c.state == RunState.RUNNING)


def _record(connection: sa.Connection, row: sa.RowMapping) -> RunRecord:
    of_run = jobs.c.proposal == row["id"]
    newest = sa.select(sa.func.max(jobs.c.seq)).where(of_run).scalar_subquery()
    shown = sa.select(*job_table.COLUMNS).where(
        of_run, sa.or_(jobs.c.state.in_(ACTIVE), jobs.c.seq == newest)
    )
    found = connection.execute(shown.order_by(jobs.c.seq)).mappings()
    made = connection.execute(sa.select(sa.func.count()).where(of_run)).scalar_one()
    fields: dict[str, Any] = {**row, "state": RunState(row["state"])}
    del fields["seq"]
    return RunRecord(**fields, jobs=tuple(JobRecord(**job) for job in found), made=made)
