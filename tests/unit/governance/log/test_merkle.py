# SPDX-License-Identifier: Apache-2.0
"""Hashing and the two proofs: known vectors, all small trees, sampled large ones, all mutations."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.auditing.consistency import verify_consistency
from placet.governance.log import (
    EMPTY_ROOT,
    Tree,
    leaf_hash,
    node_hash,
    verify_inclusion,
)
from placet.refusals import LogProofInvalid

SMALL = 40

# The inputs, roots and proofs of certificate-transparency's merkletree tests.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
INPUTS.append("606162636465666768696a6b6c6d6e6f")
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
N01 = ROOTS[2]
N03 = ROOTS[4]
L0 = ROOTS[1]
L1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
N23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
N47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
L4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
N67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
N45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = {
    (0, 1): [],
    (0, 8): [L1, N23, N47],
    (5, 8): [L4, N67, N03],
    (2, 3): [N01],
    (1, 5): [L0, N23, L4],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [L1, N23, N47],
    (6, 8): [N45, N67, N03],
    (2, 5): [N23, L4],
}


@pytest.fixture(scope="module")
def classic() -> Tree:
    return Tree(leaf_hash(bytes.fromhex(text)) for text in INPUTS)


@pytest.fixture(scope="module")
def small(make_tree: Callable[[int], Tree]) -> Tree:
    return make_tree(SMALL)


@pytest.fixture(scope="module")
def large(make_tree: Callable[[int], Tree]) -> Tree:
    return make_tree(5000)


def hex_of(proof: tuple[bytes, ...]) -> list[str]:
    return [sibling.hex() for sibling in proof]


def mutations(proof: tuple[bytes, ...]) -> Iterator[tuple[bytes, ...]]:
    """Yield every proof one change away: a flip, a cut hash, one less, one more, two swapped."""
    stranger = b"\xa5" * 32
    for i, sibling in enumerate(proof):
        for bit in (0, 100, 255):
            flipped = int.from_bytes(sibling, "big") ^ 1 << bit
            yield (*proof[:i], flipped.to_bytes(32, "big"), *proof[i + 1 :])
        yield (*proof[:i], sibling[:-1], *proof[i + 1 :])
        yield (*proof[:i], sibling + b"\0", *proof[i + 1 :])
        yield proof[:i] + proof[i + 1 :]
        yield (*proof[:i], sibling, *proof[i:])
    for i in range(len(proof) + 1):
        yield (*proof[:i], stranger, *proof[i:])
    for i in range(len(proof) - 1):
        yield (*proof[:i], proof[i + 1], proof[i], *proof[i + 2 :])
    if proof:
        yield ()


def refuses_inclusion(
    leaf: bytes, index: int, size: int, proof: tuple[bytes, ...], root: bytes
) -> None:
    with pytest.raises(LogProofInvalid):
        verify_inclusion(leaf, index, size, proof, root)


def refuses_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: tuple[bytes, ...]
) -> None:
    with pytest.raises(LogProofInvalid):
        verify_consistency(old, new, old_root, new_root, proof)


def test_hashes_are_domain_separated() -> None:
    assert leaf_hash(b"").hex() == L0
    assert leaf_hash(bytes.fromhex("00")).hex() == L1
    assert node_hash(bytes.fromhex(L0), bytes.fromhex(L1)).hex() == N01
    assert ROOTS[0] == EMPTY_ROOT.hex()


@pytest.mark.parametrize("size", range(9))
def test_classic_roots(classic: Tree, size: int) -> None:
    assert classic.root(size).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_classic_inclusion(classic: Tree, index: int, size: int) -> None:
    proof = classic.inclusion_proof(index, size)
    assert hex_of(proof) == INCLUSION[index, size]
    leaf = classic.leaf(index)
    assert verify_inclusion(leaf, index, size, proof, bytes.fromhex(ROOTS[size])) == leaf


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_classic_consistency(classic: Tree, old: int, new: int) -> None:
    proof = classic.consistency_proof(old, new)
    assert hex_of(proof) == CONSISTENCY[old, new]
    roots = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new])
    assert verify_consistency(old, new, *roots, proof) == roots[1]


def test_every_small_inclusion_proof_and_its_mutations(small: Tree) -> None:
    for size in range(1, SMALL + 1):
        root = small.root(size)
        for index in range(size):
            leaf, proof = small.leaf(index), small.inclusion_proof(index, size)
            assert verify_inclusion(leaf, index, size, proof, root) == leaf
            refuses_inclusion(leaf, index, size, proof, leaf_hash(root))
            refuses_inclusion(leaf_hash(leaf), index, size, proof, root)
            for mutated in mutations(proof):
                refuses_inclusion(leaf, index, size, mutated, root)


def test_an_inclusion_proof_holds_for_one_index_only(small: Tree) -> None:
    for size in range(1, SMALL + 1):
        for index in range(size):
            leaf, proof = small.leaf(index), small.inclusion_proof(index, size)
            for other in (*range(-2, index), *range(index + 1, size + 3)):
                refuses_inclusion(leaf, other, size, proof, small.root(size))


def test_every_small_consistency_proof_and_its_mutations(small: Tree) -> None:
    for new in range(SMALL + 1):
        for old in range(new + 1):
            roots = small.root(old), small.root(new)
            proof = small.consistency_proof(old, new)
            assert verify_consistency(old, new, *roots, proof) == roots[1]
            refuses_consistency(old, new, leaf_hash(roots[0]), roots[1], proof)
            if old:  # any tree extends the empty one: there the new root is not tested
                refuses_consistency(old, new, roots[0], leaf_hash(roots[1]), proof)
            for mutated in mutations(proof):
                refuses_consistency(old, new, *roots, mutated)


def test_a_consistency_proof_does_not_hold_backwards(small: Tree) -> None:
    for new in range(2, SMALL + 1):
        for old in range(1, new):
            proof = small.consistency_proof(old, new)
            refuses_consistency(new, old, small.root(new), small.root(old), proof)
            refuses_consistency(-old, new, small.root(old), small.root(new), proof)


def test_a_forked_tree_has_no_consistency_proof(small: Tree) -> None:
    for old in range(1, SMALL):
        leaves = [small.leaf(index) for index in range(SMALL)]
        leaves[old - 1] = leaf_hash(b"rewritten")
        forked = Tree(leaves)
        proof = forked.consistency_proof(old)
        refuses_consistency(old, SMALL, small.root(old), forked.root(), proof)


def test_an_empty_tree_of_another_root_is_refused() -> None:
    refuses_consistency(0, 0, leaf_hash(b""), leaf_hash(b""), ())
    refuses_consistency(0, 3, leaf_hash(b""), leaf_hash(b""), ())
    refuses_inclusion(leaf_hash(b""), 0, 0, (), EMPTY_ROOT)


def test_a_consistency_proof_is_refused_for_a_tree_of_another_height(small: Tree) -> None:
    for new in range(2, SMALL + 1):
        proof, roots = small.consistency_proof(1, new), (small.root(1), small.root(new))
        for claimed in range(2, 4 * SMALL):
            if (claimed - 1).bit_length() != (new - 1).bit_length():
                refuses_consistency(1, claimed, *roots, proof)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_hash_of_another_length_is_refused_as_such(small: Tree, length: int) -> None:
    proof, root = (b"\0" * length,), small.root(2)
    with pytest.raises(LogProofInvalid, match="hashes of 32 bytes"):
        verify_inclusion(small.leaf(0), 0, 2, proof, root)
    with pytest.raises(LogProofInvalid, match="hashes of 32 bytes"):
        verify_consistency(1, 2, small.root(1), root, proof)


def test_a_proof_longer_than_any_tree_is_refused() -> None:
    proof = (leaf_hash(b""),) * 100
    refuses_inclusion(leaf_hash(b""), 2**63 - 2, 2**63 - 1, proof, EMPTY_ROOT)
    refuses_consistency(2**62, 2**63 - 1, EMPTY_ROOT, EMPTY_ROOT, proof)


@given(data=st.data())
def test_large_trees(large: Tree, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, large.size))
    index = data.draw(st.integers(0, size - 1))
    leaf, proof, root = large.leaf(index), large.inclusion_proof(index, size), large.root(size)
    assert verify_inclusion(leaf, index, size, proof, root) == leaf
    for mutated in mutations(proof):
        refuses_inclusion(leaf, index, size, mutated, root)
    old = data.draw(st.integers(0, size))
    roots, proof = (large.root(old), root), large.consistency_proof(old, size)
    assert verify_consistency(old, size, *roots, proof) == root
    for mutated in mutations(proof):
        refuses_consistency(old, size, *roots, mutated)
