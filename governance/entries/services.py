# SPDX-License-Identifier: Apache-2.0
"""Entries of services: what workers draw of the rations."""

from typing import TypedDict

from placet.governance.entries.kind import Charges, Kind, costs
from placet.governance.state import ServiceState, State


class Draw(TypedDict):
    lease: str
    proposal: str
    user: str
    rows: int
    charges: Charges


def _draw(state: State, entry: Draw) -> None:
    service = state.services.setdefault(entry["proposal"], ServiceState())
    service.drawn[entry["user"]] = service.drawn.get(entry["user"], 0) + entry["rows"]
    for owner, cost in costs(entry["charges"]).items():
        state.ledger_of(owner).spent += cost


DRAW = Kind("draw", Draw, _draw)
