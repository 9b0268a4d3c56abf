# SPDX-License-Identifier: Apache-2.0
"""Inserts that meet a row already there: the one statement that SQLite and PostgreSQL spell apart.

Statements are made once and take their values as parameters: making one costs more than running it.
"""

import functools

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


@functools.cache
def insert_or_ignore(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that does nothing where a unique value is taken."""
    return _insert(dialect, table).on_conflict_do_nothing()


@functools.cache
def insert_or_replace(dialect: str, table: sa.Table, key: str, value: str) -> sa.Executable:
    """An insert of a key and a value that replaces the value of a key that is there."""
    insert = _insert(dialect, table)
    return insert.on_conflict_do_update(index_elements=[key], set_={value: insert.excluded[value]})


def _insert(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
