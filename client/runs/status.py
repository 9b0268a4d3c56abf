# SPDX-License-Identifier: Apache-2.0
"""How a run stands, as the host tells it. What a federation's round is decided by is read from the
log instead (client/federations/rounds.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from placet.client.connection.told import Told, digest, identifier, reason, refused_of
from placet.client.errors import AnswerMalformed
from placet.proto.v1 import runs_pb2
from placet.refusals import Refused

RunState = Literal["queued", "leased", "running", "finished", "failed", "stopped"]
_STATES: Final[Mapping[int, RunState]] = MappingProxyType(
    {
        runs_pb2.RUN_STATE_QUEUED: "queued",
        runs_pb2.RUN_STATE_LEASED: "leased",
        runs_pb2.RUN_STATE_RUNNING: "running",
        runs_pb2.RUN_STATE_FINISHED: "finished",
        runs_pb2.RUN_STATE_FAILED: "failed",
        runs_pb2.RUN_STATE_STOPPED: "stopped",
    }
)
_W = TypeVar("_W")


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What is particular to a job. `changed` is in Unix seconds by the host's clock."""

    attempt: int
    changed: float

    @classmethod
    def from_wire(cls, told: runs_pb2.Job) -> "JobStatus":
        return cls(told.attempt, told.changed_ms / 1000)


@dataclass(frozen=True, slots=True)
class Member:
    """A client of the roster: whether its update for the round under way is in, from which round on
    it may send again (0: now), and why not now (the name of a reason)."""

    client: str
    updated: bool
    quarantined_until: int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A round that is over: whether it released a model, how many updates it had, and who left for
    which reason."""

    round: int
    released: bool
    updates: int
    left: dict[str, str]


@dataclass(frozen=True, slots=True)
class FederationStatus:
    """What is particular to a federation. `closes` is in Unix seconds; `aggregating` whether the
    round takes in no more updates; `model_round` is 0 before the first model."""

    round: int
    rounds: int
    closes: int
    aggregating: bool
    model_round: int
    members: tuple[Member, ...]
    outcomes: tuple[Outcome, ...]

    @classmethod
    def from_wire(cls, told: runs_pb2.Federation) -> "FederationStatus":
        """Raises `AnswerMalformed` for what is no name or reason."""
        return cls(
            round=told.round,
            rounds=told.rounds,
            closes=told.closes,
            aggregating=told.aggregating,
            model_round=told.model_round,
            members=tuple(
                Member(identifier(m.client), m.updated, m.quarantined_until, reason(m.why))
                for m in told.members
            ),
            outcomes=tuple(
                Outcome(o.round, o.released, o.updates, _left(o.left)) for o in told.outcomes
            ),
        )


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What is particular to a service: workers asked for, those that are ready, and the Unix second
    at which its window closes."""

    workers: int
    ready: int
    not_after: int

    @classmethod
    def from_wire(cls, told: runs_pb2.Service) -> "ServiceStatus":
        return cls(told.workers, told.ready, told.not_after)


Work = JobStatus | FederationStatus | ServiceStatus


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as the host tells it.

    id: a job's name, or the digest of the proposal. proposal: told by the host only; which one it
    is of, the id says (`Runs.proposal`). progress: of a job, or of the aggregation of a
    federation's round, in whole percent. refusal: why it ended; why a job waits for a worker, where
    the host has none for it; or why a service's last worker ended. started: Unix seconds by the
    host's clock.
    """

    id: str
    proposal: Told
    state: RunState
    progress: int
    refusal: Refused | None
    started: float
    work: Work

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more, unless it is started again."""
        return self.state in ("finished", "failed", "stopped")

    @property
    def settled(self) -> bool:
        """Whether it has ended, or is a service with as many workers as were asked for."""
        work = self.work
        return self.ended or (isinstance(work, ServiceStatus) and work.ready >= work.workers)

    @property
    def job(self) -> JobStatus:
        """Raises `AnswerMalformed` where the host tells of other work, as do the next two."""
        return self._work(JobStatus)

    @property
    def federation(self) -> FederationStatus:
        return self._work(FederationStatus)

    @property
    def service(self) -> ServiceStatus:
        return self._work(ServiceStatus)

    def _work(self, kind: type[_W]) -> _W:
        if not isinstance(self.work, kind):
            raise AnswerMalformed(
                "The host tells of work of another kind.",
                claim="work",
                expected=kind.__name__,
                actual=type(self.work).__name__,
            )
        return self.work

    @classmethod
    def from_wire(cls, told: runs_pb2.Run) -> "RunStatus":
        """Raises `AnswerMalformed` for a state or a kind that this version does not know, or what
        is no id or digest."""
        state, work = _STATES.get(told.state), _work(told)
        if state is None or work is None:
            raise AnswerMalformed(
                "The host tells a state or a kind of a run that this version does not know."
            )
        return cls(
            id=identifier(told.id) if isinstance(work, JobStatus) else digest(told.id),
            proposal=Told(digest(told.proposal)),
            state=state,
            progress=told.progress,
            refusal=refused_of(told.refusal) if told.HasField("refusal") else None,
            started=told.started_ms / 1000,
            work=work,
        )


def _work(told: runs_pb2.Run) -> Work | None:
    match told.WhichOneof("work"):
        case "job":
            return JobStatus.from_wire(told.job)
        case "federation":
            return FederationStatus.from_wire(told.federation)
        case "service":
            return ServiceStatus.from_wire(told.service)
        case _:
            return None


def _left(told: Mapping[str, str]) -> dict[str, str]:
    return {identifier(client): reason(why) for client, why in told.items()}
