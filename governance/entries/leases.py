# SPDX-License-Identifier: Apache-2.0
"""Entries of workers and their leases."""

from typing import TypedDict

from placet.governance.entries.federations import release_round
from placet.governance.entries.kind import Charges, Kind, Measurement, Named, Nonce, costs
from placet.governance.state import JoinState, LeaseState, State


class Join(TypedDict):
    worker: Named
    launched_for: str
    measurement: Measurement
    evidence: Named
    nonce: Nonce
    lapses: int


class Lease(TypedDict):
    lease: Named
    proposal: str
    job: str
    attempt: int
    worker: str
    grants: list[str]
    deadline: int
    judged: int
    charges: Charges


class Renewal(TypedDict):
    lease: str
    deadline: int


class Release(TypedDict):
    lease: str
    proposal: str
    job: str
    round: int  # 0: of a job
    release: Named
    receipt: Named
    left: dict[str, str]
    until: int  # 0 likewise


class Close(TypedDict):
    lease: str
    job: str
    why: str


def _join(state: State, entry: Join) -> None:
    state.joins[entry["worker"]] = JoinState(
        entry["worker"],
        state.size,
        state.boot,
        entry["launched_for"],
        entry["measurement"],
        entry["lapses"],
    )


def _lease(state: State, entry: Lease) -> None:
    lease = LeaseState(
        entry["lease"],
        state.size,
        entry["proposal"],
        entry["job"],
        entry["attempt"],
        entry["worker"],
        state.boot,
        tuple(entry["grants"]),
        entry["deadline"],
        entry["judged"],
        state.times.at_most,
        costs(entry["charges"]),
    )
    state.leases[lease.digest] = state.open_leases[lease.digest] = lease
    state.joins[lease.worker].lease = lease.digest
    state.proposals[lease.proposal].jobs.setdefault(lease.job, []).append(lease.digest)
    state.count_use(lease.grants, lease.proposal, lease.job)
    for owner, cost in lease.charges.items():
        state.ledger_of(owner).reserved[lease.digest] = cost


def _renewal(state: State, entry: Renewal) -> None:
    state.leases[entry["lease"]].deadline = entry["deadline"]


def _release(state: State, entry: Release) -> None:
    lease, receipt = state.leases[entry["lease"]], entry["receipt"]
    lease.status, lease.receipt, lease.released_at = "released", receipt, state.size
    state.settle(lease, spent=bool(receipt))
    if lease.proposal in state.federations:
        release_round(state, lease, entry["left"], entry["until"])


def _close(state: State, entry: Close) -> None:
    lease = state.leases[entry["lease"]]
    lease.status = "closed"
    state.settle(lease, spent=False)


JOIN = Kind("join", Join, _join)
LEASE = Kind("lease", Lease, _lease)
RENEWAL = Kind("renewal", Renewal, _renewal)
RELEASE = Kind("release", Release, _release)
CLOSE = Kind("close", Close, _close)
