# SPDX-License-Identifier: Apache-2.0
"""Statements that are made once: inserts that meet a row already there, and what is on the way of a
job.

Inserts that meet a row are the one thing that SQLite and PostgreSQL spell apart. `Prepared` is for
the way from submit to running: SQLAlchemy writes the statement, once, and the driver runs it. What
SQLAlchemy does around each statement takes many times the statement's own time in a process that
was idle.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler


@functools.cache
def insert_or_ignore(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that does nothing where a unique value is taken."""
    return _insert(dialect, table).on_conflict_do_nothing()


@functools.cache
def insert_or_replace(
    dialect: str, table: sa.Table, key: str, value: str
) -> sqlite.Insert | postgresql.Insert:
    """An insert of a key and a value that replaces the value of a key that is there."""
    insert = _insert(dialect, table)
    return insert.on_conflict_do_update(index_elements=[key], set_={value: insert.excluded[value]})


class Prepared:
    """A statement by the name of its dialect, with its values as parameters."""

    def __init__(self, make: Callable[[str], sa.ClauseElement]) -> None:
        self._make = make
        self._compiled: dict[tuple[str, ...], SQLCompiler] = {}

    def run(self, connection: sa.Connection, values: Mapping[str, object]) -> list[Any]:
        """Run it in the connection's transaction, which it does not begin; returns its rows.

        Errors are the driver's, with the statement as a note.
        """
        names = (connection.dialect.name, *values)
        compiled = self._compiled.get(names)
        if compiled is None:
            made = self._make(connection.dialect.name)
            compiled = cast(
                "SQLCompiler", made.compile(dialect=connection.dialect, column_keys=list(values))
            )
            self._compiled[names] = compiled
        named = {**compiled.params, **values}
        cursor = connection.connection.cursor()
        try:
            positions = compiled.positiontup
            cursor.execute(
                compiled.string,
                named if positions is None else tuple(named[name] for name in positions),
            )
            return list(cursor.fetchall()) if cursor.description else []
        except Exception as error:
            error.add_note(compiled.string)  # its table is said in the log; it holds no values
            raise
        finally:
            cursor.close()


def _insert(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
