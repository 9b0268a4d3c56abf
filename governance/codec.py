# SPDX-License-Identifier: Apache-2.0
"""Strict JSON for frozen dataclasses: what is not exactly the declared shape is refused.

Rules of decoding: the size is checked before anything else; UTF-8; one JSON object; every field present, none unknown,
none doubled; integers are integers (no floats, no booleans) of at most 53 bits; nesting is bounded, by the declared types
or, where another component declares them, by a number.
Encoding is the one canonical form that we write: sorted keys, no white space, UTF-8. Signatures and digests are over
the stored bytes, so other writers may lay their JSON out as they like.

Field types: str, int, bool, X | None, Literal, tuple[X, ...], dict[str, X], dataclasses, classes with
`from_dict`/`to_dict`, and `Json` for what another component defines.
"""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from placet.governance.errors import DocumentMalformed, DocumentTooLarge

T = TypeVar("T")

# An object whose shape belongs to another component, which checks it.
Json = dict[str, Any]

MAX_DOCUMENT = 256 * 1024
_MAX_INTEGER = 2**53
_MAX_ITEMS = 4096
# What another component defines: no appraisal policy nests deeper.
_MAX_DEPTH = 8

_Decoder = Callable[[Any, str], Any]


def encode(value: Any) -> bytes:
    """The canonical JSON of a dataclass (or of plain JSON values)."""
    return _ENCODER.encode(value).encode()


def to_plain(value: Any) -> Any:
    """A dataclass as JSON values."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in cast("tuple[Any, ...]", value)]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def parse_object(data: bytes, limit: int = MAX_DOCUMENT) -> Json:
    """One JSON object, without doubled names, from at most `limit` bytes.

    Raises `DocumentTooLarge` or `DocumentMalformed`.
    """
    if len(data) > limit:
        raise DocumentTooLarge(
            f"A document of this kind has at most {limit} bytes; this one has {len(data)}.",
            expected=f"at most {limit} bytes",
            actual=f"{len(data)} bytes",
        )
    try:
        value: object = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        if isinstance(error, _Doubled):
            raise malformed(error.name, "each field once", "the field twice") from None
        raise malformed("document", "one JSON object in UTF-8", "bytes that are not") from None
    if not isinstance(value, dict):
        raise malformed("document", "one JSON object", type(value).__name__)
    return cast("Json", value)


def decode(cls: type[T], data: bytes, limit: int = MAX_DOCUMENT) -> T:
    """A dataclass from its JSON. Raises `DocumentTooLarge` or `DocumentMalformed`, naming the field."""
    return from_plain(cls, parse_object(data, limit))


def from_plain(cls: type[T], value: Any, where: str = "") -> T:
    """A dataclass from JSON values. Raises `DocumentMalformed`, naming the field."""
    return cast("T", _decoder(cast("Hashable", cls))(value, where))


def prepare(*classes: type) -> None:
    """Make the decoders of these classes now, so that the first document does not wait for them."""
    for cls in classes:
        _decoder(cls)


def malformed(claim: str, expected: str, actual: str) -> DocumentMalformed:
    """The refusal of one field."""
    return DocumentMalformed(
        f"The field {claim} should be {expected}, and is {actual}.",
        claim=claim,
        expected=expected,
        actual=actual,
    )


def as_list(value: object, claim: str) -> list[object]:
    """A JSON value that has to be a list."""
    if not isinstance(value, list):
        raise malformed(claim, "a list", type(value).__name__)
    return cast("list[object]", value)


class _Doubled(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = _short(name)


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Doubled(next(name for name in names if names.count(name) > 1))
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=to_plain
)
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


@functools.cache
def _decoder(hint: Any) -> _Decoder:
    """The decoder of a type, made once."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return _literal(args)
    if origin in (types.UnionType, typing.Union):
        return _union(tuple(_decoder(arg) for arg in args))
    if hint == Json:
        return _foreign_object
    if origin is tuple:
        return _sequence(_decoder(args[0]))
    if origin is dict:
        return _mapping(_decoder(args[1]))
    if hint is str:
        return _typed(str, "text")
    if hint is bool:
        return _typed(bool, "true or false")
    if hint is int:
        return _integer
    if hint is type(None):
        return _typed(type(None), "null")
    if hasattr(hint, "from_dict"):
        return _foreign(hint)
    return _record(hint)


def _typed(kind: type, name: str) -> _Decoder:
    def decoder(value: Any, where: str) -> Any:
        if type(value) is not kind:
            raise malformed(where, name, type(value).__name__)
        return value

    return decoder


def _foreign_object(value: Any, where: str) -> Any:
    if type(value) is not dict:
        raise malformed(where, "an object", type(value).__name__)
    found = cast("Json", value)
    _check_foreign(found, where, 1)
    return found


def _check_foreign(value: object, where: str, depth: int) -> None:
    """What another component checks: no more than what we can write again byte for byte, in bounded depth."""
    if depth > _MAX_DEPTH:
        raise malformed(where, f"nested at most {_MAX_DEPTH} deep", "deeper")
    if isinstance(value, dict):
        for name, item in cast("Json", value).items():
            _check_foreign(name, where, depth)
            _check_foreign(item, f"{where}.{_short(name)}", depth + 1)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _check_foreign(item, where, depth + 1)
    elif isinstance(value, str):
        if not value.isprintable():
            raise malformed(where, "printable text", "other text")
    elif value is not None and not isinstance(value, bool):
        _integer(value, where)


def _integer(value: Any, where: str) -> int:
    if type(value) is not int or abs(value) > _MAX_INTEGER:
        raise malformed(where, "an integer of at most 53 bits", type(value).__name__)
    return value


def _literal(choices: tuple[Any, ...]) -> _Decoder:
    def decoder(value: Any, where: str) -> Any:
        if not isinstance(value, str) or value not in choices:
            raise malformed(where, "one of " + ", ".join(choices), _short(value))
        return value

    return decoder


def _union(choices: tuple[_Decoder, ...]) -> _Decoder:
    def decoder(value: Any, where: str) -> Any:
        refusals: list[DocumentMalformed] = []
        for choice in choices:
            try:
                return choice(value, where)
            except DocumentMalformed as refusal:
                refusals.append(refusal)
        raise max(refusals, key=lambda refusal: len(refusal.details.get("claim", "")))

    return decoder


def _sequence(item: _Decoder) -> _Decoder:
    def decoder(value: Any, where: str) -> Any:
        items = as_list(value, where)
        if len(items) > _MAX_ITEMS:
            raise malformed(where, f"at most {_MAX_ITEMS} items", f"{len(items)} items")
        return tuple(item(element, f"{where}[{index}]") for index, element in enumerate(items))

    return decoder


def _mapping(item: _Decoder) -> _Decoder:
    def decoder(value: Any, where: str) -> Any:
        if type(value) is not dict:
            raise malformed(where, "an object", type(value).__name__)
        items = cast("Json", value)
        if len(items) > _MAX_ITEMS:
            raise malformed(where, f"at most {_MAX_ITEMS} items", f"{len(items)} items")
        return {name: item(element, f"{where}.{_short(name)}") for name, element in items.items()}

    return decoder


def _foreign(cls: Any) -> _Decoder:
    """A class of another component: its own refusal becomes ours, with its own words."""

    def decoder(value: Any, where: str) -> Any:
        try:
            return cls.from_dict(value)
        except Exception as error:
            if not hasattr(error, "reason"):
                raise
            raise malformed(where, f"a valid {cls.__name__}", str(error)) from None

    return decoder


def _record(cls: Any) -> _Decoder:
    hints = typing.get_type_hints(cls)
    decoders = {f.name: _decoder(hints[f.name]) for f in dataclasses.fields(cls)}

    def decoder(value: Any, where: str) -> Any:
        if type(value) is not dict:
            raise malformed(where or "document", "an object", type(value).__name__)
        record = cast("Json", value)
        if record.keys() != decoders.keys():
            _refuse_names(where, set(record), set(decoders))
        prefix = where + "." if where else ""
        return cls(**{name: read(record[name], prefix + name) for name, read in decoders.items()})

    return decoder


def _refuse_names(where: str, found: set[str], declared: set[str]) -> typing.NoReturn:
    prefix = where + "." if where else ""
    for name in sorted(found - declared):
        raise malformed(prefix + _short(name), "absent (no such field is known)", "present")
    for name in sorted(declared - found):
        raise malformed(prefix + name, "present", "missing")
    raise AssertionError("the names agree")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else type(value).__name__
    return text[:64] if text.isprintable() else "unprintable text"
