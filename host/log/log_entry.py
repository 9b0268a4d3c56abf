# SPDX-License-Identifier: Apache-2.0
"""An entry of the log as the host reads it, and what storing entries changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from placet.host.errors import LogEntryInvalid
from placet.host.store.job_table import JobRecord, NewJob

_MAX_ENTRY = 64 * 1024


@dataclass(slots=True)
class Effects:
    """What a commit changed that memory mirrors, and what it needs to know for that."""

    entries: Sequence[bytes]
    checkpoint: bytes
    starting: Mapping[str, NewJob]  # jobs that may have no row yet, by id
    jobs: list[JobRecord] = field(default_factory=list[JobRecord])
    leased: list[tuple[str, int]] = field(
        default_factory=list[tuple[str, int]]
    )  # proposal, attempt
    federations: set[str] = field(default_factory=set[str])
    origins: list["Entry"] = field(default_factory=list["Entry"])  # boots, joins, leases


class Entry:
    """An entry's fields, read as far as they are needed. Whatever is missing raises
    `LogEntryInvalid`."""

    def __init__(self, index: int, data: bytes) -> None:
        self.index = index
        self.data = data
        try:
            value: Any = json.loads(data) if len(data) <= _MAX_ENTRY else None
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise LogEntryInvalid(f"Entry {index} is no JSON object of at most {_MAX_ENTRY} bytes.")
        self._fields: dict[str, Any] = value

    def text(self, name: str) -> str:
        """A field that is text."""
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise LogEntryInvalid(f"Entry {self.index} lacks the text {name!r}.", claim=name)
        return value

    def number(self, name: str) -> int:
        """A field that is a whole number."""
        value = self._fields.get(name)
        if not isinstance(value, int):
            raise LogEntryInvalid(f"Entry {self.index} lacks the number {name!r}.", claim=name)
        return value

    def table(self, name: str) -> dict[str, str]:
        """A field that is a table of texts."""
        value = self._fields.get(name)
        table = cast("dict[str, object]", value) if isinstance(value, dict) else {"": None}
        texts = {key: text for key, text in table.items() if isinstance(text, str)}
        if len(texts) != len(table):
            raise LogEntryInvalid(f"Entry {self.index} lacks the table {name!r}.", claim=name)
        return texts
