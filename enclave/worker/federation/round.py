# SPDX-License-Identifier: Apache-2.0
"""A round as a worker's task: bring the sealed updates, aggregate them, add them to the model that
the round starts from.

A client's fault costs that client its part in the round and nobody else anything. Which of
the updates count is decided before a release exists, so nothing is ever taken out of one.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import numpy as np

from placet.enclave import _kernel
from placet.enclave.round_keys import BaseKey, RoundKeys, UpdateKey
from placet.enclave.worker.federation.aggregate import CohortLeft
from placet.enclave.worker.federation.fixed import finish, multiplier
from placet.enclave.worker.federation.noise import Noise
from placet.enclave.worker.federation.terms import REASONS, aggregate_by, shape_of
from placet.enclave.worker.federation.updates import Fault, FileSource, Update
from placet.enclave.worker.joining import Membership
from placet.enclave.worker.lease import (
    ReadTicket,
    VerifiedLease,
    lease_invalid,
    open_key_envelope,
    verify_lease,
)
from placet.enclave.worker.objects import Objects
from placet.enclave.worker.program import silence
from placet.enclave.worker.task import Means, Outcome, Report
from placet.governance.documents import Federate, Lease, Proposal
from placet.governance.documents.federation import MODEL
from placet.governance.envelope import Signed
from placet.proto.v1 import enclaves_pb2
from placet.sealing import padded_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_THREADS = 8
# How far a round is, once its streams are there and once they are aggregated.
_FETCHED, _AGGREGATED = 0.5, 0.9


class RoundTask:
    """The terms of a federation."""

    def __init__(self, terms: Federate) -> None:
        self.launched_for = terms.launch_digest
        self._terms = terms
        self._noise: Noise | None = None

    def prepare(self) -> None:
        """Begin to draw the noise: it depends on nothing that is still to come."""
        self._noise = noise_of(self._terms)

    def open(
        self,
        package: enclaves_pb2.LeasePackage,
        member: Membership,
        now: int,
        expected: ReadTicket | None,
    ) -> "RoundWork":
        verified = verify_lease(package, member, self.launched_for, now, expected)
        plain = open_key_envelope(package, verified, member)
        keys = RoundKeys.from_bytes(plain, verified.lease.digest, member.authority.signing)
        return RoundWork(verified, keys, self._noise)


class RoundWork:
    """One aggregation."""

    def __init__(self, verified: VerifiedLease, keys: RoundKeys, noise: Noise | None) -> None:
        self._verified = verified
        self._keys = keys
        self._noise = noise
        self._opened = ExitStack()  # whatever has to be wiped or closed

    @property
    def lease(self) -> Signed[Lease]:
        """The lease under which it runs."""
        return self._verified.lease

    @property
    def proposal(self) -> Signed[Proposal]:
        return self._verified.proposal

    def carry_out(self, means: Means) -> Outcome:
        """The new model, and who was left out of it; no model where too few organisations
        remain."""
        silence()
        objects, report = means.objects, means.report
        terms = self.proposal.document.federate
        updates, missing = self._bring(objects, terms, report)
        base = lambda: self._base(objects, terms)
        try:
            model, left = fold(terms, updates, self._noise, base, self._opened, report)
        except CohortLeft as refusal:
            return Outcome({}, _named(refusal.left, missing))
        return Outcome({MODEL: model.data}, _named(left, missing))

    def _bring(
        self, objects: Objects, terms: Federate, report: Report
    ) -> tuple[list[Update], set[str]]:
        """Every update of the cohort, and the clients whose streams could not be fetched.

        Those are aggregated with the others, as streams of the wrong length: with noise, who is
        missing counts as well.
        """
        given, shape = self._keys.updates, shape_of(terms)
        paths, missing = objects.bring_streams(
            [update.object for update in given],
            shape.sealed_bytes,
            lambda done: report(_FETCHED * done / len(given)),
        )
        updates = [
            keyed(update, terms, FileSource(path), self._opened)
            for update, path in zip(given, paths, strict=True)
        ]
        return updates, {update.client for update in given if update.object in missing}

    def _base(self, objects: Objects, terms: Federate) -> "NDArray[np.float32]":
        """The model that the round starts from, in memory that is wiped in the end."""
        elements, base = terms.layout.elements, self._keys.base
        if base is None:
            model = np.zeros(elements, np.float32)
            self._opened.callback(_kernel.wipe, model.data)
            return model
        content, start = self._read(objects, base, elements * np.dtype(np.float32).itemsize)
        return np.frombuffer(content, np.float32, offset=start)

    def _read(self, objects: Objects, base: BaseKey, size: int) -> tuple[bytearray, int]:
        """The plaintext of the base model, and where the vector starts: models that were released
        are padded."""
        found = base.descriptor.length
        if found not in (size, padded_length(size)):
            raise lease_invalid("base", f"{size} bytes", f"{found} bytes")
        key = base.stream_key()
        self._opened.callback(key.wipe)
        content = objects.bring(MODEL, base.descriptor, key).read()
        self._opened.callback(_kernel.wipe, content)
        head = content[: found - size]
        if head and int.from_bytes(head, "little") != size:
            raise lease_invalid("base", "a model of the layout's size", "another size")
        return content, len(head)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._noise is not None:
            self._opened.callback(self._noise.close)
        self._opened.close()


def noise_of(terms: Federate) -> Noise | None:
    """The noise of one release, which begins to be drawn; None where the terms have none."""
    if not terms.sigma:
        return None
    return Noise(terms.layout.elements, terms.sigma, threads=_threads(), spared=terms.spared)


def keyed(given: UpdateKey, terms: Federate, source: FileSource, opened: ExitStack) -> Update:
    """An update with its key, whose key is wiped and whose file is closed with `opened`."""
    opened.enter_context(source)
    key = given.stream_key()
    opened.callback(key.wipe)
    norm, scale = float.fromhex(given.norm), float.fromhex(given.scale)
    return Update(
        client=given.client,
        organisation=given.organisation,
        key=key,
        object_id=given.object,
        multiplier=multiplier(float(terms.clipping_bound), norm, scale),
        weight=given.weight,
        source=source,
    )


def fold(
    terms: Federate,
    updates: Sequence[Update],
    noise: Noise | None,
    base: "Callable[[], NDArray[np.float32]]",
    opened: ExitStack,
    report: Report,
) -> "tuple[NDArray[np.float32], Mapping[str, Fault]]":
    """The new model, made in the memory that `base` gives, and who was left out. Raises
    `CohortLeft`."""
    result = aggregate_by(terms, updates, noise=noise, threads=_threads())
    opened.callback(_kernel.wipe, result.sums.data)
    report(_AGGREGATED)
    model = base()
    finish(
        result.sums,
        result.divisor,
        clip=float(terms.clipping_bound),
        rate=float(Fraction(terms.rate)),
        base=model,
        out=model,
        threads=_threads(),
    )
    return model, result.left


def _named(left: Mapping[str, str], missing: set[str]) -> dict[str, str]:
    """Who left, with the names of the wire's reasons. A stream that could not be fetched has no
    bytes to find fault with."""
    return {
        client: "UPDATE_NOT_FETCHED" if client in missing else REASONS[Fault(fault)]
        for client, fault in left.items()
    }


def _threads() -> int:
    return min(_MAX_THREADS, os.cpu_count() or 1)
