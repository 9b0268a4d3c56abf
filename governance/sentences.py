# SPDX-License-Identifier: Apache-2.0
"""All explanations are written with these: numbers, times, and words of others set apart."""

from collections.abc import Iterable
from datetime import UTC, datetime

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))
_SIZES = ((1024 * 1024, "MiB"), (1024, "KiB"))
# The last second that a calendar of four-digit years has.
_LAST_DATE = 253402300799


def listed(values: Iterable[str]) -> str:
    """Identifiers, which can be no sentence, one after the other."""
    return ", ".join(values) or "none"


def words(what: str, text: str) -> list[str]:
    """Free text, apart, as its author's."""
    if not text.strip():
        return [f"{what}: its author wrote nothing."]
    return apart(f"{what}, in its author's words", text)


def apart(what: str, text: str) -> list[str]:
    """Text of others: no line of it can be taken for one of ours."""
    return [f"{what}:", *(f"| {line}" for line in text.split("\n"))]


def count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def amount(size: int) -> str:
    """Bytes."""
    for unit, name in _SIZES:
        if size % unit == 0:
            return f"{size // unit} {name}"
    return count(size, "byte")


def duration(seconds: int) -> str:
    for size, name in _UNITS:
        if seconds % size == 0:
            return count(seconds // size, name)
    return count(seconds, "second")


def time_text(seconds: int) -> str:
    if seconds > _LAST_DATE:
        return f"the Unix second {seconds}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
