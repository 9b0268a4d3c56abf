# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar

from placet.governance.checks import check_digest
from placet.governance.documents.rule import Action
from placet.governance.documents.work.body import Body
from placet.governance.documents.work.parts import Input


@dataclass(frozen=True, slots=True)
class Amendment(Body):
    """A proposal of action "amend" asks for this: the digest of the constitution that shall come
    into force."""

    ACTION: ClassVar[Action] = "amend"

    constitution: str

    def __post_init__(self) -> None:
        check_digest("amendment.constitution", self.constitution)

    @property
    def program(self) -> str:
        """Nothing is run."""
        return ""

    @property
    def inputs(self) -> dict[str, Input]:
        return {}

    @property
    def puts_into_force(self) -> str:
        return self.constitution
