# SPDX-License-Identifier: Apache-2.0
"""A federation as the store has it, and as callers see it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from placet.host.store.job_table import JobRecord
from placet.proto.limits import MIB
from placet.proto.v1 import federations_pb2

RUNNING = federations_pb2.FEDERATION_STATE_UNSPECIFIED
FINISHED = federations_pb2.FEDERATION_STATE_FINISHED
FAILED = federations_pb2.FEDERATION_STATE_FAILED
STOPPED = federations_pb2.FEDERATION_STATE_STOPPED
_AGGREGATING = federations_pb2.FEDERATION_STATE_AGGREGATING
_OPEN = federations_pb2.FEDERATION_STATE_OPEN
_MAX_OUTCOMES = 2 * MIB


class Standing(StrEnum):
    """How far a round is: open for updates, closed while it is aggregated, released, or void: it
    changed nothing."""

    OPEN = "open"
    CLOSED = "closed"
    RELEASED = "released"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round. `closes` is in Unix seconds; `gone` is a JSON table from client to reason."""

    number: int
    opened_at: int
    closes: int
    standing: str
    updates: int
    gone: str

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.standing in (Standing.RELEASED, Standing.VOID)

    def to_proto(self) -> federations_pb2.RoundOutcome:
        """What became of it."""
        return federations_pb2.RoundOutcome(
            round=self.number,
            released=self.standing == Standing.RELEASED,
            updates=self.updates,
            left=json.loads(self.gone),
        )


@dataclass(frozen=True, slots=True)
class Suspension:
    """The first round that a client may send updates for again, and the name of the reason."""

    until: int
    reason: str


@dataclass(frozen=True, slots=True)
class FederationRecord:
    """A federation that was started here.

    `rounds` is how many there will be; `sealed_bytes` the length of an update's sealed stream;
    `latest` the newest rounds, newest first; `updated` the clients whose update for the newest
    round the log has; `job` aggregates the newest round. `refusal` is a serialised
    `placet.v1.Refusal` or empty.
    """

    id: str
    rounds: int
    roster: tuple[str, ...]
    sealed_bytes: int
    state: federations_pb2.FederationState.ValueType
    refusal: bytes
    latest: tuple[RoundRecord, ...]
    updated: frozenset[str]
    suspended: Mapping[str, Suspension]
    model_round: int
    job: JobRecord | None

    @property
    def ended(self) -> bool:
        """Whether the host does nothing more for it."""
        return self.state != RUNNING

    @property
    def current(self) -> RoundRecord | None:
        """The newest round; None before the first one."""
        return self.latest[0] if self.latest else None

    @property
    def complete(self) -> bool:
        """Whether the newest round has the update of everybody who may send one."""
        return self.updated.union(self.suspended).issuperset(self.roster)

    def to_proto(self) -> federations_pb2.Federation:
        """As callers see it: without the oldest outcomes where there are too many."""
        shown = federations_pb2.Federation(
            id=self.id, rounds=self.rounds, model_round=self.model_round, state=self.state
        )
        current = self.current
        if current is not None:
            shown.round, shown.closes = current.number, current.closes
            shown.opened_at = current.opened_at
            if not self.ended:
                is_open = current.standing == Standing.OPEN
                shown.state = _OPEN if is_open else _AGGREGATING
        if self.job is not None:
            shown.progress = self.job.progress
        if self.refusal:
            shown.refusal.ParseFromString(self.refusal)
        shown.members.extend(self._member(client) for client in self.roster)
        shown.outcomes.extend(self._outcomes())
        return shown

    def _member(self, client: str) -> federations_pb2.Member:
        member = federations_pb2.Member(client=client, updated=client in self.updated)
        suspension = self.suspended.get(client)
        if suspension is not None:
            member.suspended_until, member.why = suspension.until, suspension.reason
        return member

    def _outcomes(self) -> list[federations_pb2.RoundOutcome]:
        outcomes, left = list[federations_pb2.RoundOutcome](), _MAX_OUTCOMES
        for held in self.latest:
            if not (held.over or self.ended):
                continue
            outcome = held.to_proto()
            left -= outcome.ByteSize() + 8
            if left < 0:
                break
            outcomes.append(outcome)
        return outcomes[::-1]
