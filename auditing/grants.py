# SPDX-License-Identifier: Apache-2.0
"""Grants as the log has them: how each stands, what is left of it, and who has used it.

records = grant_records(entries)                     # of the whole log, by digest
standing = grant_standing(ledger, record, times)     # judged as the authority judges it
explain_grant_standing(standing)                           # in sentences
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from placet.governance.account import Times
from placet.governance.documents import Budget, Grant
from placet.governance.entries.kind import Entry
from placet.governance.jobs import round_job
from placet.governance.judgements.grants import check_live
from placet.governance.ledger import Ledger
from placet.governance.privacy import describe_cost
from placet.governance.sentences import count, time_text
from placet.refusals import (
    GrantExpired,
    GrantForbids,
    GrantUsedUp,
    GrantWithdrawn,
)

Stands = Literal["live", "suspended", "used up", "expired", "withdrawn"]


@dataclass(slots=True)
class GrantUses:
    """The jobs of one proposal that a grant's object was handed out for, and when."""

    proposal: str
    first: int
    last: int
    jobs: set[str] = field(default_factory=lambda: set[str]())


@dataclass(slots=True)
class GrantRecord:
    """What the log says of a grant: its entry, its uses by proposal, and when it was withdrawn
    (None: it was not)."""

    digest: str
    owner: str
    index: int
    entered: int
    expires: int
    uses: dict[str, GrantUses] = field(default_factory=lambda: dict[str, GrantUses]())
    withdrawn: int | None = None
    withdrawn_at: int = 0  # index of its entry

    @property
    def used(self) -> int:
        """How many uses are taken."""
        return sum(len(uses.jobs) for uses in self.uses.values())


@dataclass(frozen=True, slots=True)
class UsedBy:
    """Who has used a grant and what for, by one proposal; all of it empty where nobody gives the
    proposal."""

    uses: GrantUses
    proposer: str = ""
    action: str = ""
    purpose: str = ""
    program: str = ""


@dataclass(frozen=True, slots=True)
class GrantStanding:
    """A grant as it stands now. why: what stops it; empty where it is live. left: its uses that
    are left; None for any number. charged: to its owner so far, where it sets a budget."""

    record: GrantRecord
    grant: Grant
    stands: Stands
    why: str
    left: int | None
    charged: str


def grant_records(entries: Iterable[Entry]) -> dict[str, GrantRecord]:
    """All grants that a log has, by digest, in its order."""
    found: dict[str, GrantRecord] = {}
    for index, entry in enumerate(entries):
        kind, at = entry["kind"], entry["at"][1]
        if kind == "grant":
            digest = entry["grant"]
            found[digest] = GrantRecord(digest, entry["owner"], index, at, entry["expires"])
        elif kind == "stop" and entry["action"] == "withdraw":
            record = found[entry["target"]]
            if record.withdrawn is None:
                record.withdrawn, record.withdrawn_at = at, index
        elif kind in ("lease", "open-round"):
            proposal = entry["proposal"]
            # A lease for a round is the use that opening it was.
            job = entry["job"] if kind == "lease" else round_job(proposal, entry["round"])
            for digest in entry["grants"]:
                uses = found[digest].uses.setdefault(proposal, GrantUses(proposal, at, at))
                uses.jobs.add(job)
                uses.last = at
    return found


def grant_standing(ledger: Ledger, record: GrantRecord, times: Times) -> GrantStanding:
    """How a grant stands for a use that would be new. Raises `DocumentNotFound`."""
    grant = ledger.grant(record.digest).document
    stands, why = _stands(ledger, record.digest, times)
    used = len(ledger.state.grants[record.digest].jobs)
    left = None if grant.uses == "any" else max(grant.uses - used, 0)
    charged = ""
    if isinstance(grant.privacy, Budget):
        charged = describe_cost(ledger.state.charged(grant.owner), grant.privacy.delta)
    return GrantStanding(record, grant, stands, why, left, charged)


def used_by(ledger: Ledger, uses: GrantUses) -> UsedBy:
    """The proposal behind uses of a grant. Raises `DocumentNotFound`."""
    said = ledger.proposal(uses.proposal).document
    return UsedBy(uses, said.proposer, said.action, said.purpose, said.body.program)


def explain_grant_standing(standing: GrantStanding, users: Iterable[UsedBy]) -> list[str]:
    """How a grant stands, what is left of it and who has used it, in sentences."""
    record, grant = standing.record, standing.grant
    lines = [f"The log took it in at {time_text(record.entered)}, as entry {record.index}."]
    if record.withdrawn is not None:
        lines.append(
            f"{record.owner} withdrew it at {time_text(record.withdrawn)}, "
            f"by entry {record.withdrawn_at}."
        )
    lines.append(f"It is {standing.stands}." + (f" {standing.why}" if standing.why else ""))
    if standing.left is None:
        lines.append(f"It was used {count(record.used, 'time')}, and may be used any number more.")
    else:
        lines.append(
            f"Of {count(int(grant.uses), 'use')} {record.used} are taken, "
            f"and {standing.left} are left."
        )
    if isinstance(grant.privacy, Budget):
        lines.append(
            f"{record.owner} has been charged {standing.charged} so far, of epsilon "
            f"{grant.privacy.epsilon} at delta {grant.privacy.delta} in all."
        )
    for user in users:
        lines += _used(user)
    return lines


def _stands(ledger: Ledger, digest: str, times: Times) -> tuple[Stands, str]:
    try:
        # No job is named so: a use that was counted already would go on.
        check_live(ledger, digest, "", times)
    except GrantWithdrawn as error:
        return "withdrawn", str(error)
    except GrantExpired as error:
        return "expired", str(error)
    except GrantForbids as error:
        return "suspended", str(error)
    except GrantUsedUp as error:
        return "used up", f"{error} Jobs that have used it already may go on."
    return "live", ""


def _used(user: UsedBy) -> list[str]:
    uses = user.uses
    times = f"{count(len(uses.jobs), 'time')}, first at {time_text(uses.first)}"
    if len(uses.jobs) > 1:
        times += f" and last at {time_text(uses.last)}"
    if not user.proposer:
        return [
            f"The proposal {uses.proposal} used it {times}.",
            "The host does not give that proposal, so its purpose is not known here.",
        ]
    return [
        (
            f"{user.proposer} used it for the purpose {user.purpose} {times}, "
            f"by the proposal {uses.proposal}."
        ),
        f"The action was {user.action}, with the program {user.program}.",
    ]
