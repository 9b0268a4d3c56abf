# SPDX-License-Identifier: Apache-2.0
"""A login: a seat or party shows a host who it is. It concerns the host alone, and no log has
it."""

from dataclasses import dataclass
from typing import ClassVar

from placet.governance.checks import check_digest, check_hexadecimal, check_identifier


@dataclass(frozen=True, slots=True)
class Login:
    """The principal `by` answers a host's challenge (112 hexadecimal digits).

    The login is good for one council, by its `charter`, and for one host, by the `pin` of its
    certificate: whoever gets it can show it to nobody else.
    """

    KIND: ClassVar[str] = "login"

    charter: str
    by: str
    pin: str
    challenge: str

    def __post_init__(self) -> None:
        check_digest("charter", self.charter)
        check_identifier("by", self.by)
        check_digest("pin", self.pin)
        check_hexadecimal("challenge", self.challenge, (112,))
