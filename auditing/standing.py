# SPDX-License-Identifier: Apache-2.0
"""How a proposal stands, and who did what to it: one answer for lists, pages and refusals.

It is made of a replayed log alone. What nobody can change any more goes before what somebody can:
a stop before all, then what runs, then what is used up, and only then what votes decide.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from placet.governance.account import Account, Times
from placet.governance.codec import Json, parse_object
from placet.governance.documents import Proposal
from placet.governance.envelope import Signed
from placet.governance.judgements.standing import (
    carried_in,
    check_in_force,
    check_not_stopped,
    check_uses,
    judge_log,
)
from placet.governance.ledger import Ledger
from placet.governance.log import MAX_ENTRY_BYTES
from placet.governance.rules import Lifetime, Uses
from placet.governance.state import ProposalState
from placet.refusals import DocumentNotFound, NoRule, Refusal, TicketNotYetValid

StateName = Literal[
    "waiting", "refused", "approved", "running", "used up", "paused", "vetoed", "cancelled",
    "revoked", "expired", "retired",
]  # fmt: skip

VOTED: tuple[StateName, ...] = ("waiting", "refused", "approved", "vetoed")
_STOPPED: Mapping[str, StateName] = {"pause": "paused", "veto": "vetoed", "cancel": "cancelled"}
_KEPT = (b'"kind":"stop"', b'"kind":"constitution"')
# What a proposal itself asks for: no vote changes whether it is within a rule's bounds.
_BOUNDS = (Lifetime(1).name, Uses(1).name)


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did, by its entry: `document` is what they signed; "" where nobody signed."""

    index: int
    at: int
    by: str
    deed: str
    document: str


@dataclass(frozen=True, slots=True)
class ProposalStanding:
    """How a proposal stands: since when, by whom, and by which entry (None: by time alone).

    missing: what the rules demand and is not there. refusals: why a new use would be refused.
    opens: when its window opens, 0 if it has. words: what was written by document, None where the
    host withholds it.
    """

    state: StateName
    since: int
    by: tuple[str, ...]
    entry: int | None
    document: str
    refusals: tuple[Refusal, ...]
    missing: tuple[str, ...]
    opens: int
    taken: int
    uses: int
    acts: tuple[Act, ...]
    words: Mapping[str, str | None] = field(default_factory=lambda: dict[str, str | None]())

    @property
    def voting(self) -> bool:
        """Whether votes decide how it stands: a veto may be a ballot, or a stop."""
        stopped = any(act.deed == "veto" for act in self.acts)
        return self.state in VOTED and not stopped

    @property
    def brief(self) -> str:
        """In a word or two, for a list."""
        return "not yet open" if self.state == "approved" and self.opens else self.state

    def to_dict(self) -> Json:
        return {
            "state": self.state,
            "since": self.since,
            "by": list(self.by),
            "reason": self.words.get(self.document),
            "entry": self.entry,
            "missing": list(self.missing),
            "opens": self.opens or None,
            "uses": {"taken": self.taken, "allowed": self.uses},
        }


class Acts:
    """Of a log's entries those that say who did what to proposals; each is looked at once."""

    def __init__(self) -> None:
        self._entries: Sequence[bytes] = ()
        self._seen = 0
        self._stops: dict[str, list[Act]] = {}
        self._adopted: list[tuple[Act, str]] = []

    def follow(self, entries: Sequence[bytes]) -> "Acts":
        """Look at those that are new."""
        self._entries = entries
        for index in range(self._seen, len(entries)):
            if any(kind in entries[index] for kind in _KEPT):
                self._keep(index)
        self._seen = len(entries)
        return self

    def at(self, index: int) -> Act:
        """What one entry says."""
        entry = parse_object(self._entries[index], MAX_ENTRY_BYTES)
        kind, by, deed = entry["kind"], "", "started"
        if kind == "proposal":
            by, deed = entry["proposer"], "proposed"
        elif kind == "ballot":
            by, deed = entry["seat"], entry["vote"]
        elif kind == "stop":
            by, deed = entry["by"], entry["action"]
        elif kind == "constitution":
            deed = "amended"
        return Act(index, entry["at"][1], by, deed, entry[kind] if by else "")

    def stops(self, target: str) -> list[Act]:
        """Those of a proposal or a program, in the order of the log."""
        return self._stops.get(target, [])

    def ended(self, number: int) -> tuple[Act, str]:
        """The entry that put a later constitution in the place of the log's `number`-th, and the
        proposal of that."""
        return self._adopted[number]

    def adopted(self, proposal: str) -> Act:
        """The entry by which an amendment was put in force."""
        return next(act for act, under in self._adopted if under == proposal)

    def _keep(self, index: int) -> None:
        entry = parse_object(self._entries[index], MAX_ENTRY_BYTES)
        if entry["kind"] == "stop":
            self._stops.setdefault(entry["target"], []).append(self.at(index))
        elif entry["kind"] == "constitution":
            self._adopted.append((self.at(index), entry["proposal"]))


def stand(ledger: Ledger, acts: Acts, digest: str, times: Times) -> ProposalStanding:
    """How a proposal of this log stands. Raises `DocumentNotFound`."""
    known, proposal = ledger.state.proposals[digest], ledger.proposal(digest)
    program = acts.stops(proposal.document.body.program)
    own = [*acts.stops(digest), *(act for act in program if act.deed == "revoke-program")]
    cast = [acts.at(index) for index in (known.index, *(b.index for b in known.ballots.values()))]
    found = _decided(ledger, acts, known, proposal, own, times)
    unmet: tuple[Refusal, ...] = ()
    if found is None or found[0] == "expired":
        account = judge_log(ledger, proposal, times)
        unmet = account.refusals
        found = found or _judged(ledger, acts, known, account)
    state, by, act = found
    since = act.at if act else proposal.document.not_after
    needed = unmet if state in VOTED else ()
    return ProposalStanding(
        state=state,
        since=since,
        by=by,
        entry=act.index if act else None,
        document=act.document if act else "",
        refusals=(*closed(ledger, proposal), *unmet),
        missing=tuple(str(r) for r in needed if not isinstance(r, TicketNotYetValid)),
        opens=proposal.document.not_before * (times.at_least < proposal.document.not_before),
        taken=len(known.jobs),
        uses=proposal.document.uses,
        acts=tuple(sorted((*cast, *own), key=lambda act: act.index)),
    )


_Found = tuple[StateName, tuple[str, ...], Act | None]


def _decided(
    ledger: Ledger,
    acts: Acts,
    known: ProposalState,
    proposal: Signed[Proposal],
    stops: list[Act],
    times: Times,
) -> _Found | None:
    """How it stands where no vote matters any more."""
    if known.stopped:
        act = next(act for act in stops if act.deed == known.stopped)
        return _STOPPED[known.stopped], (act.by,), act
    if stops:
        return "revoked", (stops[0].by,), stops[0]
    if (began := _running(ledger, known, times)) is not None:
        return "running", (), acts.at(began)
    if len(known.jobs) >= proposal.document.uses:
        return "used up", (), _last_use(ledger, acts, known)
    last = carried_in(ledger, proposal).constitution
    if last != ledger.state.constitution:
        act, under = acts.ended(ledger.state.constitutions.index(last))
        return "retired", (ledger.proposal(under).document.proposer,), act
    if times.at_most > proposal.document.not_after:
        return "expired", (), None
    return None


def _running(ledger: Ledger, known: ProposalState, times: Times) -> int | None:
    """The entry since which something of it runs; None where nothing does."""
    began = [
        lease.index
        for lease in ledger.state.open_leases.values()
        if lease.proposal == known.digest and times.at_least <= lease.deadline
    ]
    federation = ledger.state.federations.get(known.digest)
    if federation and federation.rounds and not federation.current.over:
        began.append(federation.rounds[0].opened_at)
    return min(began, default=None)


def _last_use(ledger: Ledger, acts: Acts, known: ProposalState) -> Act:
    """The entry that took the last use."""
    if "amend" in known.jobs:
        return acts.adopted(known.digest)
    if known.digest in ledger.state.federations:
        return acts.at(ledger.state.federation(known.digest).current.opened_at)
    leases = list(known.jobs.values())[-1]
    return acts.at(ledger.state.leases[leases[0]].index)


def _judged(ledger: Ledger, acts: Acts, known: ProposalState, account: Account) -> _Found:
    """How it stands by its votes."""
    ballots = {b.seat: b.index for b in known.standing.ballots()}
    rules = {rule.rule for rule in account.rules}
    vetoing = {
        role
        for rule in ledger.constitution(account.constitution).rules
        if rule.id in rules
        for role in rule.veto_roles
    }
    against = [b.seat for b in account.ballots if b.vote == "non placet" and b.role in vetoing]
    if against:
        return "vetoed", tuple(against), acts.at(min(ballots[seat] for seat in against))
    needed = [r for r in account.refusals if not isinstance(r, TicketNotYetValid)]
    if not needed:
        last = max((ballots[seat] for seat in account.approving), default=known.index)
        return "approved", account.approving, acts.at(last)
    state: StateName = "refused" if any(map(_is_final, needed)) else "waiting"
    proposed = acts.at(known.index)
    return state, (proposed.by,), proposed


def _is_final(refusal: Refusal) -> bool:
    return isinstance(refusal, NoRule) or refusal.details.get("claim") in _BOUNDS


def closed(ledger: Ledger, proposal: Signed[Proposal]) -> Iterable[Refusal]:
    """Why the log lets no new use happen, whatever the votes are. Raises `DocumentNotFound`."""
    known = ledger.state.proposals[proposal.digest]
    checks: tuple[Callable[[], None], ...] = (
        partial(check_in_force, ledger, proposal),
        partial(check_not_stopped, ledger, proposal),
        partial(check_uses, proposal, known, ""),
    )
    for check in checks:
        try:
            check()
        except DocumentNotFound:
            raise
        except Refusal as refusal:
            yield refusal
