# SPDX-License-Identifier: Apache-2.0
"""The form of the log's entries: which fields each kind has, and of what type each is."""

import re
from collections.abc import Callable
from typing import cast

from placet.governance.checks import check_measurement
from placet.governance.codec import Json
from placet.governance.documents import Cost
from placet.governance.errors import DocumentMalformed
from placet.governance.state import Entry

# What entries hold besides kind and times. Text, but for these.
_FIELDS = {
    "charter": "log constitution charter nonce",
    "constitution": "constitution proposal",
    "boot": "boot identity evidence nonce",
    "proposal": "proposal nonce",
    "ballot": "ballot nonce proposal seat sequence vote",
    "stop": "stop nonce by action target",
    "grant": "grant expires nonce object owner",
    "join": "worker bound_to measurement evidence nonce lapses",
    "lease": "lease proposal job attempt worker grants deadline judged charges",
    "renewal": "lease deadline",
    "release": "lease proposal job release receipt",
    "close": "lease job why",
    "open": "proposal round key closes grants charges",
    "update": "update nonce proposal round client charge",
    "cohort": "proposal round standing counted",
    "aggregate": "lease proposal job round release receipt left until",
    "lift": "proposal client round",
    "draw": "lease proposal user rows charges",
}
_NUMBERS = frozenset(
    {"sequence", "expires", "lapses", "attempt", "deadline", "judged", "round", "closes"}
    | {"until", "rows"}
)
_LISTS = {"at": int, "grants": str, "counted": str}
_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2})+")


def has_form(entry: Entry) -> bool:
    """Whether an entry is of a known kind, and has the fields of that kind and no others, each of
    its type."""
    fields = _FIELDS.get(str(entry.get("kind")))
    if fields is None or entry.keys() != {"kind", "at", *fields.split()}:
        return False
    good = all(_is_typed(name, value) for name, value in entry.items())
    if not good or len(entry["at"]) != 2 or not _is_hexadecimal(entry.get("nonce", "00")):
        return False
    return _is_measurement(entry.get("measurement"))


def _is_typed(name: str, value: object) -> bool:
    if name in _LISTS:
        return isinstance(value, list) and all(
            type(found) is _LISTS[name] for found in cast("list[object]", value)
        )
    if name == "charge":
        return _are_costs({name: value})
    if name in _TABLES:
        return isinstance(value, dict) and _TABLES[name](cast("Json", value))
    return type(value) is (int if name in _NUMBERS else str)


def _are_costs(charges: Json) -> bool:
    try:
        for cost in charges.values():
            Cost.from_dict(cost)
    except DocumentMalformed:
        return False
    return True


def _are_texts(table: Json) -> bool:
    return all(type(found) is str for found in table.values())


_TABLES: dict[str, Callable[[Json], bool]] = {"left": _are_texts, "charges": _are_costs}


def _is_measurement(value: str | None) -> bool:
    try:
        if value is not None:
            check_measurement("measurement", value)
    except DocumentMalformed:
        return False
    return True


def _is_hexadecimal(text: str) -> bool:
    return _HEXADECIMAL.fullmatch(text) is not None
