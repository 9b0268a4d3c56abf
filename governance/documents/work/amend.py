# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass

from placet.governance.checks import check_digest


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a proposal of action "amend" asks for: the digest of the constitution that shall come
    into force."""

    constitution: str

    def __post_init__(self) -> None:
        check_digest("amendment.constitution", self.constitution)
