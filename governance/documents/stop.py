# SPDX-License-Identifier: Apache-2.0
"""Stops: to enable takes the quorum, to stop takes one. And deletions, which concern the host
alone."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_digest,
    check_identifier,
    check_measurement,
    check_text,
)
from placet.governance.codec import malformed
from placet.governance.documents.header import Header

StopAction = Literal[
    "pause", "veto", "cancel", "withdraw", "revoke-seat", "revoke-program", "revoke-measurement"
]

# What the target of each action is.
_DIGESTS = ("pause", "veto", "cancel", "withdraw", "revoke-program")
_OBJECT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Stop:
    """pause, veto and cancel name a proposal; withdraw a grant; the rest a seat, a program or a
    measurement."""

    KIND: ClassVar[str] = "stop"

    header: Header
    by: str
    action: StopAction
    target: str
    reason: str

    def __post_init__(self) -> None:
        check_identifier("by", self.by)
        check_text("reason", self.reason)
        if self.action in _DIGESTS:
            check_digest("target", self.target)
        elif self.action == "revoke-seat":
            check_identifier("target", self.target)
        else:
            check_measurement("target", self.target)


@dataclass(frozen=True, slots=True)
class Delete:
    """Asks the host to forget a blob; signed by the key that the blob was put under."""

    KIND: ClassVar[str] = "delete"

    header: Header
    blob: str

    def __post_init__(self) -> None:
        if not _OBJECT.fullmatch(self.blob):
            raise malformed("blob", "an object id (32 hexadecimal digits)", "other text")
