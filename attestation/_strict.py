# SPDX-License-Identifier: Apache-2.0
"""Strict reading of small JSON documents and of their fields.

Each function takes the refusal's class for the document that is read and raises nothing else.
"""

import base64
import json
import re
from collections.abc import Iterable
from typing import NoReturn, cast

from placet.refusals import Refusal

_HEX = re.compile(r"[0-9a-f]*", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def encode(document: dict[str, object]) -> bytes:
    """Return the one JSON encoding of a document: UTF-8, sorted keys, no spaces."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def decode(data: bytes, limit: int, refusal: type[Refusal]) -> dict[str, object]:
    """Read a JSON object of at most `limit` bytes without duplicate keys."""
    if len(data) > limit:
        raise refusal(
            f"The document has {len(data)} bytes; at most {limit} are allowed.",
            expected=f"at most {limit} bytes",
            actual=f"{len(data)} bytes",
        )
    try:
        document: object = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise refusal("The document is not JSON without duplicate keys.") from error
    return mapping(document, refusal)


def mapping(value: object, refusal: type[Refusal]) -> dict[str, object]:
    """Return `value` if it is an object with text keys."""
    if not isinstance(value, dict):
        raise refusal("The document is not a JSON object.")
    found = cast("dict[object, object]", value)
    if not set(map(type, found)) <= {str}:
        raise refusal("The document has a key that is not text.")
    return cast("dict[str, object]", value)


def exact(document: dict[str, object], names: Iterable[str], refusal: type[Refusal]) -> None:
    """Check that the document has these fields and no others."""
    wanted = frozenset(names)
    missing = ", ".join(sorted(wanted - document.keys()))
    unknown = len(document.keys() - wanted)
    if missing or unknown:
        raise refusal(
            f"Every field must be given, and no other; missing: {missing or 'none'}; "
            f"unknown: {unknown}.",
            expected=", ".join(sorted(wanted)),
        )


def text(name: str, value: object, limit: int, refusal: type[Refusal]) -> str:
    """Return `value` if it is printable text of 1 to `limit` characters."""
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable():
        raise refusal(f"{name} must be printable text of 1 to {limit} characters.", claim=name)
    return value


def ascii_text(name: str, value: object, limit: int, refusal: type[Refusal]) -> str:
    """Return `value` if it is ASCII text, of 1 to `limit` characters of any kind."""
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isascii():
        raise refusal(f"{name} must be ASCII text of 1 to {limit} characters.", claim=name)
    return value


def one_of(name: str, value: object, choices: Iterable[str], refusal: type[Refusal]) -> str:
    """Return `value` if it is one of the named choices."""
    allowed = tuple(choices)
    if not isinstance(value, str) or value not in allowed:
        wanted = ", ".join(allowed)
        raise refusal(f"{name} must be one of: {wanted}.", claim=name, expected=wanted)
    return value


def hexadecimal(name: str, value: object, lengths: Iterable[int], refusal: type[Refusal]) -> str:
    """Return `value` if it is lower-case hexadecimal of one of the given lengths."""
    if not isinstance(value, str) or len(value) not in tuple(lengths) or not _HEX.fullmatch(value):
        wanted = " or ".join(str(length) for length in lengths)
        raise refusal(f"{name} must be {wanted} lower-case hexadecimal digits.", claim=name)
    return value


def digest(name: str, value: object, refusal: type[Refusal]) -> str:
    """Return `value` if it is sha256: and 64 hexadecimal digits."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise refusal(f"{name} must be sha256: and 64 hexadecimal digits.", claim=name)
    return value


def integer(name: str, value: object, low: int, high: int, refusal: type[Refusal]) -> int:
    """Return `value` if it is an integer (no boolean) between `low` and `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise refusal(f"{name} must be a whole number from {low} to {high}.", claim=name)
    return value


def boolean(name: str, value: object, refusal: type[Refusal]) -> bool:
    """Return `value` if it is true or false."""
    if not isinstance(value, bool):
        raise refusal(f"{name} must be true or false.", claim=name)
    return value


def octets(name: str, value: object, low: int, high: int, refusal: type[Refusal]) -> bytes:
    """Return `value` if it is between `low` and `high` bytes long."""
    if not isinstance(value, bytes) or not low <= len(value) <= high:
        raise refusal(f"{name} must be {low} to {high} bytes.", claim=name)
    return value


def base64_octets(name: str, value: object, refusal: type[Refusal]) -> bytes:
    """Return the bytes of standard base64 text; other spellings of the same bytes are refused."""
    if not isinstance(value, str):
        raise refusal(f"{name} must be base64 text.", claim=name)
    try:
        found = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise refusal(f"{name} must be base64 text.", claim=name) from error
    if base64.b64encode(found).decode() != value:
        raise refusal(f"{name} must be base64 in its one canonical spelling.", claim=name)
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
