# SPDX-License-Identifier: Apache-2.0
"""What the log folds to for federations: their rounds, who has sent what, the newest model, who
sits out.

Part of the fold in state.py, and as deterministic: `APPLY` takes entries that have been judged
(federation.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from placet.governance.contexts import round_secret
from placet.governance.documents.privacy import Cost
from placet.governance.jobs import round_job

if TYPE_CHECKING:
    from placet.governance.state import State


RoundStatus = Literal["open", "closed", "released", "void"]
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedUpdate:
    """An update that the log has, by its digest, the index of its entry, and what its client is
    charged for the round."""

    digest: str
    index: int
    charge: Cost


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why a client sits out, and the first round that it may take part in again."""

    reason: str
    until: int


@dataclass(slots=True)
class RoundState:
    """A round: `open` for updates, `closed` while it is aggregated, then `released`, or `void`.

    A void one changed nothing. `closed_at` is the index of the entry that says whose updates count,
    `aggregated` whether they are, or were, enough; `left` whose did not, and for which reason.
    """

    number: int
    key: str
    closes: int
    opened_at: int
    status: RoundStatus = "open"
    closed_at: int = 0
    aggregated: bool = False
    left: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    # In the order of the log.
    updates: dict[str, LoggedUpdate] = field(default_factory=lambda: dict[str, LoggedUpdate]())

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ("released", "void")


@dataclass(slots=True)
class FederationState:
    """A federation by its proposal. `model` is the lease under which the newest model was released;
    "": none was."""

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
    opened = RoundState(entry["round"], entry["key"], entry["closes"], state.size)
    federation.rounds.append(opened)
    # From here on the roster is given the initial model, whether a lease follows or not.
    job = round_job(proposal, opened.number)
    state.proposals[proposal].jobs[job] = []
    state.count_use(entry["grants"], proposal, job)
    for owner, cost in entry["charges"].items():
        state.ledger_of(owner).spent += Cost.from_dict(cost)


def _update(state: "State", entry: Entry) -> None:
    state.nonces.add(entry["nonce"])
    update = LoggedUpdate(entry["update"], state.size, Cost.from_dict(entry["charge"]))
    state.federations[entry["proposal"]].current.updates[entry["client"]] = update
    state.ledger_of(entry["client"]).reserved[update.digest] = update.charge


def _cohort(state: "State", entry: Entry) -> None:
    current = state.federations[entry["proposal"]].current
    current.status, current.closed_at = entry["standing"], current.closed_at or state.size
    if current.status == "void":
        _end(state, entry["proposal"], current, spent=False)
    else:
        current.aggregated = True


def _aggregate(state: "State", entry: Entry) -> None:
    lease, federation = state.leases[entry["lease"]], state.federations[entry["proposal"]]
    lease.status, lease.receipt = "released", entry["receipt"]
    lease.released_at = state.size
    state.settle(lease, spent=bool(entry["receipt"]))
    for client, reason in entry["left"].items():
        federation.quarantined[client] = Quarantine(reason, entry["until"])
    federation.current.left = entry["left"]
    federation.current.status = "released" if entry["receipt"] else "void"
    _end(state, federation.proposal, federation.current, spent=bool(entry["receipt"]))
    if entry["receipt"]:
        federation.model = federation.models[entry["round"]] = lease.digest


def _lift(state: "State", entry: Entry) -> None:
    del state.federations[entry["proposal"]].quarantined[entry["client"]]


def _end(state: "State", proposal: str, over: RoundState, *, spent: bool) -> None:
    """A round is over, and its key useless: what its updates have reserved is spent, or given
    back."""
    state.over.append(round_secret(proposal, over.number))
    for client, update in over.updates.items():
        ledger = state.ledger_of(client)
        reserved = ledger.reserved.pop(update.digest)
        if spent:
            ledger.spent += reserved


APPLY: dict[str, Callable[["State", Entry], None]] = {
    "open": _open,
    "update": _update,
    "cohort": _cohort,
    "aggregate": _aggregate,
    "lift": _lift,
}
