# SPDX-License-Identifier: Apache-2.0
"""Values that people write, as the type that a model declares: exactly, or refused by their place.

    bool            true, false, 1, 0
    whole numbers   within the type's range; 2.0 is 2
    floats          the nearest one; NaN, Infinity and -Infinity in these words; no finite number
                    becomes infinite

A value is a piece of text or a leaf of JSON. Nothing wraps, and nothing is taken for what it is
not: no number is true, no text is a number in another notation (1_000, 0x10, ١).
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from placet.governance.documents.serving import Field

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORD = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_MAX_DIGITS = 400  # of a number: a float has 309 before its point, and Python counts to 4,300
_SHOWN = 40


def is_value(text: str, dtype: str) -> bool:
    """Whether a piece of text could be a value of any type but another's range."""
    return _number(text) is not None or (dtype == "bool" and text.strip().lower() in _TRUTH)


def converted(
    values: Sequence[Any], field: Field, place: Callable[[int], str]
) -> NDArray[np.generic]:
    """Values as an array of the field's type, of shape (len(values),). `place` says where the value
    of a number stands. Raises ValueError for the first that is none of the type."""
    numbers = [_read(value, field.dtype) for value in values]
    if None in numbers:
        at = numbers.index(None)
        raise ValueError(_wrong(values[at], field, place(at)))
    with np.errstate(over="ignore"):
        array = np.array(numbers, dtype=field.dtype)
    if array.dtype.kind == "f":
        beyond = np.isinf(array) & np.isfinite(np.array(numbers, dtype=np.float64))
        if beyond.any():
            at = int(np.argmax(beyond))
            raise ValueError(_wrong(values[at], field, place(at)))
    return array


def _read(value: object, dtype: str) -> bool | int | float | None:
    """The number that a value is, where the type has it but for the range of floats."""
    if dtype == "bool":
        return _truth(value)
    if dtype.startswith("float"):
        return _number(value)
    number = _whole(value)
    limits = np.iinfo(dtype)
    return number if number is not None and limits.min <= number <= limits.max else None


def _truth(value: object) -> bool | None:
    if isinstance(value, str):
        return _TRUTH.get(value.strip().lower())
    return _TRUTH.get(str(value).lower()) if isinstance(value, bool | int) else None


def _whole(value: object) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        plain = len(text) <= _MAX_DIGITS and _WHOLE.fullmatch(text)
        return int(text.partition(".")[0]) if plain else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    if isinstance(value, str):
        text = value.strip()
        if _WORD.fullmatch(text):
            return float(text)
        plain = len(text) <= _MAX_DIGITS and _NUMBER.fullmatch(text)
        return _finite(float(text)) if plain else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _finite(number: float) -> float | None:
    """1e999 is no infinity that somebody wrote."""
    return number if math.isfinite(number) else None


def _wrong(value: object, field: Field, place: str) -> str:
    found = "a list" if isinstance(value, list) else repr(value)[:_SHOWN]
    if isinstance(value, dict):
        found = "an object"
    elif value is None:
        found = "null"
    return f"{place} is {found}, and the model takes for {field.name!r} {_wanted(field.dtype)}"


def _wanted(dtype: str) -> str:
    if dtype == "bool":
        return "true, false, 1 or 0"
    if dtype.startswith("float"):
        largest = float(np.finfo(cast("Any", dtype)).max)
        return f"numbers with a decimal point, at most {largest:.6g}"
    limits = np.iinfo(dtype)
    return f"whole numbers from {limits.min} to {limits.max}"
