# SPDX-License-Identifier: Apache-2.0
"""What can befall the database: which fault means what, and whether waiting helps.

A fault is said by SQLite's name for it and by the table that the statement was about. Neither is a
secret; the values of a statement are, and are said nowhere.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from placet.refusals import StoreUnavailable

# By SQLite's primary code: what the store is, whether that passes, and what an operator does.
_READ_ONLY = ("read-only", True, "Let the operator make the state folder writable.")
_FAILING = ("failing", True, "Let the operator look after the host's disk.")
_DAMAGED = ("damaged", False, "Let the operator restore placet.db from a backup.")
_BUSY = ("busy", True, "Try again; let the operator end what else writes to placet.db.")
_KINDS = {
    5: _BUSY,  # BUSY
    6: _BUSY,  # LOCKED
    7: ("short of memory", True, "Try again once the host has more memory."),  # NOMEM
    8: _READ_ONLY,  # READONLY
    10: _FAILING,  # IOERR
    11: _DAMAGED,  # CORRUPT
    13: ("full", True, "Let the operator make room on the host's disk."),  # FULL
    14: _FAILING,  # CANTOPEN
    26: _DAMAGED,  # NOTADB
}
_TABLE = re.compile(r"\b(?:INTO|UPDATE|FROM|TABLE)\s+\"?(\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """`kind` is an adjective, `errno` SQLite's name, `table` "-" where the statement has none.
    `passing`: the same change may succeed later."""

    kind: str
    errno: str
    table: str
    passing: bool
    remedy: str

    def refusal(self, also: str = "") -> StoreUnavailable:
        """What a caller is told."""
        return StoreUnavailable(
            f"The host's store is {self.kind} ({self.errno}).{also}",
            claim="store",
            actual=self.errno,
            remedy=self.remedy,
        )


def trouble_of(error: BaseException) -> Trouble | None:
    """The trouble that an exception of SQLAlchemy or of the driver stands for; None for another."""
    fault: Any = getattr(error, "orig", None) or error
    code = getattr(fault, "sqlite_errorcode", None)
    known = None if code is None else _KINDS.get(code & 0xFF)
    if known is None:
        return None
    kind, passing, remedy = known
    statement = getattr(error, "statement", None) or " ".join(getattr(error, "__notes__", ()))
    table = _TABLE.search(statement)
    return Trouble(kind, fault.sqlite_errorname, table[1] if table else "-", passing, remedy)


def lasting(trouble: Trouble) -> Trouble:
    """The same without its table: what is noted once, whichever change meets it."""
    return replace(trouble, table="-")
