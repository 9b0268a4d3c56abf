# SPDX-License-Identifier: Apache-2.0
"""DER elements (X.690, 10.1) as certificates have them: one-byte tags, definite lengths, shortest
form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from placet.refusals import EvidenceMalformed

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
MAX_ELEMENTS: Final = 64  # side by side


@dataclass(frozen=True, slots=True)
class Element:
    """One element; `encoding` is tag, length and content as they stood."""

    tag: int
    content: bytes
    encoding: bytes


def elements(data: bytes) -> tuple[Element, ...]:
    """Read the elements that `data` is made of, one level deep; raise EvidenceMalformed."""
    found: list[Element] = []
    at = 0
    while at < len(data):
        if len(found) == MAX_ELEMENTS:
            raise _malformed(f"more than {MAX_ELEMENTS} elements side by side")
        found.append(_element(data, at))
        at += len(found[-1].encoding)
    return tuple(found)


def sequence(name: str, data: bytes, tags: Sequence[int]) -> tuple[Element, ...]:
    """Read exactly the elements with these tags, in this order."""
    found = elements(data)
    if [element.tag for element in found] != list(tags):
        raise _malformed(f"{name} has other parts than it should")
    return found


def _element(data: bytes, start: int) -> Element:
    if len(data) - start < 2:
        raise _malformed("an element is cut off")
    tag, size, at = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise _malformed("a tag has more than one byte")
    if size > 0x80:
        width = size - 0x80
        size, at = int.from_bytes(data[at : at + width], "big"), at + width
        # The shortest form: no leading zero, and no long form for what fits the short one.
        if width > 3 or size < max(0x80, 1 << (8 * (width - 1))):
            raise _malformed("a length is not in its shortest form, or too large")
    elif size == 0x80:
        raise _malformed("a length is indefinite")
    if size > len(data) - at:
        raise _malformed("an element is cut off")
    return Element(tag, data[at : at + size], data[start : at + size])


def _malformed(what: str) -> EvidenceMalformed:
    return EvidenceMalformed(
        f"The certificate is not DER as RA-TLS has it: {what}.", claim="certificate", actual=what
    )
