# SPDX-License-Identifier: Apache-2.0
"""Authority and worker sign these for each other: the lease, and the release that answers it.

A release is read by everybody, and the program that its worker runs may be hostile. So whatever the
worker would have to choose follows from the lease instead, and whoever takes it in compares.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar

from placet.governance.checks import (
    check_digest,
    check_identifier,
    check_nonce,
    check_output,
    check_range,
    check_reason,
)
from placet.governance.documents.header import Header
from placet.sealing import ObjectDescriptor, context


@dataclass(frozen=True, slots=True)
class Lease:
    """One attempt of one job for one worker. `deadline` is in Unix seconds and moves with each
    renewal.

    Its header's `seen` is the log at which the ticket was judged.
    """

    KIND: ClassVar[str] = "lease"

    header: Header
    boot: str
    proposal: str
    constitution: str
    job: str
    attempt: int
    worker: str
    deadline: int

    def __post_init__(self) -> None:
        check_nonce("boot", self.boot)
        check_digest("proposal", self.proposal)
        check_digest("constitution", self.constitution)
        check_identifier("job", self.job)
        check_range("attempt", self.attempt, 1, 1000)
        check_digest("worker", self.worker)
        check_range("deadline", self.deadline, 1, 2**41)


# What every output's descriptor says it is; it has no labels. Free words there would be read by
# everybody.
RESULT_KIND = "result"

_ID_DIGITS = 32


def answer_nonce(lease: str, kind: str, number: int = 0) -> str:
    """The id of what a worker signs under a lease, by the lease's digest: of its release, or its
    nth offer."""
    return _derived("placet/answer/v1", lease, kind, str(number))


def answer_header(lease: Lease, digest: str, kind: str, number: int = 0) -> Header:
    """The header of what a worker signs under a lease."""
    return replace(lease.header, nonce=answer_nonce(digest, kind, number))


def output_id(lease: str, name: str, commitment: str) -> str:
    """The object id of an output. By its key's commitment too, so that nobody else can take the id
    first."""
    return _derived("placet/output/v1", lease, name, commitment)


def _derived(domain: str, *parts: str) -> str:
    data = context(domain, *(part.encode() for part in parts))
    return hashlib.sha256(data).hexdigest()[:_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class Release:
    """The worker's request to release what it has sealed and stored. Signed by its joined key.

    left: clients of a federation whose updates did not count, each with the name of the reason;
    empty for a job.
    """

    KIND: ClassVar[str] = "release"

    header: Header
    lease: str
    worker: str
    outputs: dict[str, ObjectDescriptor]
    left: dict[str, str]

    def __post_init__(self) -> None:
        check_digest("lease", self.lease)
        check_digest("worker", self.worker)
        for client, why in self.left.items():
            check_identifier("left", client)
            check_reason("left", why)
        for name in self.outputs:
            check_output("outputs", name)
