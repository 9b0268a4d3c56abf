# SPDX-License-Identifier: Apache-2.0
"""The bytes of questions and answers: there is one way to write each, and all else is refused."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from placet.proto.questions import (
    BEARER,
    PRINCIPAL,
    Claim,
    Opening,
    Question,
    answer_size,
    pack_answer,
    pack_opening,
    pack_question,
    pack_refusal,
    unpack_answer,
    unpack_question,
)
from placet.proto.tensors import Tensor, unpack
from placet.proto.v1 import common_pb2
from placet.refusals import QuestionForged


@given(st.binary(max_size=4096), st.binary(max_size=500))
def test_openings(envelope: bytes, sealed: bytes) -> None:
    data = pack_opening(envelope, sealed)
    assert data[:5] == b"\x01" + len(envelope).to_bytes(4, "big")
    found = unpack_question(data)
    assert isinstance(found, Opening)
    assert (found.envelope, bytes(found.sealed)) == (envelope, sealed)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1), st.binary(max_size=500))
def test_questions(session: bytes, counter: int, sealed: bytes) -> None:
    data = pack_question(session, counter, sealed)
    assert data == b"\x02" + session + counter.to_bytes(8, "big") + sealed
    found = unpack_question(data)
    assert isinstance(found, Question)
    assert (found.session, found.counter, bytes(found.sealed)) == (session, counter, sealed)


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from([PRINCIPAL, BEARER]),
    st.text(max_size=60),
    st.binary(min_size=1, max_size=100),
)
def test_claims(secret: bytes, kind: int, user: str, proof: bytes) -> None:
    claim = Claim(secret, kind, user, proof)
    assert Claim.from_bytes(claim.to_bytes()) == claim
    assert repr(secret) not in repr(claim)


def test_names_have_255_bytes_at_most() -> None:
    assert len(Claim(bytes(32), BEARER, "x" * 255, b"p").to_bytes()) == 34 + 255 + 1
    with pytest.raises(ValueError, match="255"):
        Claim(bytes(32), BEARER, "x" * 256, b"p").to_bytes()


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x01\x00\x00\x10\x01" + bytes(4097))  # an envelope above the bound
@example(b"\x01\x00\x00\x00\x05abcd")  # one that is longer than what is there
@example(b"\x02" + bytes(23))
@example(b"\x00" + bytes(100))
def test_other_bytes_are_refused_or_written_the_same_again(data: bytes) -> None:
    try:
        found = unpack_question(data)
    except QuestionForged as refusal:
        assert refusal.reason == "QUESTION_FORGED"
        return
    if isinstance(found, Opening):
        assert pack_opening(found.envelope, bytes(found.sealed)) == data
    else:
        assert pack_question(found.session, found.counter, bytes(found.sealed)) == data


@pytest.mark.parametrize(
    "data",
    [b"", bytes(33), bytes(34), bytes(33) + b"\x02ab", bytes(33) + b"\x01\xff" + b"p"],
    ids=["empty", "no length", "no proof", "a name and no proof", "no UTF-8"],
)
def test_claims_that_are_none(data: bytes) -> None:
    with pytest.raises(QuestionForged):
        Claim.from_bytes(data)


def test_answers_are_tensors_or_a_refusal() -> None:
    tensor = Tensor("y", "float32", (2,), memoryview(np.ones(2, "<f4").tobytes()))
    packed = pack_answer([tensor])
    assert len(packed) == answer_size([tensor])
    content = unpack_answer(packed)
    assert isinstance(content, memoryview)
    assert unpack(content) == (tensor,)
    refusal = common_pb2.Refusal(
        reason=common_pb2.REASON_RATE_EXCEEDED, details={"b": "2", "a": "1"}
    )
    assert unpack_answer(pack_refusal(refusal)) == refusal
    assert pack_refusal(refusal) == pack_refusal(
        common_pb2.Refusal.FromString(pack_refusal(refusal)[1:])
    )


@pytest.mark.parametrize("content", [b"", b"\x02", b"\x01\xff\xff"])
def test_answers_that_are_none(content: bytes) -> None:
    with pytest.raises(QuestionForged):
        unpack_answer(content)
