# SPDX-License-Identifier: Apache-2.0
"""The part of CBOR that RA-TLS needs (RFC 8949): whole numbers from 0, bytes, text, arrays, maps,
tags.

Strict: shortest heads, definite lengths, text as map keys, no key twice, nothing behind the item,
bounded size, depth and number of items. What is left of the deterministic encoding (4.2.1) is the
order of map keys: the specification of RA-TLS shows its own claims out of that order and others
write them so, hence maps keep the order they have. Whatever decodes encodes to the same bytes.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from placet.refusals import EvidenceMalformed

MAX_DEPTH: Final = 4  # a tag, an array, a map and what is in it
MAX_ITEMS: Final = 64  # in one array or map
_MAX_NUMBER = 2**64 - 1
_NUMBER, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = 0, 2, 3, 4, 5, 6  # major types

Item: TypeAlias = "int | bytes | str | tuple[Item, ...] | dict[str, Item] | Tag"


@dataclass(frozen=True, slots=True)
class Tag:
    """An item with a number that says what it is."""

    number: int
    item: Item


def encode(item: Item) -> bytes:
    """Return the encoding; raise ValueError for a number that has none."""
    match item:
        case int():
            return _head(_NUMBER, item)
        case bytes():
            return _head(_BYTES, len(item)) + item
        case str():
            text = item.encode()
            return _head(_TEXT, len(text)) + text
        case tuple():
            return _head(_ARRAY, len(item)) + b"".join(encode(one) for one in item)
        case dict():
            pairs = (encode(key) + encode(value) for key, value in item.items())
            return _head(_MAP, len(item)) + b"".join(pairs)
        case Tag():
            return _head(_TAG, item.number) + encode(item.item)


def decode(data: bytes, limit: int) -> Item:
    """Read the one item that `data`, at most `limit` bytes, is; raise EvidenceMalformed."""
    if len(data) > limit:
        raise EvidenceMalformed(
            f"The CBOR has {len(data)} bytes; at most {limit} are allowed.",
            claim="cbor",
            expected=f"at most {limit} bytes",
            actual=f"{len(data)} bytes",
        )
    reader = _Reader(data)
    item = reader.item(MAX_DEPTH)
    if reader.left:
        raise _malformed("bytes follow the item")
    return item


def _head(major: int, number: int) -> bytes:
    if not 0 <= number <= _MAX_NUMBER:
        raise ValueError(f"a number in CBOR must be from 0 to {_MAX_NUMBER}")
    first = major << 5
    if number < 24:
        return bytes([first | number])
    power = next(power for power in range(4) if number < 1 << (8 << power))
    return bytes([first | 24 + power]) + number.to_bytes(1 << power, "big")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def item(self, depth: int) -> Item:
        major, number = self._head()
        if major == _NUMBER:
            return number
        if major == _BYTES:
            return self._take(number)
        if major == _TEXT:
            return self._text(number)
        if not depth:
            raise _malformed(f"it is deeper than {MAX_DEPTH}")
        if major == _ARRAY:
            return tuple(self.item(depth - 1) for _ in range(_count(number)))
        if major == _MAP:
            return self._map(_count(number), depth - 1)
        if major == _TAG:
            return Tag(number, self.item(depth - 1))
        raise _malformed("negative numbers and simple values have no place here")

    def _head(self) -> tuple[int, int]:
        first = self._take(1)[0]
        major, short = first >> 5, first & 31
        if short < 24:
            return major, short
        if short > 27:
            raise _malformed("lengths must be definite")
        size = 1 << (short - 24)
        number = int.from_bytes(self._take(size), "big")
        if number < (24 if size == 1 else 1 << (4 * size)):
            raise _malformed("a number or length is not in its shortest form")
        return major, number

    def _take(self, size: int) -> bytes:
        if size > self.left:
            raise _malformed("it is cut off")
        self._at += size
        return self._data[self._at - size : self._at]

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError as error:
            raise _malformed("text is not UTF-8") from error

    def _map(self, count: int, depth: int) -> dict[str, Item]:
        found: dict[str, Item] = {}
        for _ in range(count):
            major, number = self._head()
            if major != _TEXT:
                raise _malformed("a key of a map is not text")
            key = self._text(number)
            if key in found:
                raise _malformed("a map has a key twice")
            found[key] = self.item(depth)
        return found


def _count(number: int) -> int:
    if number > MAX_ITEMS:
        raise _malformed(f"an array or map has more than {MAX_ITEMS} items")
    return number


def _malformed(what: str) -> EvidenceMalformed:
    return EvidenceMalformed(f"The CBOR cannot be read: {what}.", claim="cbor", actual=what)
