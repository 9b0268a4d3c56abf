# SPDX-License-Identifier: Apache-2.0
"""What entries say of federations, indexed in the transaction that stores them. See
log_table.py."""

import json
from collections.abc import Mapping

import sqlalchemy as sa

from placet.host.errors import LogEntryInvalid
from placet.host.log.log_entry import Effects, Entry
from placet.host.store import job_table
from placet.host.store.federation_record import RUNNING, STOPPED, Standing
from placet.host.store.job_table import FAILED, RELEASED
from placet.host.store.schema import federations, leases, rounds, suspensions, updates
from placet.host.store.sql import insert_or_ignore
from placet.proto.v1 import common_pb2


def index(connection: sa.Connection, kind: str, entry: Entry, effects: Effects) -> None:
    """Index an entry; of another kind than a federation's it changes nothing."""
    match kind:
        case "open":
            _index_open(connection, entry)
        case "update":
            _index_update(connection, entry)
        case "cohort":
            _change_round(connection, entry, {"standing": _standing_of(entry)})
        case "aggregate":
            _index_aggregate(connection, entry, effects)
        case "lift":
            _lift(connection, entry.text("proposal"), entry.text("client"))
        case _:
            return
    effects.federations.add(entry.text("proposal"))


def stop(
    connection: sa.Connection, target: str, reason: common_pb2.Reason.ValueType, effects: Effects
) -> None:
    """End the federation of a stopped proposal."""
    text = "The federation's proposal was stopped."
    refusal = common_pb2.Refusal(reason=reason, message=text)
    running = sa.and_(federations.c.id == target, federations.c.state == RUNNING)
    change = {"state": STOPPED, "refusal": refusal.SerializeToString()}
    if connection.execute(federations.update().where(running).values(change)).rowcount:
        effects.federations.add(target)


def _standing_of(entry: Entry) -> Standing:
    try:
        return Standing(entry.text("standing"))
    except ValueError:
        raise LogEntryInvalid(
            f"Entry {entry.index} has another standing.", claim="standing"
        ) from None


def _index_open(connection: sa.Connection, entry: Entry) -> None:
    federation = entry.text("proposal")
    # Every attempt of the round before failed, if it was still being aggregated.
    before = sa.and_(rounds.c.federation == federation, rounds.c.standing == Standing.CLOSED)
    connection.execute(rounds.update().where(before).values(standing=Standing.VOID))
    connection.execute(updates.delete().where(updates.c.federation == federation))
    opened = {"number": entry.number("round"), "closes": entry.number("closes")}
    new = {"opened_at": entry.index, "standing": Standing.OPEN, "updates": 0, "gone": "{}"}
    connection.execute(rounds.insert().values(federation=federation, **opened, **new))


def _index_update(connection: sa.Connection, entry: Entry) -> None:
    row = {"federation": entry.text("proposal"), "client": entry.text("client")}
    connection.execute(insert_or_ignore(connection.dialect.name, updates), row)
    _change_round(connection, entry, {"updates": rounds.c.updates + 1})


def _index_aggregate(connection: sa.Connection, entry: Entry, effects: Effects) -> None:
    """The round's job ends, as by a release; who left is suspended."""
    federation, lease, receipt = entry.text("proposal"), entry.text("lease"), entry.text("receipt")
    gone, until = entry.table("left"), entry.number("until")
    standing = Standing.RELEASED if receipt else Standing.VOID
    _change_round(connection, entry, {"standing": standing, "gone": json.dumps(gone)})
    for client, reason in gone.items():
        _lift(connection, federation, client)
        row = {"federation": federation, "client": client, "until": until, "reason": reason}
        connection.execute(suspensions.insert().values(row))
    done = leases.update().where(leases.c.lease == lease)
    connection.execute(done.values(state="released"))
    change: dict[str, object] = {"lease": lease, "receipt": receipt}
    if receipt:
        change |= {"state": RELEASED, "progress": 100}
    else:
        text = "Too few organisations' updates were left; nothing was released."
        refusal = common_pb2.Refusal(reason=common_pb2.REASON_COHORT_TOO_SMALL, message=text)
        change |= {"state": FAILED, "refusal": refusal.SerializeToString()}
    effects.jobs.extend(job_table.change_job(connection, entry.text("job"), change))


def _change_round(connection: sa.Connection, entry: Entry, change: Mapping[str, object]) -> None:
    this = sa.and_(
        rounds.c.federation == entry.text("proposal"), rounds.c.number == entry.number("round")
    )
    connection.execute(rounds.update().where(this).values(change))


def _lift(connection: sa.Connection, federation: str, client: str) -> None:
    of_client = sa.and_(suspensions.c.federation == federation, suspensions.c.client == client)
    connection.execute(suspensions.delete().where(of_client))
