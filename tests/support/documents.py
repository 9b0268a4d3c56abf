# SPDX-License-Identifier: Apache-2.0
"""Documents with plain contents, written out whole once: a test says what it changes."""

import hashlib
from collections.abc import Iterable
from typing import Any

from placet.governance.documents import (
    Ballot,
    Card,
    Constitution,
    Evidence,
    Federate,
    Grant,
    Header,
    Input,
    Job,
    Layout,
    Limits,
    Mean,
    Organisation,
    Output,
    Party,
    Proposal,
    Rations,
    Raw,
    Recipient,
    Seat,
    Serve,
    Stop,
    Tensor,
)
from placet.sealing import ObjectDescriptor
from tests.support.policies import simulated

DAY = 86400
FAR = 2**40  # a time that no test sees
PROGRAM = "sha256:" + "ab" * 32
LAYOUT = Layout((Tensor("w", (5, 4)), Tensor("b", (4,))), "float32", 16384)


def constitution(
    seats: Iterable[Seat], parties: Iterable[Party] = (), **changed: Any
) -> Constitution:
    """A first constitution of these seats and parties. `rules` have to be given."""
    principals: tuple[Seat | Party, ...] = (*(seats := tuple(seats)), *(parties := tuple(parties)))
    names = dict.fromkeys(principal.organisation for principal in principals)
    fields: dict[str, Any] = {
        "nonce": "01" * 16,
        "version": 1,
        "predecessor": None,
        "name": "A small council",
        "organisations": tuple(Organisation(name, name) for name in names),
        "seats": seats,
        "parties": parties,
        "labels": ("health",),
        "evidence": Evidence(simulated("authority"), simulated("worker")),
        "limits": Limits(lease_seconds=300, join_seconds=3600),
        "witnesses": "none",
        "recovery": "none",
    }
    return Constitution(**{**fields, **changed})


def descriptor(
    name: str = "data",
    labels: tuple[str, ...] = ("health",),
    length: int = 1000,
    kind: str = "dataset",
) -> ObjectDescriptor:
    """An object that nobody has sealed; another one for each name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ObjectDescriptor(digest[:32], kind, labels, digest, 65536, 1, length, "sha256:" + digest)


def job(*recipients: Recipient, **changed: Any) -> Job:
    """A job without inputs, for these recipients."""
    fields: dict[str, Any] = {
        "program": PROGRAM,
        "inputs": {},
        "parameters": {},
        "outputs": {"out": Output(1000)},
        "recipients": recipients,
        "privacy": None,
        "attempts": 2,
        "deadline_seconds": 60,
    }
    return Job(**{**fields, **changed})


def federate(roster: Iterable[str], **changed: Any) -> Federate:
    """A federation of these clients, two of them enough, from zeros and without noise."""
    fields: dict[str, Any] = {
        "model": None,
        "layout": LAYOUT,
        "labels": ("health",),
        "roster": tuple(roster),
        "rounds": 4,
        "smallest_cohort": 2,
        "round_seconds": 600,
        "clip": "1",
        "noise": None,
        "rule": Mean("mean"),
        "largest_weight": 100,
        "rate": "1",
        "quarantine_rounds": 1,
        "attempts": 2,
        "deadline_seconds": 60,
    }
    return Federate(**{**fields, **changed})


def serve(model: Input, users: Any, **changed: Any) -> Serve:
    """A service of a model for these users, which shows what the model says."""
    fields: dict[str, Any] = {
        "model": model,
        "card": Card("A small net", ("health",), "", None, FAR),
        "users": users,
        "rations": Rations(user=1000, total=10_000, minute=1000, tranche=100),
        "answers": {"scores": Raw("raw")},
        "not_finite": "refuse",
        "largest_request": 64,
        "largest_question": 1024 * 1024,
        "samples": {},
        "batch": "shared",
        "batch_rows": 64,
        "privacy": None,
        "review": FAR,
        "deadline_seconds": 3600,
    }
    return Serve(**{**fields, **changed})


def proposal(
    header: Header, constitution: str, proposer: str, body: Any, now: int, **changed: Any
) -> Proposal:
    """A proposal under a constitution, open for an hour from a minute ago."""
    fields: dict[str, Any] = {
        "action": body.ACTION,
        "purpose": "research",
        "reason": "To learn.",
        "not_before": now - 60,
        "not_after": now + 3600,
        "uses": 1,
    }
    return Proposal(header, constitution, proposer, body=body, **{**fields, **changed})


def ballot(
    header: Header,
    constitution: str,
    seat: str,
    proposal: str,
    now: int,
    vote: str = "placet",
    **changed: Any,
) -> Ballot:
    """A seat's first ballot; a yes holds for two days."""
    fields: dict[str, Any] = {
        "sequence": 1,
        "vote": vote,
        "interests": "none",
        "rationale": "It is useful.",
        "expires": now + 2 * DAY if vote == "placet" else None,
    }
    return Ballot(
        header=header,
        seat=seat,
        proposal=proposal,
        constitution=constitution,
        **{**fields, **changed},
    )


def grant(
    header: Header, owner: str, object: ObjectDescriptor, evidence: Evidence, **changed: Any
) -> Grant:
    """A grant that allows everything to everybody."""
    fields: dict[str, Any] = {
        "purposes": "any",
        "programs": "any",
        "parameters": "any",
        "recipients": "any",
        "combine_with": "any",
        "evidence": evidence,
        "witnesses": "any",
        "approvals": (),
        "privacy": "any",
        "uses": "any",
        "expires": FAR,
        "recoverable": False,
    }
    return Grant(header, owner, object, **{**fields, **changed})


def stop(header: Header, by: str, action: Any, target: str) -> Stop:
    """Somebody's stop, with a reason."""
    return Stop(header, by, action, target, "Enough.")
