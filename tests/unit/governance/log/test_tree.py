# SPDX-License-Identifier: Apache-2.0
"""The tree against the definition of RFC 6962, however the leaves came in."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.log import EMPTY_ROOT, HASH_SIZE, Tree, leaf_hash


def test_an_empty_tree() -> None:
    tree = Tree()
    assert tree.size == 0
    assert tree.root() == EMPTY_ROOT
    assert tree.consistency_proof(0) == ()


def test_append_returns_the_index() -> None:
    tree = Tree()
    assert [tree.append(leaf_hash(bytes([i]))) for i in range(5)] == [0, 1, 2, 3, 4]
    assert tree.leaf(3) == leaf_hash(b"\x03")


@given(batches=st.lists(st.integers(0, 70), max_size=6))
def test_batches_make_the_tree_of_the_definition(
    reference_root: Callable[[list[bytes]], bytes], batches: list[int]
) -> None:
    tree, leaves = Tree(), list[bytes]()
    for count in batches:
        batch = [leaf_hash(b"%d" % (len(leaves) + i)) for i in range(count)]
        if count == 1:
            tree.append(batch[0])
        else:
            tree.extend(iter(batch))
        leaves += batch
        assert tree.size == len(leaves)
        assert tree.root() == reference_root(leaves)
    for size in range(len(leaves) + 1):
        assert tree.root(size) == reference_root(leaves[:size])


def test_nodes_are_roots_of_complete_subtrees(
    make_tree: Callable[[int], Tree], reference_root: Callable[[list[bytes]], bytes]
) -> None:
    tree = make_tree(21)
    leaves = [tree.leaf(index) for index in range(21)]
    for level in range(5):
        count = 21 >> level
        nodes = tree.nodes(level, 0, count)
        for i in range(count):
            expected = reference_root(leaves[i << level : i + 1 << level])
            assert nodes[i * HASH_SIZE : (i + 1) * HASH_SIZE] == expected
        with pytest.raises(ValueError):
            tree.nodes(level, 0, count + 1)


@pytest.mark.parametrize("bad", [b"", b"\0" * 31, b"\0" * 33])
def test_a_leaf_of_another_length_changes_nothing(bad: bytes) -> None:
    tree = Tree([leaf_hash(b"")])
    with pytest.raises(ValueError):
        tree.extend([leaf_hash(b"1"), bad, leaf_hash(b"2")])
    with pytest.raises(ValueError):
        tree.append(bad)
    assert tree.size == 1
    assert tree.root() == leaf_hash(b"")


def test_what_is_out_of_range_is_refused(make_tree: Callable[[int], Tree]) -> None:
    tree = make_tree(5)
    calls: list[Callable[[], object]] = [
        lambda: tree.root(6),
        lambda: tree.root(-1),
        lambda: tree.leaf(5),
        lambda: tree.leaf(-1),
        lambda: tree.inclusion_proof(5),
        lambda: tree.inclusion_proof(-1),
        lambda: tree.inclusion_proof(3, 3),
        lambda: tree.inclusion_proof(0, 6),
        lambda: tree.consistency_proof(4, 3),
        lambda: tree.consistency_proof(-1, 3),
        lambda: tree.consistency_proof(1, 6),
        lambda: tree.nodes(-1, 0, 0),
        lambda: tree.nodes(0, 2, 1),
        lambda: tree.nodes(9, 0, 1),
    ]
    for call in calls:
        with pytest.raises(ValueError):
            call()
