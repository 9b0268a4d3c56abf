# SPDX-License-Identifier: Apache-2.0
"""Strict JSON for frozen dataclasses: what is not exactly the declared shape is refused.

Rules of decoding: the size is checked before anything else; UTF-8, also behind escapes (no half of
a surrogate pair); one JSON object; every field present, none unknown, none doubled; integers are
integers (no floats, no booleans) of at most 53 bits; nesting is bounded, by the declared types or,
where another component declares them, by a number; so are the names of one object and the items of
one list. What it costs to decode grows no faster than the bytes do: bytes come from anybody.
Encoding is the one canonical form that we write: sorted keys, no white space, UTF-8. Signatures and
digests are over the stored bytes, so other writers may lay their JSON out as they like.

A class may bound how many of it a list or table holds (`MOST`).

Field types: str, int, bool, X | None, Literal, tuple[X, ...], dict[str, X], dataclasses, classes
with `from_dict`/`to_dict`, and `Json` for what another component defines.
"""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from placet.governance.text import brief, hidden
from placet.refusals import DocumentMalformed, DocumentTooLarge, Refusal

T = TypeVar("T")

# An object whose shape belongs to another component, which checks it.
Json = dict[str, Any]

MAX_DOCUMENT = 256 * 1024
MAX_ITEMS = 4096  # in one list or table, where its type sets no lower bound
MAX_NAMES = 5 * MAX_ITEMS  # in all objects of a document, the objects counted too
_MAX_INTEGER = 2**53
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
        value: object = json.loads(
            data.decode(),
            object_pairs_hook=_Counting().object,
            parse_float=_no_float,
            parse_constant=_no_constant,
        )
        if b"\\u" in data:
            encode(
                value
            )  # an escape can stand for half of a surrogate pair, which UTF-8 does not have
    except _Shape as error:
        raise malformed(*error.refusal) from None
    except (ValueError, RecursionError):
        raise malformed("document", "one JSON object in UTF-8", "bytes that are not") from None
    if not isinstance(value, dict):
        raise malformed("document", "one JSON object", type(value).__name__)
    return cast("Json", value)


def decode(cls: type[T], data: bytes, limit: int = MAX_DOCUMENT) -> T:
    """A dataclass from its JSON. Raises `DocumentTooLarge` or `DocumentMalformed`, naming the
    field."""
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


class _Shape(ValueError):
    """A document holds what only other JSON may: field, what was expected, what was found."""

    def __init__(self, *refusal: str) -> None:
        super().__init__()
        self.refusal = refusal


class _Counting:
    """Makes the objects of one document, each name looked at once, and gives up when there are too
    many."""

    def __init__(self) -> None:
        self._left = MAX_NAMES

    def object(self, pairs: list[tuple[str, Any]]) -> Json:
        self._left -= 1 + len(pairs)
        if self._left < 0:
            raise _Shape("document", f"of at most {MAX_NAMES} names and objects", "of more")
        value: Json = {}
        for name, item in pairs:
            if name in value:
                raise _Shape(_short(name), "each field once", "the field twice")
            value[name] = item
        return value


def _no_float(text: str) -> Any:
    raise _Shape("document", "without numbers but integers", f"one with {brief(text)}")


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=to_plain
)


@functools.cache
def _decoder(hint: Any) -> _Decoder:
    """The decoder of a type, made once."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return _literal(args)
    if origin in (types.UnionType, typing.Union):
        return _tagged(args) or _union(tuple(_decoder(arg) for arg in args))
    if hint == Json:
        return _foreign_object
    if origin is tuple:
        return _sequence(_decoder(args[0]), _most(args[0]))
    if origin is dict:
        return _mapping(_decoder(args[1]), _most(args[1]))
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
    """An object that another component checks: only what we can write again byte for byte, bounded
    in depth and number."""
    if type(value) is not dict:
        raise malformed(where, "an object", type(value).__name__)
    left: list[tuple[object, int]] = [(value, 1)]
    for item, depth in left:
        if depth > _MAX_DEPTH:
            raise malformed(where, f"nested at most {_MAX_DEPTH} deep", "deeper")
        if isinstance(item, dict):
            left += ((one, depth + 1) for one in cast("Json", item).values())
            left += ((name, depth) for name in cast("Json", item))
        elif isinstance(item, list):
            left += ((one, depth + 1) for one in cast("list[object]", item))
        elif isinstance(item, str):
            if any(hidden(item)):
                raise malformed(where, "printable text", "other text")
        elif item is not None and not isinstance(item, bool):
            _integer(item, where)
        if len(left) > MAX_ITEMS:
            raise malformed(where, f"at most {MAX_ITEMS} names and values", "more")
    return cast("Json", value)


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


def _tagged(choices: tuple[Any, ...]) -> _Decoder | None:
    """The decoder of a union whose classes each have their own words in one field, if it is one.

    A refusal is then of the class that was meant, and reading takes no attempts.
    """
    if not all(dataclasses.is_dataclass(choice) for choice in choices):
        return None
    hints = [typing.get_type_hints(choice) for choice in choices]
    for name in (f.name for f in dataclasses.fields(choices[0])):
        words = [typing.get_args(h[name]) if _is_literal(h.get(name)) else () for h in hints]
        classes = {word: choice for choice, own in zip(choices, words, strict=True) for word in own}
        if all(words) and len(classes) == sum(map(len, words)):
            return _by_word(name, {word: _decoder(cls) for word, cls in classes.items()})
    return None


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal


def _by_word(name: str, decoders: dict[str, _Decoder]) -> _Decoder:
    read_word = _literal(tuple(decoders))

    def decoder(value: Any, where: str) -> Any:
        if type(value) is not dict:
            raise malformed(where, "an object", type(value).__name__)
        word: object = cast("Json", value).get(name, "")
        return decoders[read_word(word, f"{where}.{name}" if where else name)](value, where)

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


def _most(hint: Any) -> int:
    """How many of a type one list or table holds: those that cost more to read say it
    themselves."""
    most: int = getattr(hint, "MOST", MAX_ITEMS)
    return most


def _sequence(item: _Decoder, most: int) -> _Decoder:
    def decoder(value: Any, where: str) -> Any:
        items = as_list(value, where)
        if len(items) > most:
            raise malformed(where, f"at most {most} items", f"{len(items)} items")
        return tuple(item(element, f"{where}[{index}]") for index, element in enumerate(items))

    return decoder


def _mapping(item: _Decoder, most: int) -> _Decoder:
    def decoder(value: Any, where: str) -> Any:
        if type(value) is not dict:
            raise malformed(where, "an object", type(value).__name__)
        items = cast("Json", value)
        if len(items) > most:
            raise malformed(where, f"at most {most} items", f"{len(items)} items")
        return {name: item(element, f"{where}.{_short(name)}") for name, element in items.items()}

    return decoder


def _foreign(cls: Any) -> _Decoder:
    """A class of another component: its own refusal becomes ours, with its own words."""

    def decoder(value: Any, where: str) -> Any:
        try:
            return cls.from_dict(value)
        except Refusal as error:
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
    return brief(value) if isinstance(value, str) else type(value).__name__
