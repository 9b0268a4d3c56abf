# SPDX-License-Identifier: Apache-2.0
"""The base64 and decimal fields of the C2SP texts, each with exactly one accepted spelling.

All raise `ValueError` with a message that shows nothing of the field; callers turn it into theirs.
"""

import base64
import re

MAX_SIZE = 2**63 - 1
"""Largest tree size: what fits a signed 64-bit integer everywhere it is stored."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Decode standard base64 (RFC 4648 section 4); only the canonical spelling is accepted."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("not base64") from None
    # validate=True still takes non-zero trailing bits.
    if encode_base64(data) != text:
        raise ValueError("not canonical base64")
    return data


def decode_hash(text: str) -> bytes:
    """Decode the base64 of one SHA-256 hash."""
    data = decode_base64(text)
    if len(data) != 32:
        raise ValueError(f"a hash of {len(data)} bytes, not 32")
    return data


def decode_decimal(text: str) -> int:
    """Decode an ASCII decimal without leading zeroes, at most `MAX_SIZE`."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal without leading zeroes")
    value = int(text)
    if value > MAX_SIZE:
        raise ValueError("a number above 2^63-1")
    return value
