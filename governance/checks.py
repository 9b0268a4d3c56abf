# SPDX-License-Identifier: Apache-2.0
"""Checks of single values that documents share: digests, identifiers, numbers, and text that people
will read."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction

from placet.governance.codec import malformed
from placet.governance.text import described, hidden, why_no_name

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REASON = re.compile(r"[A-Z][A-Z_]{0,63}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2})+")
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?(?:e-?[1-9][0-9]?)?")
_SIGNED = re.compile(f"-?(?:{_DECIMAL.pattern})")

RECEIPT_FILE = "receipt.json"
MAX_TEXT = 4000
MEASUREMENT_DIGITS = (64, 96)  # SGX and simulation; TDX and SNP
MAX_NAME = 200
MAX_PARAMETER = 1000


def check_digest(claim: str, value: str) -> None:
    """A digest is `sha256:` and 64 lower-case hexadecimal digits."""
    if not _DIGEST.fullmatch(value):
        raise malformed(claim, "a digest (sha256: and 64 hexadecimal digits)", "other text")


def check_identifier(claim: str, value: str) -> None:
    """Identifiers are short, lower-case and plain, so that two of them never look alike."""
    if not _IDENTIFIER.fullmatch(value):
        raise malformed(claim, "an identifier (a-z, 0-9, '.', '_', '-'; at most 64)", "other text")


def check_output(claim: str, value: str) -> None:
    """The name of an output becomes that of a file, in a folder that has the receipt's as well."""
    check_identifier(claim, value)
    if value == RECEIPT_FILE:
        raise malformed(claim, "another name than that of the receipt's file", value)


def check_reason(claim: str, value: str) -> None:
    """The name of a reason, as the wire's enum writes it: what it means is for its reader to
    know."""
    if not _REASON.fullmatch(value):
        raise malformed(claim, "the name of a reason (A-Z and '_'; at most 64)", "other text")


def check_nonce(claim: str, value: str) -> None:
    """16 random bytes as hexadecimal digits."""
    if not _NONCE.fullmatch(value):
        raise malformed(claim, "16 random bytes in hexadecimal", "other text")


def check_hexadecimal(claim: str, value: str, lengths: Collection[int]) -> None:
    """Lower-case hexadecimal digits, in one of these numbers."""
    if len(value) not in lengths or not _HEXADECIMAL.fullmatch(value):
        wanted = " or ".join(map(str, lengths))
        raise malformed(claim, f"{wanted} lower-case hexadecimal digits", "other text")


def check_measurement(claim: str, value: str) -> None:
    """The measurement of an enclave of any kind, as claims have it: the one form in all documents
    and entries.

    `placet.attestation` has its own check of the same form, because governance imports nothing of
    it; a test holds the two together over every kind of evidence.
    """
    check_hexadecimal(claim, value, MEASUREMENT_DIGITS)


def check_name(claim: str, value: str, limit: int = MAX_NAME) -> None:
    """A name or title that stands in a sentence or a line of a list: one line that shows all it
    holds; see text.py."""
    if not 1 <= len(value) <= limit:
        raise malformed(claim, f"1 to {limit} characters", f"{len(value)} characters")
    if why := why_no_name(value):
        raise malformed(claim, "one line of printable text, from left to right", why)


def check_text(claim: str, value: str, limit: int = MAX_TEXT) -> None:
    """Text that is shown apart or quoted: line breaks are allowed, other characters that show
    nothing are not."""
    if len(value) > limit:
        raise malformed(claim, f"text of at most {limit} characters", f"{len(value)} characters")
    for character in hidden(value.replace("\n", "")):
        raise malformed(claim, "printable text", described(character))


def check_scalars(claim: str, values: Mapping[str, str | int | bool]) -> None:
    """Parameters by name."""
    for name, value in values.items():
        check_identifier(claim, name)
        if isinstance(value, str):
            check_text(f"{claim}.{name}", value, MAX_PARAMETER)


def check_range(claim: str, value: int, low: int, high: int) -> None:
    """An integer from `low` to `high`, both included."""
    if not low <= value <= high:
        raise malformed(claim, f"from {low} to {high}", str(value))


def check_decimal(claim: str, text: str, low: str, high: str) -> Fraction:
    """A number as decimal text ("8", "0.5", "1e-6"), from `low` to `high`, both included; returns
    it exactly.

    Text, because a document holds no floating-point numbers: two readers could take them for
    different ones.
    """
    if not _DECIMAL.fullmatch(text):
        raise malformed(claim, 'a decimal number as text ("0.5", "1e-6")', "other text")
    value = Fraction(text)
    if not Fraction(low) <= value <= Fraction(high):
        raise malformed(claim, f"from {low} to {high}", text)
    return value


def check_signed(claim: str, text: str) -> None:
    """A number of either sign as decimal text."""
    if not _SIGNED.fullmatch(text):
        raise malformed(claim, 'a decimal number as text ("-0.5", "3")', "other text")


def check_window(claim: str, start: int, end: int) -> None:
    """Two times in Unix seconds, the first before the second."""
    check_range(claim + ".start", start, 0, 2**40)
    check_range(claim + ".end", end, 0, 2**40)
    if start >= end:
        raise malformed(claim, "a start before its end", f"{start} to {end}")


def check_distinct(claim: str, values: Sequence[str]) -> None:
    """A list that names nothing twice."""
    if len(set(values)) != len(values):
        raise malformed(claim, "a list without repetitions", "a repetition")


def check_listed(claim: str, values: Iterable[str] | str) -> None:
    """Either the word "any" or a list that is not empty: an empty list would silently allow nothing
    or everything."""
    if isinstance(values, str):
        return
    listed = list(values)
    check_distinct(claim, listed)
    if not listed:
        raise malformed(claim, 'a list with entries, or "any"', "an empty list")
