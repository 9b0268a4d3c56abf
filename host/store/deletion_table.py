# SPDX-License-Identifier: Apache-2.0
"""The delete documents that were used."""

import sqlalchemy as sa

from placet.host.store.schema import deletions


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
