# SPDX-License-Identifier: Apache-2.0
"""Services as the log folds them: what has been drawn of the rations. `APPLY` takes entries that
have been judged (draws.py)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from placet.governance.documents.privacy import Cost

if TYPE_CHECKING:
    from placet.governance.state import State

Entry = dict[str, Any]


@dataclass(slots=True)
class ServiceState:
    """A service by its proposal: rows drawn by its workers for each user."""

    drawn: dict[str, int] = field(default_factory=lambda: dict[str, int]())

    @property
    def total(self) -> int:
        """For all users."""
        return sum(self.drawn.values())


def _draw(state: "State", entry: Entry) -> None:
    service = state.services.setdefault(entry["proposal"], ServiceState())
    service.drawn[entry["user"]] = service.drawn.get(entry["user"], 0) + entry["rows"]
    for owner, cost in entry["charges"].items():
        state.ledger_of(owner).spent += Cost.from_dict(cost)


APPLY: dict[str, Callable[["State", Entry], None]] = {"draw": _draw}
