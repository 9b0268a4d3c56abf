# SPDX-License-Identifier: Apache-2.0
"""What every document says first: 16 random bytes, the log it is for, and the newest checkpoint its signer has seen."""

import secrets
from dataclasses import dataclass

from placet.governance.checks import check_digest, check_nonce, check_range
from placet.governance.codec import malformed

MAX_LOG_NAME = 512


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint that the signer had seen: number of entries and root hash. Size 0: none yet."""

    size: int
    root: str

    def __post_init__(self) -> None:
        check_range("seen.size", self.size, 0, 2**53)
        check_digest("seen.root", self.root)


@dataclass(frozen=True, slots=True)
class Header:
    """`nonce` makes the digest unpredictable and the document unrepeatable; `log` is the log's verifier key (C2SP)."""

    nonce: str
    log: str
    seen: Seen

    def __post_init__(self) -> None:
        check_nonce("header.nonce", self.nonce)
        if not self.log or len(self.log) > MAX_LOG_NAME or not self.log.isprintable():
            raise malformed("header.log", "the log's verifier key", "other text")


def new_header(log: str, seen: Seen) -> Header:
    """A header with fresh random bytes."""
    return Header(secrets.token_hex(16), log, seen)
