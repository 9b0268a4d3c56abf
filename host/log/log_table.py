# SPDX-License-Identifier: Apache-2.0
"""What the authority gives the host to keep, in the store: entries, documents, secrets, and the
newest checkpoint."""

from collections.abc import Iterable

import sqlalchemy as sa

from placet.host.store.schema import checkpoint, documents, entries, secrets
from placet.host.store.sql import Prepared, insert_or_ignore, insert_or_replace
from placet.proto.v1 import enclaves_pb2

# Made once: they are on the way from submit to running.
_LAST = Prepared(lambda _: sa.select(sa.func.max(entries.c.idx)))
_ENTRY = Prepared(lambda _: entries.insert())
_SECRET = Prepared(lambda dialect: insert_or_replace(dialect, secrets, "name", "wrapped"))
_DOCUMENT = Prepared(lambda dialect: insert_or_ignore(dialect, documents))
_CHECKPOINT = Prepared(lambda dialect: insert_or_replace(dialect, checkpoint, "id", "note"))


def log_size(connection: sa.Connection) -> int:
    last = _LAST.run(connection, {})[0][0]
    return 0 if last is None else int(last) + 1


def store_commit(connection: sa.Connection, commit: enclaves_pb2.Commit) -> None:
    """Store a step of the authority, in one transaction with all that follows from it."""
    for secret in commit.secrets:
        _SECRET.run(connection, {"name": secret.name, "wrapped": secret.wrapped})
    for held in commit.documents:
        _DOCUMENT.run(connection, {"digest": held.digest, "document": held.document})
    for index, data in enumerate(commit.entries, start=commit.first_index):
        _ENTRY.run(connection, {"idx": index, "entry": data})
    if commit.checkpoint:
        _CHECKPOINT.run(connection, {"id": 1, "note": commit.checkpoint})


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
