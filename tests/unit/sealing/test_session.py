# SPDX-License-Identifier: Apache-2.0
"""Sessions: their bytes by hand, what is refused, and that lengths tell no more than a size
class."""

import copy
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from placet.refusals import AnswerForged, QuestionForged, QuestionReplayed, Refusal, SessionUnknown
from placet.sealing import (
    MAX_QUESTIONS,
    SealedSession,
    new_session_secret,
    sealed_answer_length,
    size_class,
)

SECRET, INFO = bytes(range(32)), b"what the session is bound to"
KEYS = HKDF(SHA256(), 80, None, INFO).derive(SECRET)
QUESTION_KEY, ANSWER_KEY = AESGCM(KEYS[16:48]), AESGCM(KEYS[48:])


def nonce(counter: int) -> bytes:
    return bytes(4) + counter.to_bytes(8, "big")


def padded(content: bytes, size: int = 256) -> bytes:
    return len(content).to_bytes(4, "big") + content + bytes(size - 4 - len(content))


def ends() -> tuple[SealedSession, SealedSession]:
    """The one who asks, and the one who answers."""
    return SealedSession(SECRET, INFO), SealedSession(bytearray(SECRET), INFO)


def test_a_session_known_byte_for_byte() -> None:
    # Computed apart: HKDF of RFC 5869 written out with HMAC, then AES-GCM.
    session = SealedSession(SECRET, INFO)
    assert session.id == KEYS[:16] == bytes.fromhex("d4dd9fac3a6a0842697c97bbedcb65af")
    counter, sealed = session.seal_question(b"what is it?")
    assert (counter, sealed[:16].hex()) == (0, "b914308544068d4ef00a90f8de165d97")
    assert (
        session.seal_answer(0, b"a cat")[:24].hex()
        == "00000000000000005ae7b15e998cee1279b86e41aa4b15bb"
    )


def test_the_bytes_are_those_that_the_format_says() -> None:
    asking, answering = ends()
    for counter in range(3):
        found, sealed = asking.seal_question(b"what is it?")
        assert found == counter
        assert sealed == QUESTION_KEY.encrypt(nonce(counter), padded(b"what is it?"), None)
        answer = answering.seal_answer(counter, b"a cat")
        assert answer[:8] == counter.to_bytes(8, "big")
        assert answer[8:] == ANSWER_KEY.encrypt(nonce(counter), padded(b"a cat"), None)
        assert answering.open_question(counter, memoryview(sealed)) == b"what is it?"
        assert asking.open_answer(counter, answer) == b"a cat"


@given(st.integers(0, 1 << 21))
def test_a_size_class_holds_its_size_and_wastes_a_quarter_at_most(size: int) -> None:
    found = size_class(size)
    assert size <= found
    assert found == 256 or found < size * 1.25
    assert size_class(found) == found
    # 256, then four classes for each power of two.
    assert found == 256 or bin(found)[2:].rstrip("0") in {"1", "101", "11", "111"}


@given(st.binary(max_size=3000))
def test_what_is_sealed_is_opened_and_its_length_is_that_of_its_class(content: bytes) -> None:
    asking, answering = ends()
    counter, sealed = asking.seal_question(content)
    assert len(sealed) == size_class(4 + len(content)) + 16
    assert answering.open_question(counter, sealed) == content
    answer = answering.seal_answer(counter, content)
    assert len(answer) == sealed_answer_length(len(content))
    assert asking.open_answer(counter, answer) == content


@given(st.lists(st.integers(0, 40), min_size=1, max_size=40))
def test_counters_only_rise_and_may_leave_gaps(order: list[int]) -> None:
    asking, answering = ends()
    sealed = [asking.seal_question(b"%d" % n)[1] for n in range(41)]
    highest = -1
    for counter in order:
        if counter > highest:
            assert answering.open_question(counter, sealed[counter]) == b"%d" % counter
            highest = counter
        else:
            with pytest.raises(QuestionReplayed):
                answering.open_question(counter, sealed[counter])


@given(st.data())
def test_a_changed_question_does_not_open_and_uses_no_counter_up(data: st.DataObject) -> None:
    asking, answering = ends()
    counter, sealed = asking.seal_question(b"what is it?")
    place = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[place] ^= data.draw(st.integers(1, 255))
    for wrong in (bytes(changed), sealed[:place], sealed + b"x"):
        with pytest.raises(QuestionForged):
            answering.open_question(counter, wrong)
    assert answering.open_question(counter, sealed) == b"what is it?"


def test_an_answer_opens_under_its_own_counter_in_its_own_session() -> None:
    asking, answering = ends()
    other = SealedSession(SECRET, INFO + b"!")
    answers = [answering.seal_answer(n, b"a cat") for n in range(2)]
    assert asking.open_answer(1, answers[1]) == b"a cat"
    for session, counter, wrong in (
        (asking, 0, answers[1]),
        (asking, 0, answers[1][:8] + answers[0][8:]),
        (asking, 1, answers[1][:8] + answers[0][8:]),
        (asking, 0, answers[0][:-1]),
        (asking, 0, b""),
        (other, 0, answers[0]),
    ):
        with pytest.raises(AnswerForged):
            session.open_answer(counter, wrong)


def test_a_question_is_no_answer() -> None:
    asking, answering = ends()
    counter, sealed = asking.seal_question(b"what is it?")
    with pytest.raises(AnswerForged):
        asking.open_answer(counter, counter.to_bytes(8, "big") + sealed)
    with pytest.raises(QuestionForged):
        answering.open_question(counter, answering.seal_answer(counter, b"a cat")[8:])


@pytest.mark.parametrize(
    "plain",
    {
        "longer than there is": (300).to_bytes(4, "big") + bytes(252),
        "another class": padded(b"short", 320),
        "no class": padded(b"short", 257),
        "bytes behind the content": padded(b"short")[:-1] + b"x",
        "smaller than any": padded(b"short", 128),
    }.items(),
    ids=lambda item: item[0],
)
def test_there_is_one_way_to_pad(plain: tuple[str, bytes]) -> None:
    _, answering = ends()
    with pytest.raises(QuestionForged):
        answering.open_question(0, QUESTION_KEY.encrypt(nonce(0), plain[1], None))


def test_a_session_has_an_end() -> None:
    _, answering = ends()
    last = MAX_QUESTIONS - 1
    sealed = QUESTION_KEY.encrypt(nonce(last), padded(b"the last"), None)
    assert answering.open_question(last, sealed) == b"the last"
    with pytest.raises(SessionUnknown):
        answering.open_question(MAX_QUESTIONS, sealed)
    with pytest.raises(SessionUnknown):
        answering.seal_question(b"one more")


def test_refusals_say_nothing_of_contents() -> None:
    _, answering = ends()
    sealed = QUESTION_KEY.encrypt(nonce(0), padded(b"canary", 320), None)
    with pytest.raises(Refusal) as error:
        answering.open_question(0, sealed)
    assert "canary" not in f"{error.value} {error.value.details}"


def test_secrets_have_32_bytes_and_are_new() -> None:
    first, second = new_session_secret(), new_session_secret()
    assert len(first) == 32
    assert first != second
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            SealedSession(wrong, INFO)


def test_a_session_is_not_shown_and_not_copied() -> None:
    session: Any = SealedSession(SECRET, INFO)
    assert repr(session) == "SealedSession(...)"
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copied(session)
