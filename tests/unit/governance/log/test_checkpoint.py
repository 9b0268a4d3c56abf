# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: text form, signature, and whether one extends another."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.auditing.consistency import verify_extends
from placet.governance.log import (
    EMPTY_ROOT,
    Checkpoint,
    NoteSignature,
    NoteSigner,
    SignedNote,
    Tree,
    leaf_hash,
    sign_checkpoint,
    sign_note,
    verify_checkpoint,
)
from placet.refusals import LogCheckpointInvalid, LogForked, LogTruncated, Refusal

ORIGIN = "example.org/log"
ROOT = base64.b64encode(leaf_hash(b"")).decode()

# C2SP tlog-cosignature: a checkpoint with the signatures of its log and of a witness.
COSIGNED = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""


def checkpoint_of(tree: Tree, size: int | None = None) -> Checkpoint:
    return Checkpoint(ORIGIN, tree.size if size is None else size, tree.root(size))


def test_the_published_example_is_parsed_and_written_back() -> None:
    note = SignedNote.from_bytes(COSIGNED.encode())
    checkpoint = Checkpoint.from_text(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.to_text() == note.text
    assert note.to_bytes() == COSIGNED.encode()
    assert [len(signature.signature) for signature in note.signatures] == [64, 72]


@given(size=st.integers(1, 2**63 - 1), root=st.binary(min_size=32, max_size=32))
def test_what_is_signed_verifies(signer: NoteSigner, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    data = sign_checkpoint(checkpoint, signer)
    assert verify_checkpoint(data, signer.verifier_key) == checkpoint
    assert Checkpoint.from_text(checkpoint.to_text()) == checkpoint


def test_cosignatures_are_ignored(signer: NoteSigner) -> None:
    checkpoint = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    note = SignedNote.from_bytes(sign_checkpoint(checkpoint, signer))
    witness = NoteSignature("example.net/witness", b"\1\2\3\4", b"\0" * 72)
    cosigned = replace(note, signatures=(*note.signatures, witness)).to_bytes()
    assert verify_checkpoint(cosigned, signer.verifier_key) == checkpoint


def test_the_origin_is_the_name_of_the_key(signer: NoteSigner) -> None:
    other = Checkpoint("example.org/other", 1, leaf_hash(b""))
    with pytest.raises(LogCheckpointInvalid):
        sign_checkpoint(other, signer)
    with pytest.raises(LogCheckpointInvalid) as caught:
        verify_checkpoint(sign_note(other.to_text(), signer), signer.verifier_key)
    assert caught.value.details == {"expected": ORIGIN, "actual": "example.org/other"}


BAD_TEXTS = {
    "empty": "\n",
    "two lines": f"{ORIGIN}\n1\n",
    "extension": f"{ORIGIN}\n1\n{ROOT}\nextension\n",
    "blank line": f"{ORIGIN}\n1\n{ROOT}\n\n",
    "no newline": f"{ORIGIN}\n1\n{ROOT}",
    "no origin": f"\n1\n{ROOT}\n",
    "origin with space": f"example log\n1\n{ROOT}\n",
    "origin with plus": f"example+log\n1\n{ROOT}\n",
    "leading zero": f"{ORIGIN}\n01\n{ROOT}\n",
    "sign": f"{ORIGIN}\n+1\n{ROOT}\n",
    "negative": f"{ORIGIN}\n-1\n{ROOT}\n",
    "space": f"{ORIGIN}\n 1\n{ROOT}\n",
    "underscore": f"{ORIGIN}\n1_0\n{ROOT}\n",
    "other digits": f"{ORIGIN}\n\u0661\n{ROOT}\n",
    "hexadecimal": f"{ORIGIN}\n0x1\n{ROOT}\n",
    "size of 2^63": f"{ORIGIN}\n{2**63}\n{ROOT}\n",
    "size without end": f"{ORIGIN}\n{'9' * 5000}\n{ROOT}\n",
    "short root": f"{ORIGIN}\n1\nAAAA\n",
    "root without padding": f"{ORIGIN}\n1\n{ROOT[:-1]}\n",
    "root with loose bits": f"{ORIGIN}\n1\n{'A' * 42}B=\n",
    "root in URL form": f"{ORIGIN}\n1\n{'_' * 42}8=\n",
    "empty log of another root": f"{ORIGIN}\n0\n{ROOT}\n",
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_texts_are_refused_even_when_signed(signer: NoteSigner, case: str) -> None:
    with pytest.raises(LogCheckpointInvalid):
        Checkpoint.from_text(BAD_TEXTS[case])
    if BAD_TEXTS[case].endswith("\n"):
        with pytest.raises(LogCheckpointInvalid):
            verify_checkpoint(sign_note(BAD_TEXTS[case], signer), signer.verifier_key)


@pytest.mark.parametrize(
    ("size", "root"), [(-1, b"\0" * 32), (2**63, b"\0" * 32), (1, b"\0" * 31), (0, b"\0" * 32)]
)
def test_bad_values_are_refused(size: int, root: bytes) -> None:
    with pytest.raises(LogCheckpointInvalid):
        Checkpoint(ORIGIN, size, root)


def test_a_log_extends_itself_at_every_size(make_tree: Callable[[int], Tree]) -> None:
    tree = make_tree(20)
    for new_size in range(21):
        new = checkpoint_of(tree, new_size)
        for old_size in range(new_size + 1):
            old = checkpoint_of(tree, old_size)
            assert verify_extends(old, new, tree.consistency_proof(old_size, new_size)) is new


def test_a_shorter_log_is_truncated(make_tree: Callable[[int], Tree]) -> None:
    tree = make_tree(20)
    for size in range(20):
        for proof in ((), tree.consistency_proof(size)):
            with pytest.raises(LogTruncated):
                verify_extends(checkpoint_of(tree), checkpoint_of(tree, size), proof)


def test_another_root_at_the_same_size_is_a_fork(make_tree: Callable[[int], Tree]) -> None:
    old = checkpoint_of(make_tree(20))
    with pytest.raises(LogForked):
        verify_extends(old, replace(old, root=leaf_hash(b"")), ())
    with pytest.raises(LogForked):
        verify_extends(old, old, (leaf_hash(b""),))


def test_a_longer_log_that_was_rewritten_is_a_fork(make_tree: Callable[[int], Tree]) -> None:
    tree = make_tree(20)
    forked = Tree([leaf_hash(b"rewritten"), *(tree.leaf(index) for index in range(1, 20))])
    for size in range(1, 20):
        for proof in (forked.consistency_proof(size), tree.consistency_proof(size), ()):
            with pytest.raises(LogForked):
                verify_extends(checkpoint_of(tree, size), checkpoint_of(forked), proof)


def test_another_log_is_not_compared(make_tree: Callable[[int], Tree]) -> None:
    old = checkpoint_of(make_tree(20))
    with pytest.raises(LogCheckpointInvalid):
        verify_extends(old, replace(old, origin="example.org/other"), ())


@given(st.text(max_size=200) | st.text(max_size=60).map(lambda t: f"{ORIGIN}\n{t}\n{ROOT}\n"))
def test_the_parser_raises_its_own_errors_only(text: str) -> None:
    try:
        checkpoint = Checkpoint.from_text(text)
    except Refusal:
        return
    assert checkpoint.to_text() == text


@given(cut=st.integers(0, 200), insert=st.binary(max_size=8), drop=st.integers(0, 8))
def test_a_changed_checkpoint_is_never_another_one(
    signer: NoteSigner, cut: int, insert: bytes, drop: int
) -> None:
    checkpoint = Checkpoint(ORIGIN, 12345, leaf_hash(b""))
    data = sign_checkpoint(checkpoint, signer)
    try:
        found = verify_checkpoint(data[:cut] + insert + data[cut + drop :], signer.verifier_key)
    except Refusal:
        return
    assert found == checkpoint
