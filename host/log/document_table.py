# SPDX-License-Identifier: Apache-2.0
"""Reading documents by what they are, and the delete documents that were used."""

import sqlalchemy as sa

from placet.host.errors import DocumentNotFound, NotFounded
from placet.host.log.log_table import read_document, read_documents
from placet.host.store.schema import ballots, constitutions, deletions, proposals

_ALL = 2**62


def read_charter(connection: sa.Connection) -> bytes | None:
    """The charter, or None before the log is founded."""
    query = sa.select(constitutions.c.charter).where(constitutions.c.charter != "")
    digest = connection.execute(query).scalar_one_or_none()
    return None if digest is None else read_document(connection, digest)


def read_constitutions(connection: sa.Connection) -> tuple[bytes, list[bytes]]:
    """The charter, and every constitution oldest first. Raises `NotFounded`."""
    charter = read_charter(connection)
    if charter is None:
        raise NotFounded("The log has no charter yet. Found it first.")
    query = sa.select(constitutions.c.constitution).order_by(constitutions.c.idx)
    return charter, read_documents(connection, connection.execute(query).scalars())


def list_proposals(connection: sa.Connection, limit: int) -> list[tuple[str, int, int]]:
    """(digest, index, ballots) of the newest proposals."""
    query = sa.select(proposals).order_by(proposals.c.idx.desc()).limit(limit)
    return [(row.digest, row.idx, row.ballots) for row in connection.execute(query)]


def read_proposal(
    connection: sa.Connection, digest: str, before: int = _ALL
) -> tuple[int, bytes, list[bytes]]:
    """Index and envelope of a proposal and the envelopes of its ballots in the order of the log.

    before: the entry from which on ballots do not count. Raises `DocumentNotFound`.
    """
    query = sa.select(proposals.c.idx).where(proposals.c.digest == digest)
    index = connection.execute(query).scalar_one_or_none()
    proposal = read_document(connection, digest)
    if index is None or proposal is None:
        raise DocumentNotFound("The log has no proposal of this digest.", claim="digest")
    cast = sa.and_(ballots.c.proposal == digest, ballots.c.idx < before)
    votes = sa.select(ballots.c.ballot).where(cast).order_by(ballots.c.idx)
    return index, proposal, read_documents(connection, connection.execute(votes).scalars())


def begin_deletion(connection: sa.Connection, digest: str, blob: str) -> bool:
    """Note a delete document; True if it has been carried out before."""
    held = connection.execute(
        sa.select(deletions.c.done).where(deletions.c.digest == digest)
    ).scalar_one_or_none()
    if held is None:
        connection.execute(deletions.insert().values(digest=digest, blob=blob, done=0))
    return bool(held)


def end_deletion(connection: sa.Connection, digest: str) -> None:
    """The document has had its effect."""
    connection.execute(deletions.update().where(deletions.c.digest == digest).values(done=1))
