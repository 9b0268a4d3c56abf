# SPDX-License-Identifier: Apache-2.0
"""A program as a worker's task: bring its inputs, run it under the guard, take its outputs."""

import importlib
from pathlib import Path
from typing import Self

from placet.enclave.worker.bundle import Bundle
from placet.enclave.worker.job import Job
from placet.enclave.worker.joining import Membership
from placet.enclave.worker.lease import OpenedLease, ReadTicket, open_lease
from placet.enclave.worker.program import run_program
from placet.enclave.worker.task import Means, Outcome
from placet.governance.documents import Lease, Proposal
from placet.governance.envelope import Signed
from placet.proto.v1 import enclaves_pb2


class ProgramTask:
    """A bundle. Raises `ProgramMalformed` where it has not a bundle's form."""

    def __init__(self, data: bytes, scratch: Path) -> None:
        self._bundle = Bundle(data)
        self._scratch = scratch

    @property
    def launched_for(self) -> str:
        """The digest of the bundle's bytes."""
        return self._bundle.digest

    def prepare(self) -> None:
        """Load what programs use, before the guard."""
        importlib.import_module("ctypes")
        importlib.import_module("numpy")

    def open(
        self,
        package: enclaves_pb2.LeasePackage,
        member: Membership,
        now: int,
        expected: ReadTicket | None,
    ) -> "ProgramWork":
        opened = open_lease(package, member, self.launched_for, now, expected)
        return ProgramWork(self._bundle, opened, self._scratch)


class ProgramWork:
    """One run of a program."""

    def __init__(self, bundle: Bundle, opened: OpenedLease, scratch: Path) -> None:
        self._bundle = bundle
        self._opened = opened
        self._scratch = scratch
        self._job: Job | None = None

    @property
    def lease(self) -> Signed[Lease]:
        """The lease under which it runs."""
        return self._opened.lease

    @property
    def proposal(self) -> Signed[Proposal]:
        return self._opened.proposal

    def carry_out(self, means: Means) -> Outcome:
        """Run it. Raises what `run_program` raises, and for inputs that are not what their
        descriptors say."""
        terms = self.proposal.document.job
        inputs = {
            name: means.objects.bring(name, value.object, self._opened.keys[name])
            for name, value in terms.inputs.items()
        }
        outputs = {name: output.max_bytes for name, output in terms.outputs.items()}
        self._job = Job(inputs, terms.parameters, outputs, means.report, self._scratch)
        return Outcome(run_program(self._bundle, self._job), {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._opened:
            if self._job is not None:
                self._job.wipe()
