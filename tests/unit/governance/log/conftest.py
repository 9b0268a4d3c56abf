# SPDX-License-Identifier: Apache-2.0
"""What the log's tests share: a signer, and a tree straight from the definitions of RFC 6962."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import settings

from placet.governance.log import NoteSigner, Tree, leaf_hash

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

ReferenceRoot = Callable[[list[bytes]], bytes]
MakeTree = Callable[[int], Tree]


@pytest.fixture(scope="session")
def signer() -> NoteSigner:
    return NoteSigner("example.org/log", bytes(range(32)))


@pytest.fixture(scope="session")
def reference_root() -> ReferenceRoot:
    """MTH of RFC 6962 section 2.1 over leaf hashes, word for word."""

    def root(leaves: list[bytes]) -> bytes:
        if not leaves:
            return hashlib.sha256(b"").digest()
        if len(leaves) == 1:
            return leaves[0]
        k = 1
        while 2 * k < len(leaves):
            k *= 2
        return hashlib.sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()

    return root


@pytest.fixture(scope="session")
def make_tree() -> MakeTree:
    def make(size: int) -> Tree:
        return Tree(leaf_hash(b"entry %d" % index) for index in range(size))

    return make
