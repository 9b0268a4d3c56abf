# SPDX-License-Identifier: Apache-2.0
"""How a member tells another one which council is theirs, and where: a link, and a form to read
aloud.

    placet://127.0.0.1:7433/<64 digits of the host's pin>/<64 digits of the charter's digest>

The link is text for a message or a QR code. What it says comes from whoever gave it: from another
member, never from the operator of the host alone.
"""

import re
from dataclasses import dataclass
from typing import Self

from placet.client.errors import UsageRefused

_LINK = re.compile(r"placet://([^/\s]+)/([0-9a-f]{64})/([0-9a-f]{64})")
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


def spoken(digest: str) -> str:
    """The beginning of a digest in groups of four digits, to be compared aloud."""
    digits = digest.removeprefix("sha256:")[:_SPOKEN_DIGITS]
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))
