# SPDX-License-Identifier: Apache-2.0
"""Services in the store: each function is one change or query inside the caller's transaction.

A service's workers are jobs of its proposal. None outlives its host, so the next host ends them all
and starts others.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from placet.host.documents import TicketFacts
from placet.host.errors import ServiceNotFound
from placet.host.store import job_table
from placet.host.store.job_table import ACTIVE, STOPPING, JobRecord
from placet.host.store.schema import jobs, services
from placet.host.store.sql import insert_or_ignore
from placet.proto.v1 import common_pb2, inference_pb2

RUNNING = inference_pb2.SERVICE_STATE_UNSPECIFIED
STARTING = inference_pb2.SERVICE_STATE_STARTING
READY = inference_pb2.SERVICE_STATE_READY
DRAINED = inference_pb2.SERVICE_STATE_DRAINED
STOPPED = inference_pb2.SERVICE_STATE_STOPPED
FAILED = inference_pb2.SERVICE_STATE_FAILED
_COLUMNS = [column for column in services.c if column.name != "ticket"]
_MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A service that was started here.

    `workers` are those asked for, `jobs` those that there are, oldest first, `started` how many
    there ever were; `not_after` is in Unix seconds. `refusal` is a serialised `placet.v1.Refusal`
    or empty.
    """

    id: str
    workers: int
    not_after: int
    state: inference_pb2.ServiceState.ValueType
    refusal: bytes
    jobs: tuple[JobRecord, ...]
    started: int

    @property
    def ended(self) -> bool:
        """Whether the host does nothing more for it."""
        return self.state != RUNNING

    @property
    def taking(self) -> bool:
        """Whether it takes questions, as soon as there is a worker."""
        return not self.ended and self.workers > 0

    def to_proto(self, ready: int) -> inference_pb2.Service:
        """As callers see it, with so many workers ready."""
        state = self.state
        if not self.ended:
            state = READY if ready else STARTING
            state = state if self.workers else DRAINED
        shown = inference_pb2.Service(
            id=self.id, state=state, workers=self.workers, ready=ready, not_after=self.not_after
        )
        if self.refusal:
            shown.refusal.ParseFromString(self.refusal)
        return shown


def serve(connection: sa.Connection, facts: TicketFacts, ticket: bytes, workers: int) -> None:
    """Let a service have so many workers, whatever became of it before. ticket: empty to leave the
    one that it has."""
    change = {"workers": workers, "state": RUNNING, "refusal": b""}
    if ticket:
        change["ticket"] = ticket
        row = {"id": facts.proposal, "not_after": facts.not_after, **change}
        connection.execute(insert_or_ignore(connection.dialect.name, services), row)
    connection.execute(services.update().where(services.c.id == facts.proposal).values(change))


def note_refusal(connection: sa.Connection, service: str, refusal: common_pb2.Refusal) -> None:
    """Show why its last worker ended."""
    running = sa.and_(services.c.id == service, services.c.state == RUNNING)
    values = {"refusal": refusal.SerializeToString()}
    connection.execute(services.update().where(running).values(values))


def end_service(connection: sa.Connection, service: str, refusal: common_pb2.Refusal) -> None:
    """End one that is served."""
    note_refusal(connection, service, refusal)
    state = STOPPED if refusal.reason in STOPPING else FAILED
    running = sa.and_(services.c.id == service, services.c.state == RUNNING)
    connection.execute(services.update().where(running).values(state=state))


def served_tickets(connection: sa.Connection) -> list[bytes]:
    """The tickets of all that are to have workers."""
    query = sa.select(services.c.ticket)
    query = query.where(services.c.state == RUNNING, services.c.workers > 0)
    return list(connection.execute(query).scalars())


def get_service(connection: sa.Connection, service: str) -> ServiceRecord:
    """The service of a proposal. Raises `ServiceNotFound`."""
    query = sa.select(*_COLUMNS).where(services.c.id == service)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        text = "No service of this proposal was started here. Start it with Inference.Serve."
        raise ServiceNotFound(text, claim="id")
    return _record(connection, row)


def list_services(connection: sa.Connection) -> list[ServiceRecord]:
    """All, in the order of their ids; a bounded number."""
    query = sa.select(*_COLUMNS).order_by(services.c.id).limit(_MAX_LISTED)
    return [_record(connection, row) for row in connection.execute(query).mappings()]


def end_lost(connection: sa.Connection, refusal: common_pb2.Refusal) -> None:
    """End every job of a service: the workers went with the former host."""
    of_services = sa.select(jobs.c.id).where(
        jobs.c.state.in_(ACTIVE), jobs.c.proposal.in_(sa.select(services.c.id))
    )
    for job in connection.execute(of_services).scalars().all():
        job_table.refuse_job(connection, job, refusal)


def _record(connection: sa.Connection, row: sa.RowMapping) -> ServiceRecord:
    of_service = jobs.c.proposal == row["id"]
    active = sa.select(*job_table.COLUMNS).where(of_service, jobs.c.state.in_(ACTIVE))
    found = connection.execute(active.order_by(jobs.c.seq)).mappings()
    started = connection.execute(sa.select(sa.func.count()).where(of_service)).scalar_one()
    return ServiceRecord(**row, jobs=tuple(JobRecord(**job) for job in found), started=started)
