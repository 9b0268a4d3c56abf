# SPDX-License-Identifier: Apache-2.0
"""Federations in the store: each function is one change or query inside the caller's transaction.

What the rounds are is read from the log's entries (federation_index.py); the host's own is only
which federations were started here, and how they ended.
"""

import json

import sqlalchemy as sa

from placet.governance.jobs import round_job
from placet.host.documents import TicketFacts
from placet.host.errors import FederationNotFound, JobNotFound
from placet.host.store import job_table
from placet.host.store.federation_record import (
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    FederationRecord,
    RoundRecord,
    Standing,
    Suspension,
)
from placet.host.store.job_table import STOPPING, JobRecord
from placet.host.store.schema import federations, jobs, rounds, suspensions, updates
from placet.host.store.sql import insert_or_ignore
from placet.proto.v1 import common_pb2

_MAX_ROUNDS = 1000  # of the newest, that are shown
_ROUND = [column for column in rounds.c if column.name != "federation"]


def insert_federation(connection: sa.Connection, facts: TicketFacts, ticket: bytes) -> None:
    """Start a federation; nothing changes if it was started before."""
    federation = facts.federation
    assert federation is not None
    row = {"id": facts.proposal, "ticket": ticket, "state": RUNNING, "refusal": b""}
    row |= {"rounds": federation.rounds, "sealed_bytes": federation.sealed_bytes}
    row |= {"roster": json.dumps(federation.roster)}
    connection.execute(insert_or_ignore(connection.dialect.name, federations), row)


def drop_federation(connection: sa.Connection, federation: str) -> None:
    """Forget one whose first round was refused."""
    connection.execute(federations.delete().where(federations.c.id == federation))


def end_federation(
    connection: sa.Connection, federation: str, refusal: common_pb2.Refusal | None
) -> None:
    """End one that runs: finished, or for the reason of a refusal."""
    state = FINISHED
    if refusal is not None:
        state = STOPPED if refusal.reason in STOPPING else FAILED
    text = b"" if refusal is None else refusal.SerializeToString()
    running = sa.and_(federations.c.id == federation, federations.c.state == RUNNING)
    connection.execute(federations.update().where(running).values(state=state, refusal=text))


def resume_federation(connection: sa.Connection, federation: str) -> None:
    """Let one that failed run again. A round that is still to be aggregated gets a new job for the
    old."""
    ended = sa.and_(federations.c.id == federation, federations.c.state == FAILED)
    connection.execute(federations.update().where(ended).values(state=RUNNING, refusal=b""))
    record = get_federation(connection, federation)
    if record.current is not None and record.current.standing == Standing.CLOSED:
        job = round_job(federation, record.current.number)
        done = sa.and_(jobs.c.id == job, jobs.c.state.in_(job_table.ENDED))
        connection.execute(jobs.delete().where(done))


def running_federations(connection: sa.Connection) -> list[bytes]:
    """The tickets of all that have not ended."""
    query = sa.select(federations.c.ticket).where(federations.c.state == RUNNING)
    return list(connection.execute(query).scalars())


def get_federation(connection: sa.Connection, federation: str) -> FederationRecord:
    """The federation of a proposal. Raises `FederationNotFound`."""
    columns = [column for column in federations.c if column.name != "ticket"]
    query = sa.select(*columns).where(federations.c.id == federation)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise FederationNotFound(
            "No federation of this proposal was started here. Start it first.", claim="federation"
        )
    latest = _latest(connection, federation)
    return FederationRecord(
        id=federation,
        rounds=row["rounds"],
        roster=tuple(json.loads(row["roster"])),
        sealed_bytes=row["sealed_bytes"],
        state=row["state"],
        refusal=row["refusal"],
        latest=latest,
        updated=_updated(connection, federation),
        suspended=_suspended(connection, federation),
        model_round=_model_round(connection, federation),
        job=_job(connection, federation, latest[0].number) if latest else None,
    )


def _latest(connection: sa.Connection, federation: str) -> tuple[RoundRecord, ...]:
    query = sa.select(*_ROUND).where(rounds.c.federation == federation)
    query = query.order_by(rounds.c.number.desc()).limit(_MAX_ROUNDS)
    return tuple(RoundRecord(**row) for row in connection.execute(query).mappings())


def _updated(connection: sa.Connection, federation: str) -> frozenset[str]:
    query = sa.select(updates.c.client).where(updates.c.federation == federation)
    return frozenset(connection.execute(query).scalars())


def _suspended(connection: sa.Connection, federation: str) -> dict[str, Suspension]:
    query = sa.select(suspensions).where(suspensions.c.federation == federation)
    return {row.client: Suspension(row.until, row.reason) for row in connection.execute(query)}


def _model_round(connection: sa.Connection, federation: str) -> int:
    query = sa.select(sa.func.max(rounds.c.number))
    released = sa.and_(rounds.c.federation == federation, rounds.c.standing == Standing.RELEASED)
    return connection.execute(query.where(released)).scalar_one() or 0


def _job(connection: sa.Connection, federation: str, number: int) -> JobRecord | None:
    try:
        return job_table.get_job(connection, round_job(federation, number))
    except JobNotFound:
        return None
