# SPDX-License-Identifier: Apache-2.0
"""The charter: entry 0. The genesis seats bind their constitution to one log, that is, one origin
and one log key.

The digest of the charter names the council from then on, in every document, identity and receipt.
It fixes the log key and the genesis constitution, and with it the seats, their keys, and the
evidence that they want.
"""

import secrets
from dataclasses import dataclass
from typing import ClassVar, Self

from placet.governance.checks import check_digest, check_name, check_nonce

MAX_LOG_NAME = 512


@dataclass(frozen=True, slots=True)
class Charter:
    """Signed by every genesis seat, each after checking the authority's evidence with a nonce of
    its own.

    `log` is the log's verifier key (C2SP). The authority derives that key from its root secret and
    the digest of the genesis constitution, so another council has another one.
    """

    KIND: ClassVar[str] = "charter"

    nonce: str
    log: str
    constitution: str

    def __post_init__(self) -> None:
        check_nonce("nonce", self.nonce)
        check_name("log", self.log, MAX_LOG_NAME)
        check_digest("constitution", self.constitution)

    @classmethod
    def new(cls, log: str, constitution: str) -> Self:
        """A charter with fresh random bytes."""
        return cls(secrets.token_hex(16), log, constitution)
