# SPDX-License-Identifier: Apache-2.0
"""A federation as callers see it: what the log says of its rounds, and what the host knows
besides."""

from dataclasses import dataclass
from itertools import islice

from placet.governance.federation_state import FederationState, RoundState
from placet.governance.jobs import round_job
from placet.host.documents import FederationFacts, read_ticket
from placet.host.log.log import Log
from placet.host.store.job_table import JobRecord
from placet.host.store.run_table import RunRecord
from placet.proto.limits import MIB
from placet.proto.v1 import common_pb2, runs_pb2

_MAX_OUTCOMES = 2 * MIB
_MAX_ROUNDS = 1000  # of the newest, that are shown


@dataclass(frozen=True, slots=True)
class FederationRecord:
    """A federation that was started here."""

    run: RunRecord
    facts: FederationFacts
    log: FederationState

    @classmethod
    def of(cls, run: RunRecord, log: Log) -> "FederationRecord":
        """A run with what its ticket and the log say."""
        facts = read_ticket(common_pb2.Ticket.FromString(run.ticket)).federation
        assert facts is not None  # or it would not have been started
        return cls(run, facts, log.federation(run.id))

    @property
    def job(self) -> JobRecord | None:
        """What aggregates the newest round, once there is a job for it."""
        name = round_job(self.run.id, len(self.log.rounds))
        return next((job for job in self.run.jobs if job.id == name), None)

    @property
    def current(self) -> RoundState | None:
        """The newest round; None before the first one."""
        return self.log.rounds[-1] if self.log.rounds else None

    @property
    def complete(self) -> bool:
        """Whether the newest round has the update of everybody who may send one."""
        sent = self.current.updates if self.current else {}
        return all(client in sent or client in self.log.quarantined for client in self.facts.roster)

    def to_proto(self) -> runs_pb2.Run:
        """As callers see it: without the oldest outcomes where there are too many."""
        run = self.run.to_proto()
        if (job := self.job) is not None:
            run.progress = job.progress
        shown, current = run.federation, self.current
        shown.rounds, shown.model_round = self.facts.rounds, max(self.log.models, default=0)
        if current is not None:
            shown.round, shown.closes = current.number, current.closes
            shown.opened_at = current.opened_at
            shown.aggregating = current.status != "open" and not self.run.ended
        shown.members.extend(map(self._member, self.facts.roster))
        shown.outcomes.extend(self._outcomes())
        return run

    def _member(self, client: str) -> runs_pb2.Member:
        updated = self.current is not None and client in self.current.updates
        member = runs_pb2.Member(client=client, updated=updated)
        quarantine = self.log.quarantined.get(client)
        if quarantine is not None:
            member.quarantined_until, member.why = quarantine.until, quarantine.reason
        return member

    def _outcomes(self) -> list[runs_pb2.RoundOutcome]:
        outcomes, left = list[runs_pb2.RoundOutcome](), _MAX_OUTCOMES
        for held in islice(reversed(self.log.rounds), _MAX_ROUNDS):
            if not (held.over or self.run.ended):
                continue
            outcome = runs_pb2.RoundOutcome(
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
