# SPDX-License-Identifier: Apache-2.0
"""The state that the log folds to: `state.apply(entry)` for each entry in order, and nothing else
changes it.

Entries are JSON objects of identifiers and digests. `apply` trusts them: they were judged before
they were appended (admission.py, leasing.py), and an audit judges them again. It is deterministic
and cannot fail on a judged entry, so nothing is ever half applied. Two judgements over one state
give the same entry; that is what an audit compares.

What is over with an entry settles what it had reserved in the same step, and `over` names the keys
that nobody needs any more.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from placet.governance import federation_state, service_state
from placet.governance.account import Logged, Times
from placet.governance.contexts import grant_secret
from placet.governance.documents.privacy import Cost
from placet.governance.federation_state import FederationState
from placet.governance.service_state import ServiceState

Entry = dict[str, Any]


# A function that returns a literal is several times as fast as calling list[str], and a replay
# makes very many of them.
def _no_digests() -> set[str]:
    return set()


def _no_ballots() -> "list[BallotState]":
    return []


def _no_costs() -> dict[str, Cost]:
    return {}


def _no_jobs() -> dict[str, list[str]]:
    return {}


@dataclass(slots=True)
class BallotState:
    """A ballot that the log has. `index`, here and elsewhere, is that of its entry."""

    digest: str
    seat: str
    sequence: int
    vote: str
    index: int = -1


@dataclass(slots=True)
class GrantState:
    """A grant that the log has, with the jobs that have used it."""

    digest: str
    object: str
    owner: str
    constitution: str
    withdrawn: bool = False
    # By `use_of`: the host names jobs, and may give two of them the same name.
    jobs: set[str] = field(default_factory=_no_digests)


@dataclass(slots=True)
class JoinState:
    """A worker that has joined. It gets one lease, ever."""

    worker: str
    index: int
    boot: str
    bound_to: str
    measurement: str
    lapses: int
    lease: str = ""


@dataclass(slots=True)
class LeaseState:
    """A lease: `open` until it is released or its attempt is closed."""

    digest: str
    index: int
    proposal: str
    job: str
    attempt: int
    worker: str
    boot: str
    grants: tuple[str, ...]
    deadline: int
    judged: int
    started: int
    charges: dict[str, Cost]
    status: str = "open"
    receipt: str = ""
    released_at: int = 0


@dataclass(slots=True)
class ProposalState:
    """A proposal that the log has: since when, its ballots, its leases by job, what stops it."""

    digest: str
    index: int
    constitution: str
    logged: Logged
    ballots: list[BallotState] = field(default_factory=_no_ballots)
    jobs: dict[str, list[str]] = field(default_factory=_no_jobs)
    stopped: str = ""


@dataclass(slots=True)
class PrivacyState:
    """What a data owner has been charged: spent by releases and answers, reserved by leases that
    are open, by their digests."""

    spent: Cost = field(default_factory=Cost)
    reserved: dict[str, Cost] = field(default_factory=_no_costs)

    @property
    def charged(self) -> Cost:
        """Both together, which is what a budget is held against."""
        return sum(self.reserved.values(), self.spent)


@dataclass(slots=True)
class State:
    """Everything that the authority knows by its log. Read it freely; change it by `apply`
    alone."""

    size: int = 0
    at: tuple[int, int] = (0, 0)
    log: str = ""
    charter: str = ""
    constitutions: list[str] = field(default_factory=lambda: list[str]())
    boot: str = ""
    boot_at: int = 0  # index of the boot's entry
    nonces: set[str] = field(default_factory=_no_digests)
    proposals: dict[str, ProposalState] = field(default_factory=lambda: dict[str, ProposalState]())
    grants: dict[str, GrantState] = field(default_factory=lambda: dict[str, GrantState]())
    joins: dict[str, JoinState] = field(default_factory=lambda: dict[str, JoinState]())
    leases: dict[str, LeaseState] = field(default_factory=lambda: dict[str, LeaseState]())
    # Those of `leases` that are open.
    open_leases: dict[str, LeaseState] = field(default_factory=lambda: dict[str, LeaseState]())
    # A heap of the grants whose time is not over, each by when it is.
    expiring: list[tuple[int, str]] = field(default_factory=lambda: list[tuple[int, str]]())
    # Names of the wrapped keys that the newest entry has made useless.
    over: list[str] = field(default_factory=lambda: list[str]())
    federations: dict[str, FederationState] = field(
        default_factory=lambda: dict[str, FederationState]()
    )
    services: dict[str, ServiceState] = field(default_factory=lambda: dict[str, ServiceState]())
    privacy: dict[str, PrivacyState] = field(default_factory=lambda: dict[str, PrivacyState]())
    revoked_seats: set[str] = field(default_factory=_no_digests)
    revoked_programs: set[str] = field(default_factory=_no_digests)
    revoked_measurements: set[str] = field(default_factory=_no_digests)

    @property
    def times(self) -> Times:
        """Both readings of the time at the last entry."""
        return Times(*self.at)

    @property
    def constitution(self) -> str:
        """Digest of the constitution in force; empty before the log is founded."""
        return self.constitutions[-1] if self.constitutions else ""

    def ledger_of(self, owner: str) -> PrivacyState:
        """An owner's ledger, begun where there is none."""
        return self.privacy.setdefault(owner, PrivacyState())

    def settle(self, lease: LeaseState, *, spent: bool) -> None:
        """A lease is over: what it has reserved is spent, or given back."""
        del self.open_leases[lease.digest]
        for owner in lease.charges:
            ledger = self.privacy[owner]
            reserved = ledger.reserved.pop(lease.digest)
            if spent:
                ledger.spent += reserved

    def count_use(self, grants: Iterable[str], proposal: str, job: str) -> None:
        """What these grants are about has been handed out for a job."""
        for grant in grants:
            self.grants[grant].jobs.add(use_of(proposal, job))

    def charged(self, owner: str) -> Cost:
        """What an owner has been charged until now."""
        return self.privacy[owner].charged if owner in self.privacy else Cost()

    def apply(self, entry: Entry) -> None:
        """Fold one entry that has been judged."""
        self.over = []
        _APPLY[entry["kind"]](self, entry)
        at_least, at_most = entry["at"]
        self.at = at_least, at_most
        self.size += 1
        while self.expiring and self.expiring[0][0] < at_most:
            self.over.append(grant_secret(heapq.heappop(self.expiring)[1]))


def use_of(proposal: str, job: str) -> str:
    """What one use of a grant is: a job of a proposal."""
    return f"{proposal}/{job}"


def _charter(state: State, entry: Entry) -> None:
    state.log = entry["log"]
    state.charter = entry["charter"]
    state.constitutions.append(entry["constitution"])
    state.nonces.add(entry["nonce"])


def _constitution(state: State, entry: Entry) -> None:
    state.proposals[entry["proposal"]].jobs["amend"] = []
    state.constitutions.append(entry["constitution"])
    # A worker holds the constitutions it saw when it joined: under a new one it has to join again.
    for join in state.joins.values():
        if not join.lease:
            join.lapses = 0


def _boot(state: State, entry: Entry) -> None:
    state.boot, state.boot_at = entry["boot"], state.size


def _proposal(state: State, entry: Entry) -> None:
    state.nonces.add(entry["nonce"])
    logged = Logged(Times(*entry["at"]))
    proposal = ProposalState(entry["proposal"], state.size, state.constitution, logged)
    state.proposals[proposal.digest] = proposal


def _ballot(state: State, entry: Entry) -> None:
    state.nonces.add(entry["nonce"])
    seat, sequence, vote = entry["seat"], entry["sequence"], entry["vote"]
    ballot = BallotState(entry["ballot"], seat, sequence, vote, state.size)
    state.proposals[entry["proposal"]].ballots.append(ballot)


def _stop(state: State, entry: Entry) -> None:
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


def _grant(state: State, entry: Entry) -> None:
    state.nonces.add(entry["nonce"])
    grant = GrantState(entry["grant"], entry["object"], entry["owner"], state.constitution)
    state.grants[grant.digest] = grant
    heapq.heappush(state.expiring, (entry["expires"], grant.digest))


def _join(state: State, entry: Entry) -> None:
    state.joins[entry["worker"]] = JoinState(
        entry["worker"],
        state.size,
        state.boot,
        entry["bound_to"],
        entry["measurement"],
        entry["lapses"],
    )


def _lease(state: State, entry: Entry) -> None:
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
        entry["at"][1],
        {owner: Cost.from_dict(cost) for owner, cost in entry["charges"].items()},
    )
    state.leases[lease.digest] = state.open_leases[lease.digest] = lease
    state.joins[lease.worker].lease = lease.digest
    state.proposals[lease.proposal].jobs.setdefault(lease.job, []).append(lease.digest)
    state.count_use(lease.grants, lease.proposal, lease.job)
    for owner, cost in lease.charges.items():
        state.ledger_of(owner).reserved[lease.digest] = cost


def _renewal(state: State, entry: Entry) -> None:
    state.leases[entry["lease"]].deadline = entry["deadline"]


def _release(state: State, entry: Entry) -> None:
    lease = state.leases[entry["lease"]]
    lease.status, lease.receipt = "released", entry["receipt"]
    lease.released_at = state.size
    state.settle(lease, spent=True)


def _close(state: State, entry: Entry) -> None:
    lease = state.leases[entry["lease"]]
    lease.status = "closed"
    state.settle(lease, spent=False)


_APPLY: dict[str, Callable[[State, Entry], None]] = {
    "charter": _charter,
    "constitution": _constitution,
    "boot": _boot,
    "proposal": _proposal,
    "ballot": _ballot,
    "stop": _stop,
    "grant": _grant,
    "join": _join,
    "lease": _lease,
    "renewal": _renewal,
    "release": _release,
    "close": _close,
    **federation_state.APPLY,
    **service_state.APPLY,
}

ENTRY_KINDS = frozenset(_APPLY)
