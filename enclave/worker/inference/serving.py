# SPDX-License-Identifier: Apache-2.0
"""Serving: questions come in frames of the stream, answers leave in frames, until the lease ends or
somebody stops it.

All of it runs in the stream's event loop; the model runs in a thread of its own (batching.py). What
goes wrong with one question is the answer to that question, and to no other.
"""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from placet.enclave import _kernel
from placet.enclave.worker.inference.batching import Batcher, Delivered
from placet.enclave.worker.inference.draws import Draws
from placet.enclave.worker.inference.model import Model
from placet.enclave.worker.inference.offers import Offers
from placet.enclave.worker.inference.questions import Question
from placet.enclave.worker.inference.rations import Allowances
from placet.enclave.worker.inference.sessions import Sessions, UserSession
from placet.enclave.worker.inference.users import Askers
from placet.enclave.worker.joining import Membership
from placet.enclave.worker.task import Means
from placet.governance.documents import Lease, Serve
from placet.governance.envelope import Signed
from placet.proto.frames import LinkClosed
from placet.proto.limits import MAX_COALESCED
from placet.proto.pieces import Arriving, cut
from placet.proto.questions import (
    MAX_AROUND,
    Opening,
    answer_size,
    pack_answer,
    pack_refusal,
    unpack_question,
)
from placet.proto.refusals import reason_name, refusal_of
from placet.proto.tensors import Tensor
from placet.proto.v1 import enclaves_pb2, inference_pb2
from placet.refusals import AnswerTooLarge, QuestionTooLarge
from placet.sealing import sealed_answer_length

# What says nothing about a question, or is refused before anybody knows whose it is. All else is
# sealed.
_CLEAR = frozenset(
    {
        "SESSION_UNKNOWN",
        "SESSION_FORGED",
        "QUESTION_FORGED",
        "QUESTION_REPLAYED",
        "QUEUE_FULL",
        "DEADLINE_PASSED",
    }
)


MAX_ARRIVING = 64 << 20  # bytes of questions that have begun to come, or two of them


@dataclass(slots=True, eq=False)
class _Asked:
    """Where an answer goes: the host's id of the question, its session, and the counter that the
    answer is sealed under."""

    id: int
    session: UserSession
    counter: int


class Serving:
    """One model served under one lease. Made in the stream's event loop."""

    def __init__(
        self, means: Means, member: Membership, lease: Signed[Lease], terms: Serve, model: Model
    ) -> None:
        constitution = list(member.constitutions.values())[-1]
        askers = Askers(terms.users, constitution, member.charter)
        self._means = means
        self._lease = lease.digest
        self._loop = asyncio.get_running_loop()
        self._offers = Offers(lease, member, model.inputs, model.answers, model.rows)
        self._sessions = Sessions(askers, self._offers, self._offer)
        draws = Draws(means.link, member, lease.digest)
        self._rations = Allowances(terms.rations, draws.draw, self._wake, self._loop.time)
        self._batcher = Batcher(model, terms, self._rations.admit, self._deliver)
        self._most = terms.largest_question
        self._longest = sealed_answer_length(self._most) + MAX_AROUND
        self._arriving = Arriving(self._longest, max(MAX_ARRIVING, 2 * self._longest))
        self._under_way: dict[int, Question] = {}
        self._answers = inference_pb2.Answers()  # what leaves at the end of this turn of the loop
        self._answers_bytes = 0

    def begin(self) -> None:
        """Take questions, and tell the host so."""
        self._means.listen(self._hear)
        self._means.renewing.renewed = self._offer
        self._offer()

    def _offer(self) -> None:
        """A new key for sessions; those that were opened before the last one end."""
        envelope = self._offers.renew(self._means.renewing.seconds_left)
        self._sessions.end_lapsed()
        offered = enclaves_pb2.Offered(lease=self._lease, offer=envelope, largest=self._longest)
        self._means.link.send(enclaves_pb2.KIND_OFFER, offered)

    def _hear(self, payload: bytes) -> None:
        """Questions of a frame, and those whose answers nobody waits for any more. Raises
        `DecodeError`."""
        asks = inference_pb2.Asks.FromString(payload)
        now = self._loop.time()
        for ask in asks.asks:
            self._take(ask, now)
        for id_ in asks.cancelled:
            self._arriving.drop(id_)
            question = self._under_way.pop(id_, None)
            if question is not None:
                self._batcher.cancel(question)

    def _take(self, ask: inference_pb2.Ask, now: float) -> None:
        asked: _Asked | None = None
        try:
            data = self._arriving.add(ask.id, ask.data, ask.size)
            if data is None:
                return
            found = unpack_question(data)
            if isinstance(found, Opening):
                session, content = self._sessions.open(found)
                asked = _Asked(ask.id, session, 0)
            else:
                session = self._sessions.find(found.session)
                content = session.sealed.open_question(found.counter, found.sealed)
                # Only now: what is sealed under a counter that was not taken would be sealed under
                # it again.
                asked = _Asked(ask.id, session, found.counter)
            until = now + ask.wait_ms / 1000 if ask.wait_ms else math.inf
            question = Question(session.user, content, until, asked)
            self._check(session, content)
            self._batcher.ask(question)
            self._under_way[ask.id] = question
        # Whatever it was is the answer to this question alone.
        except Exception as error:  # noqa: BLE001
            self._refuse(ask.id, asked, error)

    def _check(self, session: UserSession, content: bytearray) -> None:
        """Check what is known of a question before its content is looked at."""
        refusal: Exception | None = session.barred
        if (size := len(content)) > self._most:
            refusal = QuestionTooLarge(
                "The question is larger than the terms allow. Ask for fewer rows at a time.",
                claim="largest_question",
                expected=f"at most {self._most} bytes",
                actual=str(size),
            )
        if refusal is not None:
            _kernel.wipe(content)
            raise refusal

    def _deliver(self, delivered: Sequence[Delivered]) -> None:
        for question, outcome in delivered:
            asked: _Asked = question.context
            self._under_way.pop(asked.id, None)
            if isinstance(outcome, Exception):
                self._refuse(asked.id, asked, outcome)
                continue
            try:
                for piece, size in cut(self._sealed(asked, outcome)):
                    self._send(inference_pb2.Answer(id=asked.id, data=piece, size=size))
            except Exception as error:  # noqa: BLE001 - see _take
                self._refuse(asked.id, asked, error)

    def _sealed(self, asked: _Asked, tensors: tuple[Tensor, ...]) -> bytes:
        if (size := answer_size(tensors)) > self._most:
            raise AnswerTooLarge(
                "The answer is larger than the terms allow. Ask for fewer rows at a time.",
                claim="largest_question",
                expected=f"at most {self._most} bytes",
                actual=str(size),
            )
        content = pack_answer(tensors)
        try:
            return asked.session.sealed.seal_answer(asked.counter, content)
        finally:
            _kernel.wipe(content)

    def _refuse(self, id_: int, asked: _Asked | None, error: Exception) -> None:
        """In the clear where it has to be; else sealed, to be seen by who has asked."""
        refusal = refusal_of(error)
        if asked is None or reason_name(refusal.reason) in _CLEAR:
            self._send(inference_pb2.Answer(id=id_, refusal=refusal))
        else:
            data = asked.session.sealed.seal_answer(asked.counter, pack_refusal(refusal))
            self._send(inference_pb2.Answer(id=id_, data=data))

    def _send(self, answer: inference_pb2.Answer) -> None:
        """All that is answered in one turn of the loop leaves in one frame, as far as frames go."""
        size = answer.ByteSize()
        if self._answers_bytes + size > MAX_COALESCED:
            self._flush()
        if not self._answers_bytes:
            self._loop.call_soon(self._flush)
        self._answers.answers.append(answer)
        self._answers_bytes += size

    def _flush(self) -> None:
        if self._answers_bytes:
            answers, self._answers = self._answers, inference_pb2.Answers()
            self._answers_bytes = 0
            with suppress(LinkClosed):  # then the process is about to end
                self._means.link.send(enclaves_pb2.KIND_ANSWERS, answers)

    def _wake(self, user: str) -> None:
        self._batcher.wake(user)
