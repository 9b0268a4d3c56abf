# SPDX-License-Identifier: Apache-2.0
"""How a job stands, as the host tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from placet.client.connection.told import Told, digest, identifier, refused_of
from placet.client.errors import AnswerMalformed
from placet.proto.v1 import jobs_pb2
from placet.refusals import Refused

JobState = Literal["queued", "leased", "running", "released", "failed", "stopped"]
_STATES: Final[Mapping[int, JobState]] = MappingProxyType(
    {
        jobs_pb2.JOB_STATE_QUEUED: "queued",
        jobs_pb2.JOB_STATE_LEASED: "leased",
        jobs_pb2.JOB_STATE_RUNNING: "running",
        jobs_pb2.JOB_STATE_RELEASED: "released",
        jobs_pb2.JOB_STATE_FAILED: "failed",
        jobs_pb2.JOB_STATE_STOPPED: "stopped",
    }
)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job as the host tells it. Times are Unix seconds by the host's clock; `progress` is in
    whole percent.

    Which proposal it is of, its id says: see `Jobs.proposal`.
    """

    id: str
    proposal: Told
    state: JobState
    progress: int
    attempt: int
    refusal: Refused | None
    submitted: float
    changed: float

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("released", "failed", "stopped")

    @classmethod
    def from_wire(cls, job: jobs_pb2.Job) -> "JobStatus":
        """Raises `AnswerMalformed` for a state that this version does not know, or what is no id or
        digest."""
        state = _STATES.get(job.state)
        if state is None:
            raise AnswerMalformed(
                "The host tells a state of a job that this version does not know."
            )
        return cls(
            id=identifier(job.id),
            proposal=Told(digest(job.proposal)),
            state=state,
            progress=job.progress,
            attempt=job.attempt,
            refusal=refused_of(job.refusal) if job.HasField("refusal") else None,
            submitted=job.submitted_ms / 1000,
            changed=job.changed_ms / 1000,
        )
