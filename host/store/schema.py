# SPDX-License-Identifier: Apache-2.0
"""The tables of the store. Types are those that SQLite and PostgreSQL share.

`entries`, `documents`, `secrets` and `checkpoint` are what the authority gave to keep; `runs`,
`jobs` and `deletions` are the host's own. Nothing that the entries say has a
table besides: it is folded (host/log/log.py).
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

SCHEMA_VERSION = "5"

metadata = MetaData()


# One row: the version of this schema.
meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

# What callers have asked for. `wanted` is how many workers; those that a run is given have rows in
# `jobs`: a job that a caller submitted is its run's only one, under the same id, and its row there
# says how it stands.
runs = Table(
    "runs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("action", String, nullable=False),
    Column("ticket", LargeBinary, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("refusal", LargeBinary, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Index("runs_state", "state"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("proposal", String, nullable=False),
    Column("program", String, nullable=False),
    Column("state", Integer, nullable=False),
    Column("progress", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("lease", String, nullable=False),
    Column("receipt", String, nullable=False),
    Column("refusal", LargeBinary, nullable=False),
    Column("submitted_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Index("jobs_state", "state"),
    Index("jobs_proposal", "proposal"),
)

entries = Table(
    "entries",
    metadata,
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("digest", String, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)

# One row: the newest checkpoint.
checkpoint = Table(
    "checkpoint",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),
)

# Delete documents that were used; `done` is 0 between the decision and the last file's end.
deletions = Table(
    "deletions",
    metadata,
    Column("digest", String, primary_key=True),
    Column("blob", String, nullable=False),
    Column("done", Integer, nullable=False),
)
