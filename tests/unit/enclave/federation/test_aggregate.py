# SPDX-License-Identifier: Apache-2.0
"""Sums are exact and bit-identical, however the work is split; each rule gives what Python's
integers give."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placet.enclave.worker.federation.aggregate import CohortLeft, aggregate
from placet.enclave.worker.federation.rules import Krum, Mean, Median, Rule, Trimmed
from placet.enclave.worker.federation.updates import Fault, FileSource, Shape
from placet.refusals import JobEnded

SMALL = Shape(1000, "float32", 16384)
# Several segments, and a last one that is not full.
SEVERAL = Shape(50_001, "float32", 16384)


@pytest.mark.parametrize("encoding", ["float32", "float16", "bfloat16", "int8"])
@pytest.mark.parametrize("elements", [1, 4082, 20_000])
def test_the_mean_is_exact(make_clients: Any, reference: Any, encoding: str, elements: int) -> None:
    shape = Shape(elements, encoding, 16384)
    clients = make_clients(5, shape)
    result = aggregate([client.update() for client in clients], shape, Mean(), smallest=3)
    assert result.sums.tolist() == reference.mean(clients)
    assert result.divisor == 5
    assert (len(result.kept), result.left) == (5, {})


def test_a_mean_of_more_clients_than_are_read_together_is_exact(
    make_clients: Any, reference: Any
) -> None:
    shape = Shape(300, "float32", 1 << 20)  # of segments of 1 MiB eight fit into a room
    clients = make_clients(21, shape, weight=3)
    bad = type(clients[0])(shape, np.full(300, np.inf, np.float32), name="client-010 bad", norm=1.0)
    updates = [client.update() for client in [*clients, bad]]
    result = aggregate(updates, shape, Mean(), smallest=1, threads=2)
    assert result.sums.tolist() == reference.mean(clients)
    assert (result.divisor, result.left) == (63, {"client-010 bad": Fault.NONFINITE})


def test_all_others_together_learn_the_update_of_one_from_a_mean(make_clients: Any) -> None:
    """No smallest cohort is a matter of secrecy against clients who share what they know."""
    clients = make_clients(5, SMALL)
    result = aggregate([client.update() for client in clients], SMALL, Mean(), smallest=5)
    victim, *others = clients
    known = [sum(column) for column in zip(*(c.integers for c in others), strict=True)]
    found = [total - part for total, part in zip(result.sums.tolist(), known, strict=True)]
    assert found == victim.integers


def test_weights_count_in_the_mean_and_nowhere_else(make_clients: Any, reference: Any) -> None:
    clients = make_clients(4, SMALL, weight=1000)
    updates = [clients[0].update(weight=1), *(client.update() for client in clients[1:])]
    result = aggregate(updates, SMALL, Mean(), smallest=1)
    weighted = [1, 1000, 1000, 1000]
    columns = zip(*(client.integers for client in clients), strict=True)
    assert result.sums.tolist() == [
        sum(w * q for w, q in zip(weighted, column, strict=True)) for column in columns
    ]
    assert result.divisor == 3001
    median = aggregate(updates, SMALL, Median(), smallest=1)
    assert median.sums.tolist() == reference.ordered(clients, 1, 3)


@pytest.mark.parametrize(
    ("rule", "count", "kept"),
    [
        (Median(), 1, (0, 1)),
        (Median(), 5, (2, 3)),
        (Median(), 6, (2, 4)),
        (Trimmed(0), 4, (0, 4)),
        (Trimmed(2), 7, (2, 5)),
    ],
)
def test_the_middle_is_exact(
    make_clients: Any, reference: Any, rule: Rule, count: int, kept: tuple[int, int]
) -> None:
    clients = make_clients(count, SMALL)
    result = aggregate([client.update() for client in clients], SMALL, rule, smallest=1)
    assert result.sums.tolist() == reference.ordered(clients, *kept)
    assert result.divisor == kept[1] - kept[0]


@pytest.mark.parametrize("selected", [1, 4])
def test_krum_is_exact_and_leaves_the_outlier_out(
    make_clients: Any, reference: Any, selected: int
) -> None:
    clients = make_clients(7, SMALL)
    vectors = [client.integers for client in clients]
    rule = Krum(selected, 1)
    gram = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in vectors] for a in vectors]
    expected = rule.select(gram)
    result = aggregate([client.update() for client in clients], SMALL, rule, smallest=3)
    assert result.chosen == tuple(clients[index].name for index in expected)
    assert len(result.kept) == 7
    assert result.sums.tolist() == reference.mean([clients[index] for index in expected])
    assert result.divisor == selected


@pytest.mark.parametrize(
    "rule", [Mean(), Median(), Trimmed(1), Krum(2, 1)], ids=lambda r: type(r).__name__
)
def test_threads_order_and_segments_do_not_show(make_clients: Any, rule: Rule) -> None:
    clients = make_clients(6, SEVERAL)
    updates = [client.update() for client in clients]
    first = aggregate(updates, SEVERAL, rule, smallest=1)
    for threads in (2, 3, 16):
        for order in (updates, updates[::-1], updates[2:] + updates[:2]):
            again = aggregate(order, SEVERAL, rule, smallest=1, threads=threads)
            assert again.sums.tobytes() == first.sums.tobytes()
            assert (again.kept, again.chosen, again.divisor) == (
                first.kept,
                first.chosen,
                first.divisor,
            )
    for segment_bytes in (32768, 1 << 20):
        shape = Shape(SEVERAL.elements, "float32", segment_bytes)
        others = [c.update() for c in make_clients(6, shape)]
        assert aggregate(others, shape, rule, smallest=1).sums.tobytes() == first.sums.tobytes()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it only makes clients
)
@given(data=st.data())
def test_any_values_are_added_exactly(
    make_clients: Any, reference: Any, data: st.DataObject
) -> None:
    """Whoever is left counts with exactly its integers; who is not, with nothing."""
    shape = Shape(
        data.draw(st.integers(1, 6)), data.draw(st.sampled_from(["float32", "float16"])), 16384
    )
    clients = make_clients(4, shape)
    extremes = st.sampled_from([0.0, -0.0, 1e-45, 1.0, -2.5, 3e38, float("inf"), float("nan")])
    values = data.draw(st.lists(extremes, min_size=shape.elements, max_size=shape.elements))
    odd = type(clients[0])(
        shape,
        np.array(values, np.float32),
        name="odd",
        norm=data.draw(st.sampled_from([0.0, 1.0, 1e10, 1e39])),
        weight=data.draw(st.integers(1, 2**20)),
    )
    everybody = [*clients, odd]
    result = aggregate([client.update() for client in everybody], shape, Mean(), smallest=1)
    kept = [client for client in everybody if client.name in result.kept]
    assert result.sums.tolist() == reference.mean(kept)
    assert result.divisor == sum(client.weight for client in kept)
    assert {client.name for client in everybody} == {*result.kept, *result.left}
    assert result.left.keys() <= {"odd"}


def test_files_give_what_memory_gives(make_clients: Any, tmp_path: Path) -> None:
    clients = make_clients(4, SEVERAL)
    updates = [client.update() for client in clients]
    sources = list[FileSource]()
    for number, update in enumerate(updates):
        path = tmp_path / str(number)
        path.write_bytes(bytes(update.source.window(0, memoryview(bytes(SEVERAL.sealed_bytes)))))
        sources.append(FileSource(path))
    files = [replace(u, source=s) for u, s in zip(updates, sources, strict=True)]
    in_files = aggregate(files, SEVERAL, Mean(), smallest=1, threads=2)
    assert in_files.sums.tobytes() == aggregate(updates, SEVERAL, Mean(), smallest=1).sums.tobytes()
    for source in sources:
        source.close()


def test_below_the_smallest_cohort_nothing_comes_out(make_clients: Any) -> None:
    """Organisations are counted, not clients."""
    clients = make_clients(6, SMALL)
    updates = [
        client.update(organisation=f"organisation {number // 3}")
        for number, client in enumerate(clients)
    ]
    assert aggregate(updates, SMALL, Mean(), smallest=2).divisor == 6
    with pytest.raises(CohortLeft, match="needs 3 organisations; 2 are left") as caught:
        aggregate(updates, SMALL, Mean(), smallest=3)
    assert caught.value.left == {}


def test_who_leaves_may_make_the_cohort_too_small(make_clients: Any) -> None:
    clients = make_clients(3, SMALL)
    bad = type(clients[0])(SMALL, np.full(1000, np.nan, np.float32), name="bad", norm=1.0)
    updates = [client.update() for client in [*clients, bad]]
    assert aggregate(updates, SMALL, Mean(), smallest=3).left == {"bad": Fault.NONFINITE}
    with pytest.raises(CohortLeft) as caught:
        aggregate(updates, SMALL, Mean(), smallest=4)
    assert caught.value.left == {"bad": Fault.NONFINITE}
    assert caught.value.reason == "COHORT_TOO_SMALL"


@pytest.mark.parametrize(("rule", "count"), [(Trimmed(2), 4), (Krum(1, 1), 4), (Krum(4, 1), 4)])
def test_too_few_for_the_rule_are_refused(make_clients: Any, rule: Rule, count: int) -> None:
    updates = [client.update() for client in make_clients(count, SMALL)]
    with pytest.raises(CohortLeft, match="The rule needs 5 clients; 4 are left"):
        aggregate(updates, SMALL, rule, smallest=1)


def test_cancelling_ends_it_within_a_window(make_clients: Any) -> None:
    updates = [client.update() for client in make_clients(3, SEVERAL)]
    asked = list[int]()

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(JobEnded):
        aggregate(updates, SEVERAL, Mean(), smallest=1, cancelled=cancelled)
    assert len(asked) == 3


def test_terms_that_cannot_be_are_refused(make_clients: Any) -> None:
    updates = [client.update() for client in make_clients(3, SMALL)]
    with pytest.raises(ValueError, match="no updates"):
        aggregate([], SMALL, Mean(), smallest=1)
    with pytest.raises(ValueError, match="same client"):
        aggregate([updates[0], updates[0]], SMALL, Mean(), smallest=1)
    with pytest.raises(ValueError, match="at least 1"):
        aggregate(updates, SMALL, Mean(), smallest=0)
    for shape in ((0, "float32", 16384), (1, "float64", 16384), (1, "float32", 1000)):
        with pytest.raises(ValueError):
            Shape(*shape)


@pytest.mark.parametrize("weight", [0, -1, 2**31, 10**18])
def test_weights_out_of_range_are_refused(make_clients: Any, weight: int) -> None:
    with pytest.raises(ValueError, match="weight"):
        make_clients(1, SMALL)[0].update(weight=weight)


def test_weights_that_could_overflow_together_are_refused(make_clients: Any) -> None:
    """32 clients with the largest weight are within the bound, 33 are not."""
    client = make_clients(1, Shape(1, "float32", 16384))[0]
    updates = [client.update(client=str(n), weight=2**31 - 1) for n in range(33)]
    with pytest.raises(ValueError, match="overflow 64 bits"):
        aggregate(updates, client.shape, Mean(), smallest=1)
