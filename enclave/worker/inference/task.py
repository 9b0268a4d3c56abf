# SPDX-License-Identifier: Apache-2.0
"""A service as a worker's task: open the sealed model, load it, serve it until the process ends."""

import importlib
import threading
from contextlib import closing
from typing import NoReturn, Self

from placet.enclave import _kernel
from placet.enclave.worker.inference.model import load_model
from placet.enclave.worker.inference.rehearsal import rehearse
from placet.enclave.worker.inference.serving import Serving
from placet.enclave.worker.joining import Membership
from placet.enclave.worker.lease import OpenedLease, ReadTicket, open_lease
from placet.enclave.worker.objects import Objects
from placet.enclave.worker.program import silence
from placet.enclave.worker.task import Means
from placet.governance.documents import Lease, Proposal, Serve
from placet.governance.documents.lease import RESULT_KIND
from placet.governance.documents.serving import MODEL
from placet.governance.envelope import Signed
from placet.proto.v1 import enclaves_pb2
from placet.sealing import padded_length, unpad_into


class InferenceTask:
    """The terms of a service."""

    def __init__(self, terms: Serve) -> None:
        self.launched_for = terms.launch_digest

    def prepare(self) -> None:
        """Load the runtime: that takes longer than anything else before the model."""
        importlib.import_module("onnxruntime")

    def open(
        self,
        package: enclaves_pb2.LeasePackage,
        member: Membership,
        now: int,
        expected: ReadTicket | None,
    ) -> "InferenceWork":
        return InferenceWork(open_lease(package, member, self.launched_for, now, expected), member)


class InferenceWork:
    """One model under one lease."""

    def __init__(self, opened: OpenedLease, member: Membership) -> None:
        self._opened = opened
        self._member = member

    @property
    def lease(self) -> Signed[Lease]:
        """The lease under which it serves."""
        return self._opened.lease

    @property
    def proposal(self) -> Signed[Proposal]:
        """The terms that it serves by."""
        return self._opened.proposal

    def carry_out(self, means: Means) -> NoReturn:
        """Serve. Raises `ModelInvalid`, `ModelTooLarge`, and for a model that is not what its
        descriptor says.

        There is nothing to release: the process ends with its lease, by a stop, or with the host.
        """
        silence()
        terms = self.proposal.document.serve
        model = load_model(self._bring(means.objects), terms.answers, terms.samples)
        rehearse(model, terms)
        means.on_loop(lambda: Serving(means, self._member, self.lease, terms, model).begin())
        while True:
            threading.Event().wait()

    def _bring(self, objects: Objects) -> bytearray:
        """The model file in plaintext; what a job has released is padded. Its key is not needed any
        more."""
        descriptor = self.proposal.document.serve.model.object
        key = self._opened.keys[MODEL]
        source = objects.bring(MODEL, descriptor, key)
        if descriptor.kind != RESULT_KIND:
            content = source.read()
        else:
            content = bytearray(max(descriptor.length - padded_length(0), 0))
            try:
                with closing(source.open()) as opened:
                    length = unpad_into(opened, _Into(content), descriptor.length)
            except BaseException:
                _kernel.wipe(content)
                raise
            del content[length:]
        key.wipe()
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._opened:
            pass


class _Into:
    """A sink that fills a buffer: what grows by itself leaves copies behind that nobody wipes."""

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer
        self._done = 0

    def write(self, data: memoryview, /) -> int:
        self._buffer[self._done : self._done + len(data)] = data
        self._done += len(data)
        return len(data)
