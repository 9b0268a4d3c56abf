# SPDX-License-Identifier: Apache-2.0
"""Entries of what the council says, and of the authority's lives."""

import heapq
from typing import TypedDict

from placet.governance.account import Logged
from placet.governance.ballot_state import BallotState
from placet.governance.contexts import grant_secret
from placet.governance.entries.kind import Kind, Named, Nonce
from placet.governance.state import GrantState, ProposalState, State


class Charter(TypedDict):
    log: str
    constitution: Named
    charter: Named
    nonce: Nonce


class Constitution(TypedDict):
    proposal: Named
    constitution: Named


class Boot(TypedDict):
    boot: str
    identity: Named
    evidence: Named
    nonce: Nonce


class Proposal(TypedDict):
    proposal: Named
    nonce: Nonce
    proposer: str


class Ballot(TypedDict):
    ballot: Named
    nonce: Nonce
    proposal: str
    seat: str
    sequence: int
    vote: str


class Stop(TypedDict):
    stop: Named
    nonce: Nonce
    by: str
    action: str
    target: str


class Grant(TypedDict):
    grant: Named
    expires: int
    nonce: Nonce
    object: str
    owner: str


def _charter(state: State, entry: Charter) -> None:
    state.log = entry["log"]
    state.charter = entry["charter"]
    state.constitutions.append(entry["constitution"])
    state.nonces.add(entry["nonce"])


def _constitution(state: State, entry: Constitution) -> None:
    state.proposals[entry["proposal"]].jobs["amend"] = []
    state.constitutions.append(entry["constitution"])
    # A worker holds the constitutions it saw when it joined: under a new one it has to join again.
    for join in state.joins.values():
        if not join.lease:
            join.lapses = 0


def _boot(state: State, entry: Boot) -> None:
    state.boot, state.boot_at = entry["boot"], state.size


def _proposal(state: State, entry: Proposal) -> None:
    state.nonces.add(entry["nonce"])
    logged = Logged(state.times)
    proposal = ProposalState(entry["proposal"], state.size, state.constitution, logged)
    state.proposals[proposal.digest] = proposal
    state.enter(entry["proposer"])


def _ballot(state: State, entry: Ballot) -> None:
    state.nonces.add(entry["nonce"])
    seat, sequence, vote = entry["seat"], entry["sequence"], entry["vote"]
    proposal = state.proposals[entry["proposal"]]
    if not proposal.standing.says_no(seat, sequence, vote):
        state.enter(seat)
    proposal.cast(BallotState(entry["ballot"], seat, sequence, vote, state.size))


def _stop(state: State, entry: Stop) -> None:
    state.nonces.add(entry["nonce"])
    action, target = entry["action"], entry["target"]
    if action == "withdraw":
        state.grants[target].withdrawn = True
        state.over.append(grant_secret(target))
    elif action == "revoke-seat":
        state.revoked_seats.add(target)
    elif action == "revoke-program":
        state.revoked_programs.add(target)
    elif action == "revoke-measurement":
        state.revoked_measurements.add(target)
    elif state.proposals[target].stopped != "veto":
        state.proposals[target].stopped = action


def _grant(state: State, entry: Grant) -> None:
    state.nonces.add(entry["nonce"])
    grant = GrantState(entry["grant"], entry["object"], entry["owner"], state.constitution)
    state.grants[grant.digest] = grant
    heapq.heappush(state.expiring, (entry["expires"], grant.digest))
    state.enter(entry["owner"])


CHARTER = Kind("charter", Charter, _charter)
CONSTITUTION = Kind("constitution", Constitution, _constitution)
BOOT = Kind("boot", Boot, _boot)
PROPOSAL = Kind("proposal", Proposal, _proposal)
BALLOT = Kind("ballot", Ballot, _ballot)
STOP = Kind("stop", Stop, _stop)
GRANT = Kind("grant", Grant, _grant)
