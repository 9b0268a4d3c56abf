# SPDX-License-Identifier: Apache-2.0
"""A federation as callers see it: what the log says of its rounds, and what the host knows
besides."""

from dataclasses import dataclass
from itertools import islice

from placet.governance.federation_state import FederationState, RoundState
from placet.host.documents import FederationFacts
from placet.host.store.federation_table import RUNNING, FederationRow
from placet.host.store.job_table import JobRecord
from placet.proto.limits import MIB
from placet.proto.v1 import federations_pb2

_AGGREGATING = federations_pb2.FEDERATION_STATE_AGGREGATING
_OPEN = federations_pb2.FEDERATION_STATE_OPEN
_MAX_OUTCOMES = 2 * MIB
_MAX_ROUNDS = 1000  # of the newest, that are shown


@dataclass(frozen=True, slots=True)
class FederationRecord:
    """A federation that was started here. `job` aggregates the newest round."""

    row: FederationRow
    facts: FederationFacts
    log: FederationState
    job: JobRecord | None

    @property
    def ended(self) -> bool:
        """Whether the host does nothing more for it."""
        return self.row.state != RUNNING

    @property
    def current(self) -> RoundState | None:
        """The newest round; None before the first one."""
        return self.log.rounds[-1] if self.log.rounds else None

    @property
    def complete(self) -> bool:
        """Whether the newest round has the update of everybody who may send one."""
        sent = self.current.updates if self.current else {}
        return all(client in sent or client in self.log.quarantined for client in self.facts.roster)

    def to_proto(self) -> federations_pb2.Federation:
        """As callers see it: without the oldest outcomes where there are too many."""
        shown = federations_pb2.Federation(
            id=self.row.id,
            rounds=self.facts.rounds,
            model_round=max(self.log.models, default=0),
            state=self.row.state,
        )
        current = self.current
        if current is not None:
            shown.round, shown.closes = current.number, current.closes
            shown.opened_at = current.opened_at
            if not self.ended:
                shown.state = _OPEN if current.status == "open" else _AGGREGATING
        if self.job is not None:
            shown.progress = self.job.progress
        if self.row.refusal:
            shown.refusal.ParseFromString(self.row.refusal)
        shown.members.extend(map(self._member, self.facts.roster))
        shown.outcomes.extend(self._outcomes())
        return shown

    def _member(self, client: str) -> federations_pb2.Member:
        updated = self.current is not None and client in self.current.updates
        member = federations_pb2.Member(client=client, updated=updated)
        quarantine = self.log.quarantined.get(client)
        if quarantine is not None:
            member.quarantined_until, member.why = quarantine.until, quarantine.reason
        return member

    def _outcomes(self) -> list[federations_pb2.RoundOutcome]:
        outcomes, left = list[federations_pb2.RoundOutcome](), _MAX_OUTCOMES
        for held in islice(reversed(self.log.rounds), _MAX_ROUNDS):
            if not (held.over or self.ended):
                continue
            outcome = federations_pb2.RoundOutcome(
                round=held.number,
                released=held.status == "released",
                updates=len(held.updates),
                left=held.left,
            )
            left -= outcome.ByteSize() + 8
            if left < 0:
                break
            outcomes.append(outcome)
        return outcomes[::-1]
