# SPDX-License-Identifier: Apache-2.0
"""The state that the log folds to: the entries change it, in order (entries/), and nothing else.

An entry that ends something settles what was reserved for it in the same step, and `over` names
the keys that nobody needs any more.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from placet.governance.account import Logged, Times
from placet.governance.ballot_state import BallotState, StandingBallots
from placet.governance.documents.constitution import MOST_DOCUMENTS
from placet.governance.documents.privacy import Cost
from placet.governance.federation_state import FederationState
from placet.refusals import FederationNotFound


# A function that returns a literal is several times as fast as calling list[str], and a replay
# makes very many of them.
def _no_digests() -> set[str]:
    return set()


def _no_ballots() -> dict[str, BallotState]:
    return {}


def _nothing_entered() -> dict[str, deque[int]]:
    return {}


def _no_costs() -> dict[str, Cost]:
    return {}


def _no_jobs() -> dict[str, list[str]]:
    return {}


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
    launched_for: str
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
    """A proposal that the log has: since when, its ballots, its leases by job, what stops it.

    `ballots` are all that were cast, by digest; `standing` are those that decide, by seat.
    """

    digest: str
    index: int
    constitution: str
    logged: Logged
    ballots: dict[str, BallotState] = field(default_factory=_no_ballots)
    standing: StandingBallots = field(default_factory=StandingBallots)
    jobs: dict[str, list[str]] = field(default_factory=_no_jobs)
    stopped: str = ""

    def cast(self, ballot: BallotState) -> None:
        """A ballot has entered the log."""
        self.ballots[ballot.digest] = ballot
        self.standing.cast(ballot)


@dataclass(slots=True)
class ServiceState:
    """A service by its proposal: rows drawn by its workers for each user."""

    drawn: dict[str, int] = field(default_factory=lambda: dict[str, int]())

    @property
    def total(self) -> int:
        """For all users."""
        return sum(self.drawn.values())


@dataclass(slots=True)
class PrivacyState:
    """The charges to a data owner: spent by releases and answers, reserved by leases that are open,
    by their digests."""

    spent: Cost = field(default_factory=Cost)
    reserved: dict[str, Cost] = field(default_factory=_no_costs)

    @property
    def charged(self) -> Cost:
        """Both together, which is what a budget is held against."""
        return sum(self.reserved.values(), self.spent)


@dataclass(slots=True)
class State:
    """Everything that the authority knows by its log. Read it freely; entries alone change it."""

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
    # When each principal had its newest documents entered that are bounded (limits.documents).
    entered: dict[str, deque[int]] = field(default_factory=_nothing_entered)
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

    def federation(self, proposal: str) -> FederationState:
        """Raises `FederationNotFound`."""
        if proposal not in self.federations:
            raise FederationNotFound(
                "No federation of this proposal was started. Start it first.",
                claim="federation",
                actual=proposal,
            )
        return self.federations[proposal]

    def next_round(self, proposal: str) -> int:
        """The number of the round that would be opened next."""
        federation = self.federations.get(proposal)
        return len(federation.rounds) + 1 if federation else 1

    def enter(self, principal: str) -> None:
        """A document of a principal that counts against the bound has entered the log."""
        if principal not in self.entered:
            self.entered[principal] = deque(maxlen=MOST_DOCUMENTS)
        self.entered[principal].append(self.at[1])

    def settle(self, lease: LeaseState, *, spent: bool) -> None:
        """A lease is over: what it has reserved is spent, or given back."""
        del self.open_leases[lease.digest]
        for owner in lease.charges:
            ledger = self.privacy[owner]
            reserved = ledger.reserved.pop(lease.digest)
            if spent:
                ledger.spent += reserved

    def count_use(self, grants: Iterable[str], proposal: str, job: str) -> None:
        """Count a job as a use of these grants: their objects have been handed out for it."""
        for grant in grants:
            self.grants[grant].jobs.add(use_of(proposal, job))

    def charged(self, owner: str) -> Cost:
        """The charge to an owner until now."""
        return self.privacy[owner].charged if owner in self.privacy else Cost()


def use_of(proposal: str, job: str) -> str:
    """The name of one use of a grant: a job of a proposal."""
    return f"{proposal}/{job}"
