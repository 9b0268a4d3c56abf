# SPDX-License-Identifier: Apache-2.0
"""One durable step of the authority in the store, and the indexes that are read from its entries.

Everything of a commit goes into one transaction: secrets, documents, entries, checkpoint, indexes,
and the jobs that the entries speak of. The host indexes what it needs and judges nothing: an entry
of a kind that it does not use is stored like any other.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import sqlalchemy as sa

from placet.host.errors import LogRange
from placet.host.log import federation_index
from placet.host.log.log_entry import Effects, Entry
from placet.host.store import job_table
from placet.host.store.job_table import NewJob
from placet.host.store.schema import (
    ballots,
    checkpoint,
    constitutions,
    documents,
    entries,
    jobs,
    leases,
    proposals,
    secrets,
)
from placet.host.store.sql import Prepared, insert_or_ignore, insert_or_replace
from placet.proto.v1 import common_pb2, enclaves_pb2

# Made once: they are on the way from submit to running.
_LAST = Prepared(lambda _: sa.select(sa.func.max(entries.c.idx)))
_ENTRY = Prepared(lambda _: entries.insert())
_LEASE = Prepared(lambda _: leases.insert())
_SECRET = Prepared(lambda dialect: insert_or_replace(dialect, secrets, "name", "wrapped"))
_DOCUMENT = Prepared(lambda dialect: insert_or_ignore(dialect, documents))
_CHECKPOINT = Prepared(lambda dialect: insert_or_replace(dialect, checkpoint, "id", "note"))
_NOBODY: Mapping[str, NewJob] = MappingProxyType({})
_STOPS = {"cancel": common_pb2.REASON_STOPPED, "veto": common_pb2.REASON_VETOED}


def log_size(connection: sa.Connection) -> int:
    """The number of entries."""
    last = _LAST.run(connection, {})[0][0]
    return 0 if last is None else int(last) + 1


def apply_commit(
    connection: sa.Connection,
    commit: enclaves_pb2.Commit,
    starting: Mapping[str, NewJob] = _NOBODY,
) -> Effects:
    """Store a commit; jobs in `starting` get their row with their lease.

    Raises `LogRange` unless it follows the last entry, or `LogEntryInvalid`.
    """
    size = log_size(connection)
    if commit.first_index != size:
        raise LogRange(
            f"The commit begins at entry {commit.first_index}; the log has {size}.",
            expected=str(size),
            actual=str(commit.first_index),
        )
    effects = Effects(tuple(commit.entries), commit.checkpoint, starting)
    for secret in commit.secrets:
        _SECRET.run(connection, {"name": secret.name, "wrapped": secret.wrapped})
    for held in commit.documents:
        _DOCUMENT.run(connection, {"digest": held.digest, "document": held.document})
    for index, data in enumerate(commit.entries, start=size):
        _ENTRY.run(connection, {"idx": index, "entry": data})
        _index(connection, index, data, effects)
    if commit.checkpoint:
        _CHECKPOINT.run(connection, {"id": 1, "note": commit.checkpoint})
    return effects


def _index(connection: sa.Connection, index: int, data: bytes, effects: Effects) -> None:
    entry = Entry(index, data)
    match kind := entry.text("kind"):
        case "charter":
            row = {"constitution": entry.text("constitution"), "charter": entry.text("charter")}
            connection.execute(constitutions.insert().values(idx=index, **row))
        case "constitution":
            row = {"constitution": entry.text("constitution"), "charter": ""}
            connection.execute(constitutions.insert().values(idx=index, **row))
        case "proposal":
            new = {"digest": entry.text("proposal"), "idx": index, "ballots": 0}
            connection.execute(insert_or_ignore(connection.dialect.name, proposals), new)
        case "ballot":
            _index_ballot(connection, entry)
        case "stop":
            _index_stop(connection, entry, effects)
        case "boot":
            effects.origins.append(entry)
        case "join":
            entry.text("worker")
            effects.origins.append(entry)
        case "lease":
            entry.text("worker")
            effects.origins.append(entry)
            _index_lease(connection, entry, effects)
        case "release":
            _index_release(connection, entry, effects)
        case "close":
            closed = leases.update().where(leases.c.lease == entry.text("lease"))
            connection.execute(closed.values(state="closed"))
        case _:
            federation_index.index(connection, kind, entry, effects)


def _index_ballot(connection: sa.Connection, entry: Entry) -> None:
    proposal = entry.text("proposal")
    row = {"idx": entry.index, "proposal": proposal, "ballot": entry.text("ballot")}
    connection.execute(ballots.insert().values(row))
    counted = proposals.update().where(proposals.c.digest == proposal)
    connection.execute(counted.values(ballots=proposals.c.ballots + 1))


def _index_stop(connection: sa.Connection, entry: Entry, effects: Effects) -> None:
    """End what of a stopped proposal still waits; a job that runs is told by the authority."""
    action, target = entry.text("action"), entry.text("target")
    if action == "pause":
        # No round of it opens any more; a job that waits is refused when its turn comes.
        federation_index.stop(connection, target, common_pb2.REASON_STOPPED, effects)
    reason = _STOPS.get(action)
    if reason is None:
        return
    waiting = sa.select(jobs.c.id).where(
        jobs.c.state == job_table.QUEUED, sa.or_(jobs.c.proposal == target, jobs.c.id == target)
    )
    refusal = common_pb2.Refusal(reason=reason, message="The proposal was stopped while it waited.")
    for job in connection.execute(waiting).scalars().all():
        effects.jobs.append(job_table.refuse_job(connection, job, refusal))
    federation_index.stop(connection, target, reason, effects)


def _index_lease(connection: sa.Connection, entry: Entry, effects: Effects) -> None:
    lease, job, attempt = entry.text("lease"), entry.text("job"), entry.number("attempt")
    proposal = entry.text("proposal")
    row = {"lease": lease, "job": job, "proposal": proposal, "attempt": attempt, "state": "open"}
    _LEASE.run(connection, row)
    effects.leased.append((proposal, attempt))
    change = {"state": job_table.LEASED, "lease": lease, "attempt": attempt, "progress": 0}
    new = effects.starting.get(job)
    if new is not None:
        record, made = job_table.insert_job(connection, new, change)
        if made:
            effects.jobs.append(record)
            return
    effects.jobs.extend(job_table.change_job(connection, job, change))


def _index_release(connection: sa.Connection, entry: Entry, effects: Effects) -> None:
    lease, job = entry.text("lease"), entry.text("job")
    released = leases.update().where(leases.c.lease == lease).values(state="released")
    connection.execute(released)
    receipt = entry.text("receipt")
    change = {"state": job_table.RELEASED, "lease": lease, "receipt": receipt, "progress": 100}
    effects.jobs.extend(job_table.change_job(connection, job, change))


def read_entries(connection: sa.Connection, start: int, end: int) -> list[bytes]:
    """Entries start..end-1."""
    query = sa.select(entries.c.entry).where(entries.c.idx >= start, entries.c.idx < end)
    return list(connection.execute(query.order_by(entries.c.idx)).scalars())


def read_checkpoint(connection: sa.Connection) -> bytes:
    """The newest checkpoint; empty before the log is founded."""
    note = connection.execute(sa.select(checkpoint.c.note)).scalar_one_or_none()
    return b"" if note is None else note


def read_document(connection: sa.Connection, digest: str) -> bytes | None:
    """The document stored under a digest."""
    query = sa.select(documents.c.document).where(documents.c.digest == digest)
    return connection.execute(query).scalar_one_or_none()


def read_documents(connection: sa.Connection, digests: Iterable[str]) -> list[bytes]:
    """The documents of these digests, in their order, without those that are not stored."""
    found = (read_document(connection, digest) for digest in digests)
    return [document for document in found if document is not None]


def read_secret(connection: sa.Connection, name: str) -> bytes | None:
    """The wrapped secret of a name."""
    query = sa.select(secrets.c.wrapped).where(secrets.c.name == name)
    return connection.execute(query).scalar_one_or_none()
