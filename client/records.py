# SPDX-License-Identifier: Apache-2.0
"""What the client hands out: answers of a host in our own words, verified where something vouches
for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from placet.client.connection.told import digest, identifier, object_id, refused
from placet.client.errors import AnswerMalformed, Refused
from placet.client.trust.verify import VerifiedReceipt
from placet.governance.documents import Ballot, Proposal
from placet.governance.envelope import Signed
from placet.governance.evaluate import Ticket
from placet.governance.log import Checkpoint
from placet.proto.refusals import reason_name
from placet.proto.v1 import blobs_pb2, common_pb2, jobs_pb2

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
class Told:
    """What only the host says: to show, and of a type that nothing takes that signs or decides."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Recorded:
    """A document that the log has: the entry at `index` names `digest`, and `checkpoint` covers it.
    Verified."""

    digest: str
    index: int
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class ProposalItem:
    """A line of the list of proposals of the log."""

    digest: str
    index: int
    ballots: int


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A proposal of the log and every ballot for it there, each with its signature verified."""

    proposal: Signed[Proposal]
    ballots: tuple[Signed[Ballot], ...]
    index: int

    @property
    def ticket(self) -> Ticket:
        """What a job is submitted under."""
        return Ticket(self.proposal.envelope, tuple(ballot.envelope for ballot in self.ballots))


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the host tells it. Times are Unix seconds by the host's clock; `progress` is in
    whole percent.

    Which proposal it is of, its id says: see `AsyncClient.proposal_of`.
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
    def from_wire(cls, job: jobs_pb2.Job) -> "Job":
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


@dataclass(frozen=True, slots=True)
class Blob:
    """How much of a blob the host has, in bytes."""

    id: str
    length: int
    received: int
    complete: bool

    @classmethod
    def from_wire(cls, info: blobs_pb2.BlobInfo) -> "Blob":
        return cls(object_id(info.id), info.length, info.received, info.complete)


@dataclass(frozen=True, slots=True)
class Result:
    """What a job released: the verified receipt, the opened outputs by name, and the receipt's
    file."""

    receipt: VerifiedReceipt
    outputs: dict[str, Path]
    receipt_file: Path


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What `status` found out: the log (empty before it is founded), and whether its authority is
    simulated."""

    address: str
    log: str
    size: int
    constitution: str
    evidence: str  # the kind of the authority's evidence, verified; why not, where it could not be
    marks: tuple[str, ...]
    jobs: tuple[Job, ...]


def refused_of(refusal: common_pb2.Refusal) -> Refused:
    """A refusal on the wire as the exception that it stands for."""
    return refused(reason_name(refusal.reason), refusal.message, refusal.details)
