# SPDX-License-Identifier: Apache-2.0
"""The tables of the store. Types are those that SQLite and PostgreSQL share.

`entries`, `documents`, `secrets` and `checkpoint` are what the authority gave to keep; `proposals`,
`ballots`, `constitutions`, `leases`, `rounds`, `updates` and `suspensions` are indexes read from
the entries in the same transaction; `jobs`, `federations`, `services` and `deletions` are the
host's own. A schema that only lacks tables of this one is brought up to it.
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
    UniqueConstraint,
)

SCHEMA_VERSION = "3"
UPGRADED = ("2",)  # had no `services`

metadata = MetaData()

# One row: the version of this schema.
meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("request_id", LargeBinary, nullable=False),
    Column("proposal", String, nullable=False),
    Column("program", String, nullable=False),
    Column("state", Integer, nullable=False),
    Column("progress", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("lease", String, nullable=False),
    Column("receipt", String, nullable=False),
    Column("refusal", LargeBinary, nullable=False),
    Column("ticket", LargeBinary, nullable=False),
    Column("submitted_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    UniqueConstraint("request_id", "proposal"),
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

proposals = Table(
    "proposals",
    metadata,
    Column("digest", String, primary_key=True),
    Column("idx", BigInteger, nullable=False),
    Column("ballots", Integer, nullable=False),
    Index("proposals_idx", "idx"),
)

ballots = Table(
    "ballots",
    metadata,
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("proposal", String, nullable=False),
    Column("ballot", String, nullable=False),
    Index("ballots_proposal", "proposal"),
)

# `charter` is set in the row of entry 0 only.
constitutions = Table(
    "constitutions",
    metadata,
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("constitution", String, nullable=False),
    Column("charter", String, nullable=False),
)

# `state`: open, released or closed.
leases = Table(
    "leases",
    metadata,
    Column("lease", String, primary_key=True),
    Column("job", String, nullable=False),
    Column("proposal", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String, nullable=False),
    Index("leases_state", "state"),
    Index("leases_proposal", "proposal"),
)

# Those that were started here. `state` is a `FederationState`, unspecified while it runs; `roster`
# is a JSON list; `sealed_bytes` is the length of every update's sealed stream.
federations = Table(
    "federations",
    metadata,
    Column("id", String, primary_key=True),
    Column("ticket", LargeBinary, nullable=False),
    Column("rounds", Integer, nullable=False),
    Column("roster", String, nullable=False),
    Column("sealed_bytes", BigInteger, nullable=False),
    Column("state", Integer, nullable=False),
    Column("refusal", LargeBinary, nullable=False),
)

# `standing`: open, closed, released or void. `updates` counts them; `gone` is a JSON table of the
# clients whose update did not count, and why.
rounds = Table(
    "rounds",
    metadata,
    Column("federation", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closes", BigInteger, nullable=False),
    Column("standing", String, nullable=False),
    Column("updates", Integer, nullable=False),
    Column("gone", String, nullable=False),
)

# Who has sent an update for the newest round of a federation.
updates = Table(
    "updates",
    metadata,
    Column("federation", String, primary_key=True),
    Column("client", String, primary_key=True),
)

# Who may send updates again only from the round `until` on, and the name of the reason.
suspensions = Table(
    "suspensions",
    metadata,
    Column("federation", String, primary_key=True),
    Column("client", String, primary_key=True),
    Column("until", Integer, nullable=False),
    Column("reason", String, nullable=False),
)

# Those that were started here. `state` is a `ServiceState`, unspecified while it is served;
# `workers` are those asked for; `not_after` is in Unix seconds.
services = Table(
    "services",
    metadata,
    Column("id", String, primary_key=True),
    Column("ticket", LargeBinary, nullable=False),
    Column("workers", Integer, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("state", Integer, nullable=False),
    Column("refusal", LargeBinary, nullable=False),
)

# Delete documents that were used; `done` is 0 between the decision and the last file's end.
deletions = Table(
    "deletions",
    metadata,
    Column("digest", String, primary_key=True),
    Column("blob", String, nullable=False),
    Column("done", Integer, nullable=False),
)
