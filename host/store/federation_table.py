# SPDX-License-Identifier: Apache-2.0
"""Federations in the store: each function is one change or query inside the caller's transaction.

The rounds are the log's; the host's own is only which federations were started here, and how they
ended.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from placet.host.errors import FederationNotFound
from placet.host.store.job_table import STOPPING
from placet.host.store.schema import federations
from placet.host.store.sql import insert_or_ignore
from placet.proto.v1 import common_pb2, federations_pb2

RUNNING = federations_pb2.FEDERATION_STATE_UNSPECIFIED
FINISHED = federations_pb2.FEDERATION_STATE_FINISHED
FAILED = federations_pb2.FEDERATION_STATE_FAILED
STOPPED = federations_pb2.FEDERATION_STATE_STOPPED


@dataclass(frozen=True, slots=True)
class FederationRow:
    """A federation that was started here, with the serialised ticket. `refusal` is a serialised
    `placet.v1.Refusal` or empty."""

    id: str
    ticket: bytes
    state: federations_pb2.FederationState.ValueType
    refusal: bytes


def insert_federation(connection: sa.Connection, federation: str, ticket: bytes) -> None:
    """Start a federation; nothing changes if it was started before."""
    row = {"id": federation, "ticket": ticket, "state": RUNNING, "refusal": b""}
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
    """Let one that failed run again."""
    failed = sa.and_(federations.c.id == federation, federations.c.state == FAILED)
    connection.execute(federations.update().where(failed).values(state=RUNNING, refusal=b""))


def running_federations(connection: sa.Connection) -> list[bytes]:
    """The tickets of all that have not ended."""
    query = sa.select(federations.c.ticket).where(federations.c.state == RUNNING)
    return list(connection.execute(query).scalars())


def get_federation(connection: sa.Connection, federation: str) -> FederationRow:
    """The federation of a proposal. Raises `FederationNotFound`."""
    query = sa.select(federations).where(federations.c.id == federation)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise FederationNotFound(
            "No federation of this proposal was started here. Start it first.", claim="federation"
        )
    return FederationRow(**row)
