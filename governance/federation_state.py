# SPDX-License-Identifier: Apache-2.0
"""What the log folds to for federations: their rounds, who has sent what, the newest model, who sits out.

Part of the fold in state.py, and as deterministic: `APPLY` takes entries that have been judged (federation.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from placet.governance.state import State

RoundStatus = Literal["open", "closed", "released", "void"]
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedUpdate:
    """An update that the log has, by its digest, and the index of its entry."""

    digest: str
    index: int


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why a client sits out, and the first round that it may take part in again."""

    reason: str
    until: int


@dataclass(slots=True)
class RoundState:
    """A round: `open` for updates, `closed` while it is aggregated, then `released`, or `void`: it changed nothing."""

    number: int
    key: str
    closes: int
    opened_at: int
    status: RoundStatus = "open"
    # In the order of the log.
    updates: dict[str, LoggedUpdate] = field(default_factory=lambda: dict[str, LoggedUpdate]())


@dataclass(slots=True)
class FederationState:
    """A federation by its proposal. `model` is the lease under which the newest model was released; "": none was."""

    proposal: str
    rounds: list[RoundState] = field(default_factory=lambda: list[RoundState]())
    model: str = ""
    # The lease of each round's model, by round.
    models: dict[int, str] = field(default_factory=lambda: dict[int, str]())
    quarantined: dict[str, Quarantine] = field(default_factory=lambda: dict[str, Quarantine]())

    @property
    def current(self) -> RoundState:
        """The newest round."""
        return self.rounds[-1]


def _open(state: "State", entry: Entry) -> None:
    proposal = entry["proposal"]
    federation = state.federations.setdefault(proposal, FederationState(proposal))
    if federation.rounds and federation.current.status == "closed":
        # All its attempts are used up.
        federation.current.status = "void"
    opened = RoundState(entry["round"], entry["key"], entry["closes"], state.size)
    federation.rounds.append(opened)


def _update(state: "State", entry: Entry) -> None:
    state.nonces.add(entry["nonce"])
    update = LoggedUpdate(entry["update"], state.size)
    state.federations[entry["proposal"]].current.updates[entry["client"]] = update


def _cohort(state: "State", entry: Entry) -> None:
    state.federations[entry["proposal"]].current.status = entry["standing"]


def _aggregate(state: "State", entry: Entry) -> None:
    lease, federation = state.leases[entry["lease"]], state.federations[entry["proposal"]]
    lease.status, lease.receipt = "released", entry["receipt"]
    lease.released_at = state.size
    for client, reason in entry["left"].items():
        federation.quarantined[client] = Quarantine(reason, entry["until"])
    federation.current.status = "released" if entry["receipt"] else "void"
    if entry["receipt"]:
        federation.model = federation.models[entry["round"]] = lease.digest


def _lift(state: "State", entry: Entry) -> None:
    del state.federations[entry["proposal"]].quarantined[entry["client"]]


APPLY: dict[str, Callable[["State", Entry], None]] = {
    "open": _open,
    "update": _update,
    "cohort": _cohort,
    "aggregate": _aggregate,
    "lift": _lift,
}
