# SPDX-License-Identifier: Apache-2.0
"""Which characters people can see for what they are; the rest is refused in documents and sources,
and escaped on screens.

Hidden is what Python calls unprintable (controls, bidirectional and other formats, surrogates,
unassigned and private characters, spaces other than the usual one), and what is printable and still
shows nothing of its own.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import cast

# Unicode's Default_Ignorable_Code_Point as far as Python calls it printable, and letters and
# symbols that are blank.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U0001d159\U000e0100-\U000e01ef]"
)
# The blocks that Unicode keeps for what is written from right to left: it reorders what stands
# around it.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+/=-]*")
_TOO_MANY_MARKS = "MMMMM"  # on one letter: they would reach into other lines


def hidden(text: str) -> Iterator[str]:
    """Each character that nobody can see for what it is, line breaks among them."""
    if text.isprintable() and not _BLANK.search(text):
        return
    for character in text:
        if not character.isprintable() or _BLANK.match(character):
            yield character


def why_no_name(text: str) -> str:
    """The reason why a text cannot be a name in a sentence of ours; empty where there is none.

    A name is one line that shows all it holds, in the order in which it holds it, and has ends that
    one can see.
    """
    for character in hidden(text):
        return described(character)
    if text != text.strip() or "  " in text:
        return "spaces at an end, or two together"
    if text.isascii():
        return ""
    if found := _RIGHT_TO_LEFT.search(text):
        return f"{described(found.group())} (right to left)"
    kinds = "".join(map(unicodedata.category, text))[::2]  # the first letter of each
    if kinds.startswith("M") or _TOO_MANY_MARKS in kinds:
        return "marks on nothing, or on marks"
    return ""


def quoted(value: object) -> str:
    """A value that others chose, inside a sentence: in quotes that it cannot close, and on one
    line."""
    return json.dumps(value, ensure_ascii=False)


def plain(value: object) -> str:
    """The same, but without quotes where it is one word, which can be no sentence; a list item by
    item."""
    if isinstance(value, list):
        return ", ".join(map(plain, cast("list[object]", value))) or "none"
    return value if isinstance(value, str) and _WORD.fullmatch(value) else quoted(value)


def brief(text: str, limit: int = 64) -> str:
    """The start of a text, to be named in a refusal; in quotes unless it is one word."""
    cut = text[:limit]
    if _WORD.fullmatch(cut):
        return cut
    return "unprintable text" if any(hidden(cut)) else quoted(cut)


def described(character: str) -> str:
    """A character by number and category."""
    return f"U+{ord(character):04X} {unicodedata.category(character)}"


def shown(text: str) -> str:
    """Text of others for people and terminals: each hidden character as an escape, `\\u202e`.

    Line breaks and tabs become spaces, so it is one line. The other characters were visible before.
    """
    for character in set(hidden(text)):
        text = text.replace(character, _escaped(character))
    return text


def _escaped(character: str) -> str:
    if character in "\n\r\t":
        return " "
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
