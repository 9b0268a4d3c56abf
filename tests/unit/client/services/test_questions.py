# SPDX-License-Identifier: Apache-2.0
"""A session as its user has it: what it sends, and what it takes for an answer. Workers are in
tests/unit/enclave/serving."""

import os
from typing import Any

import pytest

from placet.client.errors import AnswerMalformed
from placet.client.services.questions import Bearer, Principal, QuestionSession
from placet.governance.contexts import session_info, session_keys_info, session_statement
from placet.governance.documents import Field, Header, Offer, Seen
from placet.governance.envelope import Signed, sign, verify_signed
from placet.governance.keys import SigningKey
from placet.governance.log import EMPTY_ROOT
from placet.proto.questions import BEARER, PRINCIPAL, Claim, Opening, Question, pack_refusal
from placet.proto.questions import unpack_question as unpack
from placet.proto.v1 import common_pb2
from placet.refusals import AnswerForged, Refused
from placet.sealing import HPKEPrivateKey, SealedSession, open_envelope

TOKEN, CHARTER = os.urandom(32), "sha256:" + "c4" * 32


class Worker:
    """An offer, and the other end of sessions under it."""

    def __init__(self) -> None:
        self.key, signing = HPKEPrivateKey.generate(), SigningKey.generate()
        digest, field = "sha256:" + "0" * 64, Field("x", "float32", (0, 1))
        header = Header("0" * 32, CHARTER, Seen(0, "sha256:" + EMPTY_ROOT.hex()))
        public = self.key.public.to_text()
        offer = Offer(header, digest, digest, 0, public, 60, (field,), (field,), "independent")
        self.offer: Signed[Offer] = verify_signed(
            sign(offer, signing), Offer, lambda _: [signing.public]
        )

    def open(self, data: bytes) -> tuple[Claim, SealedSession, bytearray]:
        found = unpack(data)
        assert isinstance(found, Opening)
        info = session_info(self.offer.digest)
        claim = Claim.from_bytes(open_envelope(found.envelope, self.key, info))
        session = SealedSession(claim.secret, session_keys_info(self.offer.digest, claim.user))
        return claim, session, session.open_question(0, found.sealed)


def test_the_first_question_opens_the_session_and_the_others_are_in_it() -> None:
    worker = Worker()
    session = QuestionSession(worker.offer, CHARTER, Bearer("clinic", TOKEN))
    claim, other, content = worker.open(session.question(b"first").data)
    assert (claim.kind, claim.user, claim.proof) == (BEARER, "clinic", TOKEN)
    assert content == b"first"
    for counter in (1, 2):
        question = session.question(b"next")
        found = unpack(question.data)
        assert isinstance(found, Question)
        assert (found.session, found.counter, question.counter) == (other.id, counter, counter)
        assert other.open_question(counter, found.sealed) == b"next"


def test_a_principal_signs_for_the_offer_and_the_secret() -> None:
    worker, key = Worker(), SigningKey.generate()
    session = QuestionSession(worker.offer, CHARTER, Principal("ada", key))
    claim, _, _ = worker.open(session.question(b"").data)
    statement = session_statement(CHARTER, worker.offer.digest, "ada", claim.secret)
    assert (claim.kind, claim.user) == (PRINCIPAL, "ada")
    assert key.public.has_signed(claim.proof, statement)


def test_what_comes_back_is_an_answer_a_refusal_or_refused() -> None:
    worker = Worker()
    session = QuestionSession(worker.offer, CHARTER, Bearer("clinic", TOKEN))
    question = session.question(b"what is it?")
    _, other, _ = worker.open(question.data)
    assert bytes(session.answer(question, other.seal_answer(0, b"\0tensors"))) == b"tensors"
    refusal = common_pb2.Refusal(
        reason=common_pb2.REASON_RATE_EXCEEDED, message="Later.", details={"retry_ms": "5"}
    )
    with pytest.raises(Refused, match="Later") as refused:
        session.answer(question, other.seal_answer(0, pack_refusal(refusal)))
    assert (refused.value.reason, refused.value.details) == ("RATE_EXCEEDED", {"retry_ms": "5"})
    for content in (b"", b"\2", b"\1\xff"):
        with pytest.raises(AnswerMalformed):
            session.answer(question, other.seal_answer(0, content))
    for data in (b"", other.seal_answer(1, b"\0tensors")):
        with pytest.raises(AnswerForged):
            session.answer(question, data)


def test_nothing_secret_is_shown() -> None:
    worker, token = Worker(), Bearer("clinic", TOKEN)
    session: Any = QuestionSession(worker.offer, CHARTER, token)
    shown = f"{session!r} {token!r} {session.question(b'canary')!r}"
    assert "canary" not in shown
    assert repr(TOKEN)[2:-1] not in shown


@pytest.mark.parametrize("token", [b"", bytes(31), bytes(33)], ids=len)
def test_tokens_have_32_bytes(token: bytes) -> None:
    with pytest.raises(ValueError, match="32"):
        Bearer("clinic", token)
