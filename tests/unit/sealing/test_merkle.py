# SPDX-License-Identifier: Apache-2.0
"""The root folded leaf by leaf is the one that RFC 6962 defines by recursion."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from placet.sealing._merkle import MerkleRoot, leaf_hash


def _defined(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = _defined(leaves[:split]), _defined(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_the_fold_agrees_with_the_definition(leaves: list[bytes]) -> None:
    assert MerkleRoot(map(leaf_hash, leaves)).text() == f"sha256:{_defined(leaves).hex()}"


def test_a_known_tree() -> None:
    """The first three leaves of the trees that Certificate Transparency is tested with."""
    leaves = [b"", b"\x00", b"\x10"]
    expected = "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert MerkleRoot(map(leaf_hash, leaves)).text() == f"sha256:{expected}"
