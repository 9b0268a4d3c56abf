# SPDX-License-Identifier: Apache-2.0
"""Receipts: round trip, what they bind, and what is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.log import (
    MAX_PROOF_BYTES,
    Checkpoint,
    LogProof,
    NoteSigner,
    Tree,
    sign_checkpoint,
    verify_proof,
)
from placet.refusals import LogCheckpointInvalid, LogProofInvalid, LogProofMalformed, Refusal

SIZE = 21
INDEX = 6

# The header of the example in C2SP tlog-proof, whose signatures are abridged there.
EXAMPLE_HEADER = """c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

"""


@pytest.fixture(scope="module")
def tree(make_tree: Callable[[int], Tree]) -> Tree:
    return make_tree(SIZE)


@pytest.fixture(scope="module")
def signed(tree: Tree, signer: NoteSigner) -> bytes:
    return sign_checkpoint(Checkpoint("example.org/log", SIZE, tree.root()), signer)


@pytest.fixture(scope="module")
def proof(tree: Tree, signed: bytes) -> LogProof:
    return LogProof(INDEX, tree.inclusion_proof(INDEX), signed)


def test_every_entry_has_a_proof(tree: Tree, signed: bytes, signer: NoteSigner) -> None:
    for index in range(SIZE):
        data = LogProof(index, tree.inclusion_proof(index), signed).to_bytes()
        checkpoint = verify_proof(data, tree.leaf(index), signer.verifier_key)
        assert (checkpoint.size, checkpoint.root) == (SIZE, tree.root())
        for other in range(SIZE):
            if other != index:
                with pytest.raises(LogProofInvalid):
                    verify_proof(data, tree.leaf(other), signer.verifier_key)


def test_a_log_of_one_entry_has_a_proof_without_hashes(
    make_tree: Callable[[int], Tree], signer: NoteSigner
) -> None:
    tree = make_tree(1)
    signed = sign_checkpoint(Checkpoint("example.org/log", 1, tree.root()), signer)
    data = LogProof(0, (), signed).to_bytes()
    assert data == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + signed
    assert verify_proof(data, tree.leaf(0), signer.verifier_key).size == 1


def test_the_published_header_is_parsed_and_written_back(signed: bytes) -> None:
    data = EXAMPLE_HEADER.encode() + signed
    proof = LogProof.from_bytes(data)
    assert (proof.index, len(proof.hashes), len(proof.extra)) == (73894, 5, 39)
    assert proof.checkpoint == signed
    assert proof.to_bytes() == data


@given(
    index=st.integers(0, 2**63 - 2),
    hashes=st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    extra=st.binary(max_size=100),
)
def test_round_trip(signed: bytes, index: int, hashes: list[bytes], extra: bytes) -> None:
    proof = LogProof(index, tuple(hashes), signed, extra)
    assert LogProof.from_bytes(proof.to_bytes()) == proof


def test_changed_values_are_refused(proof: LogProof, tree: Tree, signer: NoteSigner) -> None:
    def refuses(changed: LogProof) -> None:
        with pytest.raises(LogProofInvalid):
            verify_proof(changed.to_bytes(), tree.leaf(INDEX), signer.verifier_key)

    for index in (0, INDEX - 1, INDEX + 1, SIZE, 2**62):
        refuses(replace(proof, index=index))
    refuses(replace(proof, hashes=proof.hashes[:-1]))
    refuses(replace(proof, hashes=(*proof.hashes, tree.root())))
    refuses(replace(proof, hashes=proof.hashes[::-1]))
    with_extra = replace(proof, extra=b"anything").to_bytes()
    assert verify_proof(with_extra, tree.leaf(INDEX), signer.verifier_key)


def test_every_flipped_bit_of_a_proof_is_refused(
    proof: LogProof, tree: Tree, signer: NoteSigner
) -> None:
    data = proof.to_bytes()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        with pytest.raises(Refusal):
            verify_proof(bytes(changed), tree.leaf(INDEX), signer.verifier_key)


def test_the_checkpoint_must_be_of_the_expected_log(proof: LogProof, tree: Tree) -> None:
    stranger = NoteSigner.generate("example.org/log").verifier_key
    with pytest.raises(LogCheckpointInvalid):
        verify_proof(proof.to_bytes(), tree.leaf(INDEX), stranger)


HASH = "A" * 43 + "="
BAD_HEADERS = {
    "empty": "",
    "other version": "c2sp.org/tlog-proof@v2\nindex 0",
    "carriage return": "c2sp.org/tlog-proof@v1\r\nindex 0",
    "no index": "c2sp.org/tlog-proof@v1",
    "hash before index": f"c2sp.org/tlog-proof@v1\n{HASH}\nindex 0",
    "index without number": "c2sp.org/tlog-proof@v1\nindex ",
    "index with zero": "c2sp.org/tlog-proof@v1\nindex 01",
    "negative index": "c2sp.org/tlog-proof@v1\nindex -1",
    "two indexes": "c2sp.org/tlog-proof@v1\nindex 0\nindex 0",
    "index without end": f"c2sp.org/tlog-proof@v1\nindex {'9' * 5000}",
    "index of the largest size": f"c2sp.org/tlog-proof@v1\nindex {2**63 - 1}",
    "extra after index": "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA",
    "empty extra": "c2sp.org/tlog-proof@v1\nextra \nindex 0",
    "two extras": "c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 0",
    "extra not base64": "c2sp.org/tlog-proof@v1\nextra *\nindex 0",
    "extra only": "c2sp.org/tlog-proof@v1\nextra AAAA",
    "extra too long": f"c2sp.org/tlog-proof@v1\nextra {'A' * 90000}\nindex 0",
    "short hash": "c2sp.org/tlog-proof@v1\nindex 0\nAAAA",
    "hash with space": f"c2sp.org/tlog-proof@v1\nindex 0\n{HASH} ",
    "not ASCII": f"c2sp.org/tlog-proof@v1\nindex 0\n{'é' * 44}",
    "64 hashes": "c2sp.org/tlog-proof@v1\nindex 0" + f"\n{HASH}" * 64,
    "hashes without end": "c2sp.org/tlog-proof@v1\nindex 0" + f"\n{HASH}" * 20000,
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_bad_headers(signed: bytes, case: str) -> None:
    with pytest.raises(LogProofMalformed):
        LogProof.from_bytes(BAD_HEADERS[case].encode() + b"\n\n" + signed)


def test_a_proof_without_checkpoint_is_refused(proof: LogProof) -> None:
    data = proof.to_bytes()
    header = data.index(b"\n\n")
    with pytest.raises(LogProofMalformed):
        LogProof.from_bytes(data[: header + 1])
    with pytest.raises(LogCheckpointInvalid):
        LogProof.from_bytes(data[: header + 2])


def test_bad_values(signed: bytes) -> None:
    for index in (-1, 2**63 - 1):
        with pytest.raises(LogProofMalformed):
            LogProof(index, (), signed)
    with pytest.raises(LogProofMalformed):
        LogProof(0, (b"\0" * 31,), signed)
    with pytest.raises(LogProofMalformed):
        LogProof(0, (b"\0" * 32,) * 64, signed)
    with pytest.raises(LogProofMalformed):
        LogProof(0, (), signed, b"\0" * 65537)
    with pytest.raises(LogCheckpointInvalid):
        LogProof(0, (), b"")


def test_the_largest_proof_is_within_the_bound(signed: bytes) -> None:
    proof = LogProof(2**63 - 2, (b"\0" * 32,) * 63, signed, b"\0" * 65536)
    assert len(proof.to_bytes()) <= MAX_PROOF_BYTES
    assert LogProof.from_bytes(proof.to_bytes()) == proof


@given(
    cut=st.integers(0, 600),
    insert=st.binary(max_size=20)
    | st.sampled_from([b"\n", b"\n\n", b"index 1\n", b"extra AA==\n"]),
    drop=st.integers(0, 60),
)
def test_the_parser_raises_its_own_errors_only(
    proof: LogProof, cut: int, insert: bytes, drop: int
) -> None:
    data = proof.to_bytes()
    data = data[:cut] + insert + data[cut + drop :]
    try:
        assert LogProof.from_bytes(data).to_bytes() == data
    except Refusal:
        pass


@given(st.binary(max_size=300).map(lambda data: b"c2sp.org/tlog-proof@v1\n" + data) | st.binary())
def test_random_bytes_raise_its_own_errors_only(data: bytes) -> None:
    try:
        assert LogProof.from_bytes(data).to_bytes() == data
    except Refusal:
        pass
