# SPDX-License-Identifier: Apache-2.0
"""Sealed updates in, exact integer sums out.

1. Open the headers. Whoever's stream has the wrong length or no header leaves.
2. Are there clients and organisations enough? If not, nothing is released.
3. Read all updates and fold them by the rule.
4. Whoever has a segment that does not open, an element that is not finite, or integers beyond the
   clip leaves, and everything is folded again without it, from 2 on. It is never subtracted: a
   client can show other bytes on a second reading. Each reading is judged anew, until one loses
   nobody; each but the last loses somebody, so there is an end.
5. Add the noise.

That a client left is said aloud, and depends on its data: of a client that keeps to the rules it
never happens.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import Buffer

from placet.enclave import _kernel
from placet.enclave.worker.federation.fixed import check_overflow
from placet.enclave.worker.federation.noise import Noise
from placet.enclave.worker.federation.passes import Passes
from placet.enclave.worker.federation.rules import Krum, Mean, Median, Rule, Trimmed
from placet.enclave.worker.federation.sameness import Sameness
from placet.enclave.worker.federation.updates import Fault, Opened, Shape, Update, open_updates
from placet.refusals import CohortTooSmall

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CohortLeft(CohortTooSmall):
    """Too few clients or organisations are left; `left` says who went, and why."""

    def __init__(self, message: str, left: Mapping[str, str], **details: str) -> None:
        super().__init__(message, **details)
        self.left = dict(left)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The aggregate is `sums` / `divisor` in units of clip / LIMIT; see `fixed.finish`.

    `sums` is int64 of shape (elements,). `kept` are the clients whose updates counted, `chosen`
    those among them that Krum selected (all of them by other rules), `left` the others with their
    reasons. Clients are in order of name.
    """

    sums: "NDArray[np.int64]"
    divisor: int
    kept: tuple[str, ...]
    chosen: tuple[str, ...]
    left: dict[str, Fault]


def aggregate(
    updates: Sequence[Update],
    shape: Shape,
    rule: Rule,
    *,
    smallest: int,
    threads: int = 1,
    noise: Noise | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Aggregate:
    """Aggregate the updates by the rule; bit-identical whatever their order and the number of
    threads.

    `smallest` counts organisations. With `noise` the rule must be the mean and all weights 1;
    whoever leaves then counts as an update of zeros, so that the divisor does not depend on
    anybody's data.

    Raises `CohortLeft`, `JobEnded`, and `ValueError` for terms that
    cannot be; in each case the sums are wiped.
    """
    _check_terms(updates, shape, rule, smallest, threads, noise)
    ordered = tuple(sorted(updates, key=lambda update: update.client))
    clients, left = open_updates(ordered, shape)
    sums = np.zeros(shape.elements, np.int64)
    together = not isinstance(rule, Mean)
    passes = Passes(shape, len(ordered), threads, cancelled, together=together)
    sameness = Sameness()
    try:
        while True:
            _check_cohort(clients, left, rule, smallest)
            folded = _fold(rule, passes, clients, sums, sameness)
            if not folded.lost:
                break
            left |= folded.lost
            clients = [client for client in clients if client.update.client not in folded.lost]
            sums.fill(0)
        if noise is not None:
            noise.add_to(sums)
    except BaseException:
        _kernel.wipe(sums.data)
        raise
    divisor = folded.divisor if noise is None else len(updates)
    return Aggregate(
        sums, divisor, _names(clients), _names(folded.chosen), dict(sorted(left.items()))
    )


@dataclass(frozen=True, slots=True)
class _Folded:
    divisor: int
    chosen: Sequence[Opened]
    lost: dict[str, Fault]


def _fold(
    rule: Rule,
    passes: Passes,
    clients: Sequence[Opened],
    sums: "NDArray[np.int64]",
    sameness: Sameness,
) -> _Folded:
    """Fold the clients' updates into `sums`, which are zeros; say who was lost on the way."""

    def add(cohort: _kernel.Cohort, windows: Sequence[Buffer], first: int, count: int) -> None:
        cohort.add(windows, first, count, _part(sums, cohort, first, count))

    match rule:
        case Mean():
            lost = passes.run(clients, add, weighted=True)
            return _Folded(sum(client.update.weight for client in clients), clients, lost)
        case Median() | Trimmed():
            low, high = rule.kept(len(clients))

            def select(
                cohort: _kernel.Cohort, windows: Sequence[Buffer], first: int, count: int
            ) -> None:
                cohort.select(windows, first, count, low, high, _part(sums, cohort, first, count))

            return _Folded(high - low, clients, passes.run(clients, select))
        case Krum():
            gram, lost = _gram(passes, clients, sameness)
            if lost:
                return _Folded(0, (), lost)
            chosen = [clients[index] for index in rule.select(gram)]
            return _Folded(len(chosen), chosen, passes.run(chosen, add, sameness=sameness))


def _gram(
    passes: Passes, clients: Sequence[Opened], sameness: Sameness
) -> tuple[list[list[int]], dict[str, Fault]]:
    """The inner products of all pairs of updates. They are exact where both are within the clip: at
    most LIMIT^2."""
    products = np.zeros((len(clients), len(clients)), np.int64)
    lock = threading.Lock()

    def gram(cohort: _kernel.Cohort, windows: Sequence[Buffer], first: int, count: int) -> None:
        part = np.zeros_like(products)
        cohort.gram(windows, first, count, part.data)
        with lock:
            np.add(products, part, out=products)

    lost = passes.run(clients, gram, sameness=sameness)
    return products.tolist(), lost


def _part(sums: "NDArray[np.int64]", cohort: _kernel.Cohort, first: int, count: int) -> memoryview:
    start, stop = cohort.elements_of(first, count)
    return sums[start:stop].data


def _names(clients: Sequence[Opened]) -> tuple[str, ...]:
    return tuple(client.update.client for client in clients)


def _check_terms(
    updates: Sequence[Update],
    shape: Shape,
    rule: Rule,
    smallest: int,
    threads: int,
    noise: Noise | None,
) -> None:
    if not updates:
        raise ValueError("there are no updates to aggregate")
    if len({update.client for update in updates}) != len(updates):
        raise ValueError("a client has one update a round; two have the same client")
    if smallest < 1 or threads < 1:
        raise ValueError("the smallest cohort and the number of threads are at least 1")
    largest = max(update.weight for update in updates) if isinstance(rule, Mean) else 1
    check_overflow(len(updates), largest, noise.sigma if noise else 0)
    if noise is not None:
        if not isinstance(rule, Mean) or largest != 1:
            raise ValueError("noise is for the mean with weights of 1: its scale is made for that")
        if noise.elements != shape.elements:
            raise ValueError(
                f"the noise has {noise.elements} elements, the updates {shape.elements}"
            )


def _check_cohort(
    clients: Sequence[Opened], left: dict[str, Fault], rule: Rule, smallest: int
) -> None:
    organisations = len({client.update.organisation for client in clients})
    if organisations < smallest:
        raise CohortLeft(
            f"The cohort needs {smallest} organisations; {organisations} are left. Open another "
            "round.",
            left,
            claim="organisations",
            expected=f"at least {smallest}",
            actual=str(organisations),
        )
    if len(clients) < rule.fewest:
        raise CohortLeft(
            f"The rule needs {rule.fewest} clients; {len(clients)} are left. Open another round.",
            left,
            claim="clients",
            expected=f"at least {rule.fewest}",
            actual=str(len(clients)),
        )
