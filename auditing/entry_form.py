# SPDX-License-Identifier: Apache-2.0
"""The form of the log's entries, as the fields of their kinds declare it."""

import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints

from placet.governance.checks import check_measurement
from placet.governance.documents import Cost
from placet.governance.entries.kind import COST, HEXADECIMAL, MEASUREMENT, NAMED, Entry
from placet.governance.entries.table import KINDS
from placet.refusals import DocumentMalformed

_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2})+")


def has_form(entry: Entry) -> bool:
    """Whether an entry is of a known kind, and has the fields of that kind and no others, each of
    its type."""
    kind = entry.get("kind")
    if type(kind) is not str or kind not in KINDS:
        return False
    fields = _fields(kind)
    return (
        entry.keys() == fields.keys()
        and all(_is_typed(fields[name], value) for name, value in entry.items())
        and len(entry["at"]) == 2
    )


def named_documents(entry: Entry) -> list[str]:
    """The digests of the documents that the judgement of an entry takes."""
    hints = _fields(entry["kind"])
    named = (entry[name] for name, hint in hints.items() if NAMED in get_args(hint))
    # A round that released nothing has no receipt.
    return [digest for digest in named if digest]


@cache
def _fields(kind: str) -> dict[str, Any]:
    hints = get_type_hints(KINDS[kind].fields, include_extras=True)
    return {"kind": str, "at": list[int], **hints}


def _is_typed(hint: Any, value: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _MARKED[arguments[1]](value)
    if origin is Literal:
        return value in arguments
    if origin is list:
        items = cast("list[object]", value)
        return isinstance(value, list) and all(_is_typed(arguments[0], item) for item in items)
    if origin is dict:
        table = cast("dict[str, object]", value)
        return isinstance(value, dict) and all(_is_typed(arguments[1], v) for v in table.values())
    return type(value) is hint


def _passes(check: Callable[[Any], object], value: object) -> bool:
    try:
        check(value)
    except DocumentMalformed:
        return False
    return True


def _is_text(value: object) -> bool:
    return type(value) is str


_MARKED: dict[str, Callable[[Any], bool]] = {
    NAMED: _is_text,
    HEXADECIMAL: lambda v: _is_text(v) and _HEXADECIMAL.fullmatch(v) is not None,
    MEASUREMENT: lambda v: (
        _is_text(v) and _passes(lambda m: check_measurement("measurement", m), v)
    ),
    COST: lambda v: _passes(Cost.from_dict, v),
}
