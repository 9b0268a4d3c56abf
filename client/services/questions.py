# SPDX-License-Identifier: Apache-2.0
"""A session with a worker of a service, as its user has it: bytes only. docs/inference.md says what
they are.

    session = QuestionSession(offer, log, Bearer("clinic", token))  # an offer that was verified
    question = session.question(content)                 # tensors as `placet.proto.tensors` packs
    tensors = session.answer(question, answer.data)      # or raises `Refused`

The first question opens the session, so it has to reach the worker before the others do, and so do
these in their order; answers come in any order.
"""

import functools
from dataclasses import dataclass, field

from placet.client.connection.told import refused
from placet.client.errors import AnswerMalformed
from placet.governance.checks import check_identifier
from placet.governance.contexts import session_info, session_keys_info, session_statement
from placet.governance.documents import Offer
from placet.governance.documents.serving import TOKEN_BYTES
from placet.governance.envelope import Signed
from placet.governance.keys import SigningKey
from placet.proto.questions import (
    BEARER,
    PRINCIPAL,
    Claim,
    pack_opening,
    pack_question,
    unpack_answer,
)
from placet.proto.refusals import reason_name
from placet.refusals import QuestionForged
from placet.sealing import HPKEPublicKey, SealedSession, new_session_secret, seal_envelope


@dataclass(frozen=True, slots=True)
class Principal:
    """A user who is in the constitution, and signs."""

    id: str
    key: SigningKey

    def claim(self, log: str, offer: str, secret: bytes) -> Claim:
        """What shows the worker who opens the session."""
        statement = session_statement(log, offer, self.id, secret)
        return Claim(secret, PRINCIPAL, self.id, self.key.sign(statement))


@dataclass(frozen=True, slots=True)
class Bearer:
    """A user who holds a token of this name. Raises `ValueError` unless it has 32 bytes."""

    id: str
    token: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_identifier("user", self.id)
        if len(self.token) != TOKEN_BYTES:
            raise ValueError(f"a token has {TOKEN_BYTES} bytes")

    def claim(self, log: str, offer: str, secret: bytes) -> Claim:
        """What shows the worker who opens the session."""
        return Claim(secret, BEARER, self.id, self.token)


User = Principal | Bearer


@dataclass(frozen=True, slots=True)
class SealedQuestion:
    """A question as it is sent (`Ask.data`, `PredictRequest.data`), and the counter that its answer
    has."""

    counter: int
    data: bytes = field(repr=False)


class QuestionSession:
    """One session under one offer. Never shown by `repr`."""

    def __init__(self, offer: Signed[Offer], log: str, user: User) -> None:
        """Make the secret and seal it to the offer's key. log: the verifier key, as the offer's
        header names it."""
        secret = new_session_secret()
        try:
            claim = user.claim(log, offer.digest, bytes(secret))
            self._sealed = SealedSession(secret, session_keys_info(offer.digest, user.id))
            key = _loaded(offer.document.key)
            self._envelope = seal_envelope(claim.to_bytes(), key, session_info(offer.digest))
        finally:
            secret[:] = bytes(len(secret))

    def question(self, content: bytes | bytearray | memoryview) -> SealedQuestion:
        """Seal the next question. Raises `SessionUnknown`: then open another
        session."""
        counter, sealed = self._sealed.seal_question(content)
        if counter == 0:
            data, self._envelope = pack_opening(self._envelope, sealed), b""
        else:
            data = pack_question(self._sealed.id, counter, sealed)
        return SealedQuestion(counter, data)

    def answer(self, question: SealedQuestion, data: bytes | bytearray) -> memoryview:
        """The tensors that answer the question, packed.

        Raises `Refused` for a refusal that came sealed, `AnswerForged` for bytes
        that are not the worker's answer to this question, `AnswerMalformed` for an answer without
        the form of one.
        """
        try:
            content = unpack_answer(self._sealed.open_answer(question.counter, data))
        except QuestionForged:
            raise AnswerMalformed("The answer has not the form of one.", claim="answer") from None
        if isinstance(content, memoryview):
            return content
        raise refused(reason_name(content.reason), content.message, content.details)

    def __repr__(self) -> str:
        return "QuestionSession(...)"


@functools.lru_cache(maxsize=64)
def _loaded(text: str) -> HPKEPublicKey:
    """The key of an offer. Many sessions are opened by one, and loading it takes half as long as
    sealing to it."""
    return HPKEPublicKey.from_text(text)
