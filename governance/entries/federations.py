# SPDX-License-Identifier: Apache-2.0
"""Entries of a federation's rounds, from the one that opens a round to the one that ends it."""

from typing import Literal, TypedDict

from placet.governance.contexts import round_secret
from placet.governance.documents.privacy import Cost
from placet.governance.entries.kind import Charge, Charges, Kind, Named, Nonce, costs
from placet.governance.federation_state import (
    FederationState,
    LoggedUpdate,
    Quarantine,
    RoundState,
)
from placet.governance.jobs import round_job
from placet.governance.state import LeaseState, State


class OpenRound(TypedDict):
    proposal: str
    round: int
    key: str
    closes: int
    grants: list[str]
    charges: Charges


class Update(TypedDict):
    update: Named
    nonce: Nonce
    proposal: str
    round: int
    client: str
    charge: Charge


class CloseRound(TypedDict):
    proposal: str
    round: int
    standing: Literal["closed", "void"]
    counted: list[str]


class Lift(TypedDict):
    proposal: str
    client: str
    round: int


def _open_round(state: State, entry: OpenRound) -> None:
    proposal = entry["proposal"]
    federation = state.federations.setdefault(proposal, FederationState(proposal))
    opened = RoundState(entry["round"], entry["key"], entry["closes"], state.size)
    federation.rounds.append(opened)
    # From here on the roster is given the initial model, whether a lease follows or not.
    job = round_job(proposal, opened.number)
    state.proposals[proposal].jobs[job] = []
    state.count_use(entry["grants"], proposal, job)
    for owner, cost in costs(entry["charges"]).items():
        state.ledger_of(owner).spent += cost


def _update(state: State, entry: Update) -> None:
    state.nonces.add(entry["nonce"])
    update = LoggedUpdate(entry["update"], state.size, Cost.from_dict(entry["charge"]))
    state.federations[entry["proposal"]].current.updates[entry["client"]] = update
    state.ledger_of(entry["client"]).reserved[update.digest] = update.charge


def _close_round(state: State, entry: CloseRound) -> None:
    current = state.federations[entry["proposal"]].current
    current.status, current.closed_at = entry["standing"], current.closed_at or state.size
    if current.status == "void":
        _end(state, entry["proposal"], current, spent=False)
    else:
        current.aggregated = True


def release_round(state: State, lease: LeaseState, left: dict[str, str], until: int) -> None:
    """The newest round has its model, or had too few clients for one; those who left sit out."""
    federation = state.federations[lease.proposal]
    current, released = federation.current, bool(lease.receipt)
    for client, reason in left.items():
        federation.quarantined[client] = Quarantine(reason, until)
    current.left, current.status = left, "released" if released else "void"
    _end(state, federation.proposal, current, spent=released)
    if released:
        federation.model = federation.models[current.number] = lease.digest


def _lift(state: State, entry: Lift) -> None:
    del state.federations[entry["proposal"]].quarantined[entry["client"]]


def _end(state: State, proposal: str, over: RoundState, *, spent: bool) -> None:
    """A round is over, and its key useless: what its updates have reserved is spent, or given
    back."""
    state.over.append(round_secret(proposal, over.number))
    for client, update in over.updates.items():
        ledger = state.ledger_of(client)
        reserved = ledger.reserved.pop(update.digest)
        if spent:
            ledger.spent += reserved


OPEN_ROUND = Kind("open-round", OpenRound, _open_round)
UPDATE = Kind("update", Update, _update)
CLOSE_ROUND = Kind("close-round", CloseRound, _close_round)
LIFT = Kind("lift", Lift, _lift)
