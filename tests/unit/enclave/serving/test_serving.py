# SPDX-License-Identifier: Apache-2.0
"""A worker that serves: who may ask, what is answered, what is refused, and where the refusal
goes."""

import asyncio
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from placet.client.services.questions import Bearer, Principal, QuestionSession
from placet.enclave.worker.inference.model import Model, load_model
from placet.enclave.worker.inference.serving import MAX_ARRIVING
from placet.governance.documents import Bearers, Members, Rations, Raw
from placet.governance.documents.serving import token_digest
from placet.governance.keys import SigningKey
from placet.proto.limits import MAX_SEALED
from placet.proto.questions import MAX_AROUND, pack_question
from placet.proto.refusals import reason_name
from placet.proto.tensors import Tensor, pack
from placet.proto.v1 import enclaves_pb2
from placet.refusals import Refused
from tests.support import serving

ROW = [[1, 2]]


def test_users_are_answered_in_sessions_of_their_own(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        for user in ("engineer", "hospital"):
            session = await worker.session(user)
            for rows in (ROW, [[3], [4], [5]]):
                mean = await worker.ask(session, rows)
                assert np.allclose(mean, serving.TABLE[rows].mean(1))
        # A tranche each; what is drawn ahead is for later.
        drawn = service.entries("draw")
        assert [(e["user"], e["rows"]) for e in drawn] == [("engineer", 100), ("hospital", 100)]

    play(story)


def test_many_questions_in_one_frame_are_answered_each_to_its_asker(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        sessions = [await worker.session(user) for user in ("engineer", "hospital")]
        asked = [
            (session, session.question(serving.question([[n % 10]])), n % 10)
            for n in range(40)
            for session in sessions
        ]
        ids = worker.send(*(sealed.data for _, sealed, _ in asked))
        for id_, (session, sealed, word) in zip(ids, asked, strict=True):
            mean = await worker.opened(session, sealed, id_)
            assert np.array_equal(mean, serving.TABLE[[word]])

    play(story)


def test_members_of_organisations_may_ask_and_others_are_told_within_the_seal(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        assert len(await worker.ask(await worker.session("engineer"), ROW)) == 1
        session = await worker.session("hospital")
        refusal = await worker.refused(session, serving.question(ROW))
        assert refusal.reason == "USER_NOT_ALLOWED"
        # The session was not kept.
        again = session.question(serving.question(ROW))
        assert await worker.refused_in_clear(again.data) == "SESSION_UNKNOWN"

    play(story, users=Members("organisations", ("o5",)))


def test_bearers_of_tokens_may_ask(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        assert len(await worker.ask(await worker.session("clinic"), ROW)) == 1
        offer, log = await worker.offer(), service.council.name
        for user in (
            Bearer("clinic", os.urandom(32)),
            Bearer("other", os.urandom(32)),
            Bearer("hospital", serving.TOKEN),
        ):
            opening = QuestionSession(offer, log, user).question(serving.question(ROW)).data
            assert await worker.refused_in_clear(opening) == "SESSION_FORGED"
        # A principal who has the name of a token, and shows who it is by a signature.
        session = QuestionSession(offer, log, Principal("engineer", service.council.submitter))
        refusal = await worker.refused(session, serving.question(ROW))
        assert refusal.reason == "USER_NOT_ALLOWED"

    tokens = {"clinic": token_digest(serving.TOKEN), "engineer": token_digest(os.urandom(32))}
    play(story, users=Bearers("tokens", tokens))


def test_a_session_is_opened_by_its_user_for_this_log_and_offer_alone(play: Any) -> None:
    async def story(service: Any) -> None:
        worker, other = await service.worker("w"), await service.worker("x")
        offer, log, key = await worker.offer(), service.council.name, service.council.submitter
        for wrong in (
            QuestionSession(offer, log, Principal("engineer", SigningKey.generate())),
            QuestionSession(offer, log, Principal("hospital", key)),
            QuestionSession(offer, log, Principal("nobody", key)),
            QuestionSession(offer, log + "x", Principal("engineer", key)),
            QuestionSession(
                replace(offer, digest="sha256:" + "0" * 64), log, Principal("engineer", key)
            ),
            QuestionSession(offer, log, Bearer("engineer", serving.TOKEN)),
        ):
            opening = wrong.question(serving.question(ROW)).data
            assert await worker.refused_in_clear(opening) == "SESSION_FORGED"
        session = await other.session()
        opening = session.question(serving.question(ROW)).data
        assert await worker.refused_in_clear(opening) == "SESSION_UNKNOWN"
        assert service.entries("draw") == []

    play(story)


def test_what_was_changed_or_is_no_question_is_refused_in_the_clear(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        session = await worker.session()
        opening = session.question(serving.question(ROW))
        data = opening.data
        for wrong, reason in (
            (b"", "QUESTION_FORGED"),
            (b"\x03" + data[1:], "QUESTION_FORGED"),
            (data[:4], "QUESTION_FORGED"),
            (data[:1] + b"\xff\xff\xff\xff" + data[5:], "QUESTION_FORGED"),
            (data[:1] + bytes(4) + data[5:], "SESSION_FORGED"),
            (data[:60] + bytes([data[60] ^ 1]) + data[61:], "SESSION_FORGED"),
            (data[:-1] + bytes([data[-1] ^ 1]), "QUESTION_FORGED"),
            (data[:-300], "QUESTION_FORGED"),
            (b"\x02", "QUESTION_FORGED"),
            (pack_question(bytes(16), 1, bytes(300)), "SESSION_UNKNOWN"),
        ):
            assert await worker.refused_in_clear(wrong) == reason
        # None of it has opened the session in its user's place.
        assert len(await worker.opened(session, opening, *worker.send(data))) == 1
        question = session.question(serving.question(ROW))
        forged = question.data[:-1] + bytes([question.data[-1] ^ 1])
        assert await worker.refused_in_clear(forged) == "QUESTION_FORGED"
        assert len(await worker.opened(session, question, *worker.send(question.data))) == 1

    play(story)


def test_replayed_and_reordered_questions_are_refused(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        session = await worker.session()
        asked = [session.question(serving.question(ROW)) for _ in range(4)]
        for n in (0, 1, 3):
            assert len(await worker.opened(session, asked[n], *worker.send(asked[n].data))) == 1
        for question in asked:
            assert await worker.refused_in_clear(question.data) == "QUESTION_REPLAYED"
        assert len(await worker.ask(session, ROW)) == 1

    play(story)


def test_an_answer_opens_for_its_own_question_alone(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        session, other = await worker.session(), await worker.session()
        asked = [session.question(serving.question(ROW)) for _ in range(2)]
        elsewhere = other.question(serving.question(ROW))
        ids = worker.send(*(question.data for question in asked), elsewhere.data)
        answers = [(await worker.answer(id_)).data for id_ in ids]
        for question, data in ((asked[0], answers[1]), (asked[0], answers[2])):
            with pytest.raises(Exception, match="other end") as error:
                session.answer(question, data)
            assert getattr(error.value, "reason", "") == "ANSWER_FORGED"
        assert len(serving.answered(session.answer(asked[1], answers[1]))) == 1

    play(story)


def test_what_says_something_of_a_question_comes_sealed(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        session = await worker.session()
        floats = np.zeros((1, 2), "<f4")
        other = pack([Tensor("ids", "float32", (1, 2), memoryview(floats.tobytes()))])
        for content, reason in (
            (b"", "QUESTION_INVALID"),
            (b"\x01canary", "QUESTION_INVALID"),
            (other, "QUESTION_INVALID"),
            (serving.question([[]]), "QUESTION_INVALID"),
            (serving.question([[0]] * 51), "QUESTION_TOO_LARGE"),
            (bytes(MAX_SEALED), "QUESTION_TOO_LARGE"),
            (serving.question([[99]]), "MODEL_FAILED"),
        ):
            refusal = await worker.refused(session, content)
            assert refusal.reason == reason
            assert "canary" not in f"{refusal} {refusal.details}"
        assert len(await worker.ask(session, ROW)) == 1

    play(story)


def test_pieces_are_bounded_and_given_up(play: Any) -> None:
    """A question that is larger than the terms allow is refused by its first piece, in the clear;
    one that its user gives up leaves room."""

    async def story(service: Any) -> None:
        worker = await service.worker()
        session = await worker.session()
        size = 5 * 2**18  # a mebibyte, padded
        for wrong, reason in (
            (size + 2 * MAX_AROUND, "QUESTION_TOO_LARGE"),
            (1, "REQUEST_MALFORMED"),
        ):
            (id_,) = worker.send(bytes(10), size=wrong)
            assert reason_name((await worker.answer(id_)).refusal.reason) == reason
        begun = worker.send(*[bytes(10)] * (MAX_ARRIVING // size + 1), size=size)
        assert reason_name((await worker.answer(begun[-1])).refusal.reason) == "QUEUE_FULL"
        worker.send(cancelled=begun[:1])
        (id_,) = worker.send(bytes(10), size=size)
        assert len(await worker.ask(session, ROW)) == 1
        assert id_ not in worker.host.answers  # it waits for its other pieces

    play(story)


def test_rations_are_drawn_in_tranches_and_have_an_end(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        session = await worker.session()
        refusal = await worker.refused(session, serving.question([[0]] * 11))
        assert (refusal.reason, refusal.details["claim"]) == ("QUESTION_TOO_LARGE", "rows")
        # A question that the model cannot answer was in a batch: it counts.
        assert (await worker.refused(session, serving.question([[99]]))).reason == "MODEL_FAILED"
        for _ in range(24):
            assert len(await worker.ask(session, [[7]])) == 1
        for _ in range(2):
            refusal = await worker.refused(session, serving.question(ROW))
            assert refusal.reason == "ANSWERS_USED_UP"
        drawn = [e["rows"] for e in service.entries("draw")]
        assert sum(drawn) == 25
        assert max(drawn) == 10
        # What is left in all is less than the other's own ration.
        session = await worker.session("hospital")
        for _ in range(15):
            assert len(await worker.ask(session, [[7]])) == 1
        refusal = await worker.refused(session, serving.question(ROW))
        assert refusal.reason == "ANSWERS_USED_UP"
        assert sum(e["rows"] for e in service.entries("draw")) == 40

    play(story, rations=Rations(user=25, total=40, minute=1000, tranche=10))


def test_a_second_worker_gives_nobody_more(play: Any) -> None:
    async def story(service: Any) -> None:
        answered = 0
        for name in ("w", "x"):
            worker = await service.worker(name)
            session = await worker.session()
            try:
                while True:
                    answered += len(await worker.ask(session, [[0]] * 5))
            except Refused as refusal:
                assert refusal.reason == "ANSWERS_USED_UP"
        assert answered == 30

    play(story, rations=Rations(user=30, total=1000, minute=1000, tranche=10))


@pytest.mark.parametrize(
    "change", ["rows", "user_left", "total_left", "signature", "replay", "older"]
)
def test_a_host_that_is_generous_in_the_authoritys_place_is_not_believed(
    play: Any, change: str
) -> None:
    async def story(service: Any) -> None:
        ask, seen = service.host.ask, list[Any]()

        async def relay(kind: Any, message: Any, **options: Any) -> Any:
            reply = await ask(kind, message, **options)
            if kind == enclaves_pb2.KIND_DRAW:
                drawn = enclaves_pb2.Drawn.FromString(reply)
                seen.append(drawn)
                if change == "replay":
                    return seen[0]
                if change == "older":
                    return seen[min(len(seen), 2) - 1]
                if change == "signature":
                    drawn.signature = drawn.signature[::-1]
                else:
                    setattr(drawn, change, getattr(drawn, change) + 1)
                return drawn
            return reply

        service.host.ask = relay
        worker = await service.worker()
        session = await worker.session()
        if change == "replay":
            assert len(await worker.ask(session, [[0]] * 8)) == 8
        if change == "older":
            # Of 8 rows, as many as the third draw asks for.
            for _ in range(2):
                assert len(await worker.ask(session, [[0]] * 8)) == 8
        refusal = await worker.refused(session, serving.question([[0]] * 8))
        assert (refusal.reason, refusal.details["claim"]) == ("SIGNATURE_INVALID", "drawn")

    play(story, rations=Rations(user=100, total=100, minute=1000, tranche=10))


def test_a_host_that_asks_for_more_than_the_worker_did_is_not_obeyed(play: Any) -> None:
    """The authority would grant a whole tranche to a worker that holds half of one."""

    async def story(service: Any) -> None:
        ask, seen = service.host.ask, list[int]()

        async def relay(kind: Any, message: Any, **options: Any) -> Any:
            if kind == enclaves_pb2.KIND_DRAW:
                request = enclaves_pb2.DrawRequest.FromString(message)
                seen.append(request.rows)
                request.rows = 10
                message = request.SerializeToString()
            return await ask(kind, message, **options)

        service.host.ask = relay
        worker = await service.worker()
        session = await worker.session()
        assert len(await worker.ask(session, [[0]] * 6)) == 6
        refusal = await worker.refused(session, serving.question([[0]] * 9))
        assert (refusal.reason, refusal.details["claim"]) == ("SIGNATURE_INVALID", "drawn")
        assert seen == [10, 6]

    play(story, rations=Rations(user=100, total=100, minute=1000, tranche=10))


def test_a_minute_has_its_own_bound(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        session = await worker.session()
        for _ in range(5):
            assert len(await worker.ask(session, [[0]])) == 1
        refusal = await worker.refused(session, serving.question([[0]]))
        assert refusal.reason == "RATE_EXCEEDED"
        assert 11_000 < int(refusal.details["retry_ms"]) <= 12_000
        # Another user's minute is another.
        assert len(await worker.ask(await worker.session("hospital"), [[0]])) == 1

    play(story, rations=Rations(user=1000, total=1000, minute=5, tranche=100))


def test_sessions_end_with_the_offer_before_the_last(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        first = await worker.session()
        await worker.ask(first, ROW)
        unused = await worker.session()
        worker.renewing.renewed()
        second = await worker.session(number=1)
        for session in (first, second):
            assert len(await worker.ask(session, ROW)) == 1
        worker.renewing.renewed()
        offers = [(await worker.offer(number)).document for number in range(3)]
        assert [offer.number for offer in offers] == [0, 1, 2]
        assert len({offer.key for offer in offers}) == 3
        assert all(offer.lease == worker.lease and offer.seconds == 60 for offer in offers)
        assert [field.name for field in (*offers[0].inputs, *offers[0].answers)] == ["ids", "mean"]
        for session in (first, unused):
            data = session.question(serving.question(ROW)).data
            assert await worker.refused_in_clear(data) == "SESSION_UNKNOWN"
        assert len(await worker.ask(second, ROW)) == 1

    play(story)


def test_a_user_with_many_sessions_loses_the_idlest(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        others = await worker.session("hospital")
        await worker.ask(others, ROW)
        sessions = [await worker.session() for _ in range(66)]
        await worker.ask(sessions[0], ROW)
        for session in sessions[1:64]:
            await worker.ask(session, ROW)
        for session in (sessions[0], *sessions[64:]):
            assert len(await worker.ask(session, ROW)) == 1
        for session in sessions[1:3]:
            data = session.question(serving.question(ROW)).data
            assert await worker.refused_in_clear(data) == "SESSION_UNKNOWN"
        for worked, session in ((worker, sessions[0]), (worker, others)):
            assert len(await worked.ask(session, ROW)) == 1

    play(story)


class Slow(Model):
    """Waits for a test before it runs, and gives what it should not for word 3."""

    def hold(self) -> None:
        import threading

        self.gate, self.began = threading.Event(), threading.Event()

    def run(self, feeds: Any) -> Any:
        self.began.set()
        assert self.gate.wait(20)
        answers = super().run(feeds)
        if (feeds["ids"] == 3).any():
            return [answer.astype(np.float64) for answer in answers]
        return answers


def slow() -> Slow:
    model = load_model(bytearray(serving.words()), {"mean": Raw("raw")})
    model.__class__ = Slow
    assert isinstance(model, Slow)
    model.hold()
    return model


def test_what_comes_too_late_for_a_batch_is_dropped_and_nothing_is_charged(play: Any) -> None:
    async def story(service: Any) -> None:
        model = slow()
        worker = await service.worker(model=model)
        session = await worker.session()
        first, late, cancelled = (session.question(serving.question([[n]])) for n in range(3))
        (id_,) = worker.send(first.data)
        await asyncio.to_thread(model.began.wait)
        (late_id,) = worker.send(late.data, wait_ms=1)
        (gone,) = worker.send(cancelled.data)
        worker.send(cancelled=[gone])
        # Frames keep their order: once this has been taken in, so has all before it.
        assert await worker.refused_in_clear(b"") == "QUESTION_FORGED"
        await asyncio.sleep(0.005)  # longer than the late one waits
        model.gate.set()
        await worker.opened(session, first, id_)
        assert reason_name((await worker.answer(late_id)).refusal.reason) == "DEADLINE_PASSED"
        for _ in range(2):
            assert len(await worker.ask(session, ROW)) == 1
        assert gone not in service.host.answers
        refusal = await worker.refused(session, serving.question(ROW))
        assert refusal.reason == "ANSWERS_USED_UP"

    play(story, rations=Rations(user=3, total=3, minute=100, tranche=3))


def test_a_fault_of_ours_in_one_question_is_that_questions_answer(play: Any) -> None:
    async def story(service: Any) -> None:
        model = slow()
        model.gate.set()
        worker = await service.worker(model=model)
        session = await worker.session()
        refusal = await worker.refused(session, serving.question([[3]]))
        assert refusal.reason == "INTERNAL"
        assert len(await worker.ask(session, ROW)) == 1

    play(story)
