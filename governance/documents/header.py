# SPDX-License-Identifier: Apache-2.0
"""Every document says this first: 16 random bytes, the council it is for, and the newest checkpoint
its signer has seen."""

import secrets
from dataclasses import dataclass

from placet.governance.checks import check_digest, check_nonce, check_range


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
    """`nonce` makes the digest unpredictable and the document unrepeatable.

    `charter` is the digest of the council's charter, which names the log key and the genesis
    constitution: no other council has the same one.
    """

    nonce: str
    charter: str
    seen: Seen

    def __post_init__(self) -> None:
        check_nonce("header.nonce", self.nonce)
        check_digest("header.charter", self.charter)


def new_header(charter: str, seen: Seen) -> Header:
    """A header with fresh random bytes."""
    return Header(secrets.token_hex(16), charter, seen)
