# SPDX-License-Identifier: Apache-2.0
"""How a member tells another one which council is theirs, and where: a link, and a form to read
aloud.

    placet://127.0.0.1:7433/<64 digits of the host's pin>/<64 digits of the charter's digest>

The link is text for a message or a QR code. What it says comes from whoever gave it: from another
member, never from the operator of the host alone.

Before there is a council, a host's operator gives a link to whoever founds one, who gives one to
each of the others. Both hold a secret: whoever has a seat's link can take that seat.

    placet://127.0.0.1:7433/<pin>/found/<64 digits of the host's token>
    placet://127.0.0.1:7433/<pin>/join/<64 digits of the invitation's digest>/<id>/<64 of its key>
"""

import re
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from placet.client.errors import UsageRefused
from placet.governance.keys import SigningKey

_LINK = re.compile(r"placet://([^/\s]+)/([0-9a-f]{64})/([0-9a-f]{64})")
_FOUNDER = re.compile(r"placet://([^/\s]+)/([0-9a-f]{64})/found/([0-9a-f]{64})")
_SEAT = re.compile(
    r"placet://([^/\s]+)/([0-9a-f]{64})/join/([0-9a-f]{64})/([^/\s]+)/([0-9a-f]{64})"
)
# 96 bits: nobody makes another charter whose digest begins alike.
_SPOKEN_DIGITS = 24


@dataclass(frozen=True, slots=True)
class CouncilLink:
    """Where a host listens (address:port), the pin of its certificate, and the digest of the
    council's charter."""

    host: str
    pin: str
    charter: str

    def __str__(self) -> str:
        return "/".join(
            ("placet:/", self.host, *(d.removeprefix("sha256:") for d in (self.pin, self.charter)))
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises `UsageRefused`."""
        found = _LINK.fullmatch(text.strip())
        if found is None:
            raise UsageRefused(
                "This is not a council's link. Copy it whole: placet://ADDRESS:PORT/PIN/CHARTER.",
                claim="link",
            )
        host, pin, charter = found.groups()
        return cls(host, "sha256:" + pin, "sha256:" + charter)


@dataclass(frozen=True, slots=True)
class FounderLink:
    """Where a host without a council listens, its pin, and the token that opens its board."""

    host: str
    pin: str
    token: str

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises `UsageRefused`."""
        found = _FOUNDER.fullmatch(text.strip())
        if found is None:
            raise UsageRefused(
                "This is not a founder's link. A host without a council prints one when it starts: "
                "placet://ADDRESS:PORT/PIN/found/TOKEN.",
                claim="link",
            )
        host, pin, token = found.groups()
        return cls(host, "sha256:" + pin, token)


@dataclass(frozen=True, slots=True)
class SeatLink:
    """Where a council is founded, the digest of the invitation, and by which key this seat or
    party posts."""

    host: str
    pin: str
    board: str
    id: str
    secret: str

    def __str__(self) -> str:
        pin, board = (digest.removeprefix("sha256:") for digest in (self.pin, self.board))
        return f"placet://{self.host}/{pin}/join/{board}/{self.id}/{self.secret}"

    @property
    def key(self) -> SigningKey:
        """The key by which it posts."""
        return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.secret)))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises `UsageRefused`."""
        found = _SEAT.fullmatch(text.strip())
        if found is None:
            raise UsageRefused(
                "This is not a seat's link. Copy it whole from whoever invites you: "
                "placet://ADDRESS:PORT/PIN/join/...; a council's own link is for `placet init`.",
                claim="link",
            )
        host, pin, board, id, secret = found.groups()
        return cls(host, "sha256:" + pin, "sha256:" + board, id, secret)


def spoken(digest: str) -> str:
    """The beginning of a digest in groups of four digits, to be compared aloud."""
    digits = digest.removeprefix("sha256:")[:_SPOKEN_DIGITS]
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))
