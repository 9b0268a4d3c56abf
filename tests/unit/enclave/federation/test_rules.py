# SPDX-License-Identifier: Apache-2.0
"""What each rule keeps, and which clients Krum selects."""

from collections.abc import Sequence

import pytest

from placet.enclave.worker.federation.rules import Krum, Mean, Median, Trimmed


def gram(points: Sequence[tuple[int, ...]]) -> list[list[int]]:
    return [[sum(x * y for x, y in zip(a, b, strict=True)) for b in points] for a in points]


@pytest.mark.parametrize(("clients", "kept"), [(1, (0, 1)), (2, (0, 2)), (5, (2, 3)), (6, (2, 4))])
def test_the_median_keeps_the_middle(clients: int, kept: tuple[int, int]) -> None:
    assert Median().kept(clients) == kept


def test_trimming_keeps_what_lies_between() -> None:
    assert Trimmed(6).kept(32) == (6, 26)
    assert Trimmed(0).kept(32) == (0, 32)


def test_rules_say_how_many_clients_they_need() -> None:
    assert [Mean().fewest, Median().fewest, Trimmed(2).fewest] == [1, 1, 5]
    assert Krum(1, 2).fewest == 7
    assert Krum(9, 2).fewest == 11


@pytest.mark.parametrize("terms", [(0, 1), (1, -1)])
def test_krum_refuses_terms_that_cannot_be(terms: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="Krum"):
        Krum(*terms)


def test_krum_selects_from_where_most_are() -> None:
    points = [(0, 0), (100, 100), (1, 0), (0, 1), (2, 2)]
    assert Krum(1, 1).select(gram(points)) == [0]
    assert Krum(4, 1).select(gram(points)) == [0, 2, 3, 4]


def test_of_equal_scores_the_earlier_is_selected() -> None:
    points = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    square = [(0, 0), (4, 0), (4, 4), (0, 4)]
    assert Krum(2, 0).select(gram(square)) == [0, 1]
    assert Krum(1, 0).select(gram(points)) == [0]


def test_krum_is_exact_beyond_64_bits() -> None:
    """Distances of integers at the clip: sums of them do not fit into 64 bits, and differ by
    one."""
    big = 2**26
    points = [(big, 0), (-big, 0), (0, big), (0, -big), (0, big - 1)]
    gram_of = [[x * 2**30 for x in row] for row in gram(points)]
    assert Krum(1, 0).select(gram_of) == Krum(1, 0).select(gram(points))
