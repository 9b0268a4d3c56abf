# SPDX-License-Identifier: Apache-2.0
"""The charter: entry 0. The genesis seats bind their constitution to one log, that is, one origin and one log key."""

from dataclasses import dataclass
from typing import ClassVar

from placet.governance.checks import check_digest
from placet.governance.documents.header import Header


@dataclass(frozen=True, slots=True)
class Charter:
    """Signed by every genesis seat, each after checking the authority's evidence with a nonce of its own.

    The header names the log (origin and key); its `seen` has size 0.
    """

    KIND: ClassVar[str] = "charter"

    header: Header
    constitution: str

    def __post_init__(self) -> None:
        check_digest("constitution", self.constitution)
