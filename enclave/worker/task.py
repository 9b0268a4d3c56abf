# SPDX-License-Identifier: Apache-2.0
"""A worker is launched for a task: a program, the terms of a federation, or those of a service. An
`Attempt` carries out any."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from typing_extensions import Buffer

from placet.enclave.worker.joining import Membership
from placet.enclave.worker.lease import ReadTicket
from placet.enclave.worker.objects import Objects
from placet.enclave.worker.renewing import Renewing
from placet.governance.documents import Lease, Proposal
from placet.governance.envelope import Signed
from placet.proto.frames import Link
from placet.proto.v1 import enclaves_pb2

# Takes a fraction from 0 to 1; what is shown of it is a whole percentage.
Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Means:
    """The means that an attempt gives its work. Work that is asked something while it lasts has the
    stream as well.

    on_loop: runs a function in the stream's event loop, where alone `link`, `renewing` and `listen`
    may be used, and waits for it. listen: sets who takes the payloads of `KIND_ASKS`.
    """

    objects: Objects
    report: Report
    link: Link
    renewing: Renewing
    listen: Callable[[Callable[[bytes], None]], None]
    on_loop: Callable[[Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The release to be: outputs in plaintext, which belong to the `Work` that wipes them, and who
    is left out."""

    outputs: Mapping[str, Buffer] = field(repr=False)
    left: dict[str, str]


class Work(Protocol):
    """A lease whose keys are open. Leaving its `with` block wipes keys and plaintext."""

    @property
    def lease(self) -> Signed[Lease]: ...

    @property
    def proposal(self) -> Signed[Proposal]: ...

    def carry_out(self, means: Means) -> Outcome:
        """Do it, once. Work that has no outcome goes on until the process ends."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Task(Protocol):
    """A worker's task: the hardware says that it was launched for this and for nothing else."""

    @property
    def launched_for(self) -> str:
        """The digest that the hardware reports."""
        ...

    def prepare(self) -> None:
        """Do whatever can be done while there is no lease yet."""

    def open(
        self,
        package: enclaves_pb2.LeasePackage,
        member: Membership,
        now: int,
        expected: ReadTicket | None,
    ) -> Work:
        """Verify a lease and open its keys. Raises what `verify_lease` raises, and for keys that
        are not the right ones."""
        ...
