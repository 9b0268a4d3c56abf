# SPDX-License-Identifier: Apache-2.0
"""Questions of many users: run together without any of them telling on another, by turns, within
bounds."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from placet.enclave.worker.inference import batching, waiting
from placet.enclave.worker.inference.batching import LATER, Admit, Batcher, Delivered
from placet.enclave.worker.inference.questions import Question
from placet.enclave.worker.inference.waiting import (
    MAX_CONTENT_OF_USER,
    MAX_OF_USER,
    MAX_QUESTIONS,
)
from placet.governance.documents.serving import Raw
from placet.refusals import QuestionInvalid, QuestionTooLarge, QueueFull, Refusal
from tests.support import nets

Array = NDArray[Any]


class Desk:
    """A batcher, and what it delivers: the answer or the reason of the refusal, by question; the
    users of each delivery."""

    def __init__(self, model: Any, admit: Admit | None = None, **terms: Any) -> None:
        self.answers: dict[Question, dict[str, Array] | str] = {}
        self.batches: list[list[str]] = []
        self._came = asyncio.Event()
        self.batcher = Batcher(
            model, nets.terms(**terms), admit or (lambda question: None), self._deliver
        )

    def ask(self, user: str, until: float = np.inf, **arrays: Array) -> Question:
        question = Question(user, nets.packed(**arrays), until)
        self.batcher.ask(question)
        return question

    async def answer(self, question: Question) -> Any:
        async with asyncio.timeout(20):
            while question not in self.answers:
                self._came.clear()
                await self._came.wait()
        return self.answers[question]

    def _deliver(self, delivered: Sequence[Delivered]) -> None:
        self.batches.append([question.user for question, _ in delivered])
        for question, answer in delivered:
            assert question not in self.answers
            if isinstance(answer, Refusal):
                self.answers[question] = answer.reason
            else:
                assert isinstance(answer, tuple)
                self.answers[question] = nets.unpacked(answer)
        self._came.set()


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.fixture(scope="module")
def mlp() -> Any:
    return nets.load(nets.mlp())


@pytest.fixture(scope="module")
def words() -> Any:
    return nets.load(nets.words())


def _inputs(*rows: int) -> list[Array]:
    random = np.random.default_rng(7)
    return [random.standard_normal((count, nets.FEATURES)).astype(np.float32) for count in rows]


def test_answers_are_the_same_alone_and_in_company(mlp: Any) -> None:
    """Within what the runtime's own order of adding makes; the batch was one."""

    async def story() -> None:
        desk = Desk(mlp)
        inputs = _inputs(1, 3, 2, 1, 5)
        alone = [await desk.answer(desk.ask("ada", x=x)) for x in inputs]
        desk.batches.clear()
        questions = [desk.ask(f"user{place}", x=x) for place, x in enumerate(inputs)]
        together = [await desk.answer(question) for question in questions]
        assert [len(users) for users in desk.batches] == [5]
        for x, one, other in zip(inputs, alone, together, strict=True):
            np.testing.assert_allclose(one["p"], other["p"], rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(one["label"], other["label"])
            np.testing.assert_allclose(other["p"], nets.forward(x), atol=1e-5)

    play(story)


def test_a_question_that_fails_fails_alone(words: Any) -> None:
    """The others in its batch get what they would have got without it, and the one who asked it a
    fixed text."""

    async def story() -> None:
        desk = Desk(words)
        good = [np.full((2, 3), word) for word in range(4)]
        alone = [await desk.answer(desk.ask("ada", ids=ids)) for ids in good]
        desk.batches.clear()
        questions = [desk.ask(f"user{place}", ids=ids) for place, ids in enumerate(good)]
        guilty = desk.ask("eve", ids=np.full((2, 3), 10**6))
        assert await desk.answer(guilty) == "MODEL_FAILED"
        assert [len(users) for users in desk.batches] == [5]
        for question, expected in zip(questions, alone, strict=True):
            np.testing.assert_allclose((await desk.answer(question))["mean"], expected["mean"])
        # Until a question of hers succeeds, hers are run apart from the others'.
        again = [desk.ask("user0", ids=good[0]), desk.ask("eve", ids=good[1])]
        for question in again:
            await desk.answer(question)
        assert desk.batches[1:] == [["user0"], ["eve"]]
        again = [desk.ask("user0", ids=good[0]), desk.ask("eve", ids=good[1])]
        for question in again:
            await desk.answer(question)
        assert desk.batches[3:] == [["user0", "eve"]]

    play(story)


def test_a_question_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is there for others again, who do not share a batch with its author any more."""
    monkeypatch.setattr(batching, "LONGEST_RUN", 0.5)
    bools, whole = onnx.TensorProto.BOOL, onnx.TensorProto.INT64
    value, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    body = onnx.helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Neg", ["v"], ["w"])],
        "body",
        [value("i", whole, []), value("c", bools, []), value("v", whole, None)],
        [value("d", bools, []), value("w", whole, None)],
    )
    loop = [
        node("ReduceMax", ["n"], ["times"], keepdims=0),
        node("Loop", ["times", "", "n"], ["y"], body=body),
    ]
    rows = {"n": (whole, ["rows"])}
    model = nets.load(nets.build(loop, rows, {"y": (whole, ["rows"])}))

    async def story() -> None:
        desk = Desk(model)
        endless = desk.ask("eve", n=np.array([2**62], np.int64))
        assert await desk.answer(endless) == "MODEL_FAILED"
        short = [desk.ask(user, n=np.array([2], np.int64)) for user in ("ada", "bob")]
        again = desk.ask("eve", n=np.array([2**62], np.int64))
        for question in short:
            np.testing.assert_array_equal((await desk.answer(question))["y"], [2])
        assert await desk.answer(again) == "MODEL_FAILED"

    play(story)


def test_nothing_is_printed_when_the_model_fails(
    words: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        desk = Desk(words)
        assert await desk.answer(desk.ask("eve", ids=np.full((1, 1), 31337))) == "MODEL_FAILED"

    play(story)
    assert capfd.readouterr() == ("", "")


def test_what_was_asked_and_answered_is_wiped(mlp: Any) -> None:
    async def story() -> None:
        kept: list[memoryview] = []
        answered = asyncio.Event()

        def deliver(delivered: Sequence[Delivered]) -> None:
            for _, answer in delivered:
                assert isinstance(answer, tuple)
                kept.extend(tensor.data for tensor in answer)
            assert any(kept[0])
            answered.set()

        batcher = Batcher(mlp, nets.terms(), lambda question: None, deliver)
        (x,) = _inputs(2)
        question, refused = Question("ada", nets.packed(x=x)), Question("ada", nets.packed(y=x))
        cancelled = Question("ada", nets.packed(x=x))
        batcher.ask(question)
        batcher.ask(cancelled)
        batcher.cancel(cancelled)
        with pytest.raises(QuestionInvalid):
            batcher.ask(refused)
        await answered.wait()
        await asyncio.sleep(0)  # `deliver` returns
        assert not any(question.content) and not any(refused.content)
        assert not any(cancelled.content)
        assert len(kept) == 2 and not any(map(any, kept))

    play(story)


def test_a_flood_delays_others_by_a_batch(words: Any) -> None:
    """Ada asks first and most; Ben, who comes last, is in the next batch all the same."""

    async def story() -> None:
        desk = Desk(words, batch_rows=8)
        ids = np.zeros((4, 2), np.int64)
        flood = [desk.ask("ada", ids=ids) for _ in range(50)]
        await desk.answer(flood[0])
        started = len(desk.batches)
        ben = desk.ask("ben", ids=ids)
        await desk.answer(ben)
        # What was under way as he asked, and his own.
        assert len(desk.batches) - started <= 2 and "ben" in desk.batches[-1]
        await desk.answer(flood[-1])

    play(story)


def test_large_questions_get_their_turn(words: Any) -> None:
    """One that fits into no batch with another is not passed over for ever."""

    async def story() -> None:
        desk = Desk(words, batch_rows=8)
        small = [
            desk.ask(user, ids=np.zeros((4, 2), np.int64)) for user in "abcd" for _ in range(9)
        ]
        large = desk.ask("large", ids=np.zeros((20, 2), np.int64))
        answer = await desk.answer(large)
        assert answer["mean"].shape[0] == 20 and desk.batches[-1] == ["large"]
        assert len(desk.batches) <= 4
        for question in small:
            await desk.answer(question)

    play(story)


def test_other_shapes_are_run_apart(words: Any) -> None:
    async def story() -> None:
        desk = Desk(words)
        short, long = np.ones((1, 2), np.int64), np.ones((1, 5), np.int64)
        questions = [
            desk.ask("ada", ids=short),
            desk.ask("ben", ids=long),
            desk.ask("cleo", ids=short),
        ]
        for question in questions:
            await desk.answer(question)
        assert desk.batches == [["ada", "cleo"], ["ben"]]

    play(story)


def test_users_are_kept_apart_where_the_terms_say_so(words: Any) -> None:
    async def story() -> None:
        desk = Desk(words, batch="apart")
        ids = np.ones((1, 2), np.int64)
        questions = [desk.ask(user, ids=ids) for user in ("ada", "ben", "ada", "ben")]
        for question in questions:
            await desk.answer(question)
        assert desk.batches == [["ada", "ada"], ["ben", "ben"]]

    play(story)


def test_a_model_whose_rows_depend_on_each_other_is_asked_one_by_one() -> None:
    """Each gets what they get alone, to the bit."""

    async def story() -> None:
        nodes = [
            onnx.helper.make_node("ReduceMean", ["x"], ["m"], axes=[0]),
            onnx.helper.make_node("Sub", ["x", "m"], ["y"]),
        ]
        port: dict[str, Any] = {"x": (onnx.TensorProto.FLOAT, ["n", nets.FEATURES])}
        model = nets.load(nets.build(nodes, port, {"y": port["x"]}), {"y": Raw("raw")})
        desk = Desk(model)
        inputs = _inputs(3, 3)
        questions = [desk.ask(user, x=x) for user, x in zip("ab", inputs, strict=True)]
        for question, x in zip(questions, inputs, strict=True):
            (expected,) = model.run({"x": x})
            np.testing.assert_array_equal((await desk.answer(question))["y"], expected)
        assert desk.batches == [["a"], ["b"]]

    play(story)


def test_a_model_that_drops_rows_gives_nobody_the_rows_of_another() -> None:
    """Probes do not find that it drops them, because it keeps small values: the batch is run apart
    then."""

    async def story() -> None:
        node, element = onnx.helper.make_node, onnx.TensorProto
        most = onnx.helper.make_tensor("v", element.FLOAT, [], [1e6])
        nodes = [
            node("Constant", [], ["most"], value=most),
            node("ReduceMax", ["x"], ["largest"], axes=[1], keepdims=0),
            node("Less", ["largest", "most"], ["kept"]),
            node("Compress", ["x", "kept"], ["y"], axis=0),
        ]
        port: dict[str, Any] = {"x": (element.FLOAT, ["n", 2])}
        model = nets.load(nets.build(nodes, port, {"y": (element.FLOAT, ["m", 2])}))
        assert model.batchable
        desk = Desk(model)
        inputs = [np.full((2, 2), value, np.float32) for value in (1.0, 2e6, 3.0)]
        questions = [desk.ask(f"user{place}", x=x) for place, x in enumerate(inputs)]
        answers = [(await desk.answer(question))["y"] for question in questions]
        assert len(desk.batches) == 1
        for answer, expected in zip(answers, (inputs[0], inputs[1][:0], inputs[2]), strict=True):
            np.testing.assert_array_equal(answer, expected)

    play(story)


def test_rows_are_charged_as_they_enter_a_batch(mlp: Any) -> None:
    """What is refused then is delivered; a user of whom nothing is known yet waits without delaying
    others."""

    async def story() -> None:
        charged: list[tuple[str, int]] = []
        known = False

        def admit(question: Question) -> Any:
            if question.user == "ben" and not known:
                return LATER
            if question.user == "eve":
                return QueueFull("No.", claim="test")
            charged.append((question.user, question.rows))
            return None

        desk = Desk(mlp, admit)
        x, y = _inputs(2, 3)
        ben, eve, ada = desk.ask("ben", x=y), desk.ask("eve", x=y), desk.ask("ada", x=x)
        assert await desk.answer(eve) == "QUEUE_FULL"
        await desk.answer(ada)
        assert charged == [("ada", 2)] and ben not in desk.answers
        known = True
        desk.batcher.wake("ben")
        await desk.answer(ben)
        assert charged == [("ada", 2), ("ben", 3)]

    play(story)


def test_late_and_cancelled_questions_are_not_run(mlp: Any) -> None:
    async def story() -> None:
        charged: list[str] = []

        def admit(question: Question) -> None:
            charged.append(question.user)

        desk = Desk(mlp, admit)
        (x,) = _inputs(1)
        past = asyncio.get_running_loop().time() - 1
        late, gone = desk.ask("late", past, x=x), desk.ask("gone", x=x)
        desk.batcher.cancel(gone)
        assert await desk.answer(late) == "DEADLINE_PASSED"
        ada = desk.ask("ada", x=x)
        away = desk.ask("away", x=x)
        await asyncio.sleep(0)  # both are in a batch now
        desk.batcher.cancel(away)
        await desk.answer(ada)
        assert charged == ["ada", "away"]
        assert gone not in desk.answers and away not in desk.answers

    play(story)


def test_waiting_is_bounded_for_each_user(mlp: Any) -> None:
    """One user's questions take no room from another's, and whoever is refused knows when to come
    back."""

    async def story() -> None:
        desk = Desk(mlp)
        (x,) = _inputs(1)
        flood = [desk.ask("ada", x=x) for _ in range(MAX_OF_USER)]
        with pytest.raises(QueueFull) as refused:
            desk.ask("ada", x=x)
        assert int(refused.value.details["retry_ms"]) > 0
        await desk.answer(desk.ask("ben", x=x))
        await desk.answer(flood[-1])
        desk.ask("ada", x=x)

    play(story)


def test_waiting_is_bounded_in_all(mlp: Any) -> None:
    async def story() -> None:
        desk = Desk(mlp)
        (x,) = _inputs(1)
        users = [f"user{place % 16}" for place in range(MAX_QUESTIONS)]
        questions = [desk.ask(user, x=x) for user in users]
        with pytest.raises(QueueFull):
            desk.ask("ada", x=x)
        for question in questions:
            await desk.answer(question)
        await desk.answer(desk.ask("ada", x=x))

    play(story)


def test_waiting_is_bounded_in_bytes(words: Any) -> None:
    async def story() -> None:
        desk = Desk(words)
        ids = np.zeros((1, 120_000), np.int64)
        large = [desk.ask("ada", ids=ids) for _ in range(MAX_CONTENT_OF_USER // (ids.nbytes + 100))]
        with pytest.raises(QueueFull):
            desk.ask("ada", ids=ids)
        await desk.answer(desk.ask("ben", ids=ids[:, :1]))
        await desk.answer(large[-1])

    play(story)


def test_the_largest_question_of_the_terms_may_wait(
    mlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a user's and two of all, whatever else is the bound."""
    monkeypatch.setattr(waiting, "MAX_CONTENT", 100)
    monkeypatch.setattr(waiting, "MAX_CONTENT_OF_USER", 100)

    async def story() -> None:
        (x,) = _inputs(20)
        size = len(nets.packed(x=x))
        desk = Desk(mlp, largest_question=size)
        taken = [desk.ask(user, x=x) for user in ("ada", "ben")]
        for user in ("ada", "cy"):
            with pytest.raises(QueueFull):
                desk.ask(user, x=x)
        for question in taken:
            assert isinstance(await desk.answer(question), dict)

    play(story)


def test_a_batch_is_bounded_in_bytes(mlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (x,) = _inputs(4)
    monkeypatch.setattr(batching, "MAX_BATCH", 2 * len(nets.packed(x=x)))

    async def story() -> None:
        desk = Desk(mlp)
        for question in [desk.ask(user, x=x) for user in ("ada", "ben", "cy", "dee")]:
            await desk.answer(question)
        assert desk.batches == [["ada", "ben"], ["cy", "dee"]]

    play(story)


def test_nothing_is_taken_or_delivered_after_the_close(mlp: Any) -> None:
    async def story() -> None:
        desk = Desk(mlp, batch_rows=1)
        (x,) = _inputs(1)
        questions = [desk.ask("ada", x=x) for _ in range(3)]
        await asyncio.sleep(0)  # the first is under way
        await desk.batcher.close()
        await desk.batcher.close()
        with pytest.raises(QueueFull):
            desk.ask("ada", x=x)
        assert not desk.answers and not any(map(any, (question.content for question in questions)))

    play(story)


def _nan() -> Array:
    x = np.zeros((2, nets.FEATURES), np.float32)
    x[1, 3] = np.nan
    return x


INVALID: dict[str, tuple[Callable[[], dict[str, Array]], type[Exception], str]] = {
    "other name": (
        lambda: {"y": np.zeros((1, nets.FEATURES), np.float32)},
        QuestionInvalid,
        "names",
    ),
    "one too many": (
        lambda: {"x": np.zeros((1, nets.FEATURES), np.float32), "y": np.zeros(1)},
        QuestionInvalid,
        "names",
    ),
    "other dtype": (lambda: {"x": np.zeros((1, nets.FEATURES))}, QuestionInvalid, "x"),
    "other rank": (lambda: {"x": np.zeros(nets.FEATURES, np.float32)}, QuestionInvalid, "x"),
    "other shape": (lambda: {"x": np.zeros((1, 3), np.float32)}, QuestionInvalid, "x"),
    "no rows": (lambda: {"x": np.zeros((0, nets.FEATURES), np.float32)}, QuestionInvalid, "x"),
    "not finite": (lambda: {"x": _nan()}, QuestionInvalid, "x"),
    "too many rows": (
        lambda: {"x": np.zeros((101, nets.FEATURES), np.float32)},
        QuestionTooLarge,
        "rows",
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_questions_that_the_model_does_not_take(mlp: Any, name: str) -> None:
    """Refused at once, by what is wrong, and charged to nobody."""
    arrays, kind, claim = INVALID[name]

    async def story() -> None:
        charged: list[Question] = []
        desk = Desk(mlp, charged.append)
        with pytest.raises(kind) as refused:
            desk.batcher.ask(Question("ada", nets.packed(**arrays())))
        assert refused.value.details["claim"] == claim  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        assert not charged

    play(story)


def test_bytes_that_are_no_tensors(mlp: Any) -> None:
    async def story() -> None:
        desk = Desk(mlp)
        with pytest.raises(QuestionInvalid):
            desk.batcher.ask(Question("ada", bytearray(b"\x01\x00")))

    play(story)


def test_what_is_not_finite_is_taken_where_the_terms_say_so(mlp: Any) -> None:
    """It stays in its own rows."""

    async def story() -> None:
        desk = Desk(mlp, not_finite="accept")
        answer = (await desk.answer(desk.ask("ada", x=_nan())))["p"]
        np.testing.assert_allclose(answer[0], np.full(nets.CLASSES, 1 / nets.CLASSES))
        assert np.isnan(answer[1]).all()

    play(story)


def test_unequal_rows_and_bytes_that_are_no_booleans() -> None:
    node, element = onnx.helper.make_node, onnx.TensorProto
    model = nets.load(
        nets.build(
            [
                node("Where", ["mask", "x", "zero"], ["y"]),
            ],
            {
                "mask": (element.BOOL, ["n", 2]),
                "x": (element.FLOAT, ["n", 2]),
                "zero": (element.FLOAT, ["n", 2]),
            },
            {"y": (element.FLOAT, ["n", 2])},
        )
    )

    async def story() -> None:
        desk = Desk(model)
        x = np.ones((2, 2), np.float32)
        mask = np.array([[True, False], [False, True]])
        answer = await desk.answer(desk.ask("ada", mask=mask, x=x, zero=x * 0))
        np.testing.assert_array_equal(answer["y"], mask.astype(np.float32))
        with pytest.raises(QuestionInvalid) as rows:
            desk.ask("ada", mask=mask[:1], x=x, zero=x * 0)
        other = nets.packed(mask=mask, x=x, zero=x * 0)
        other[other.index(b"\x01\x00\x00\x01")] = 2
        with pytest.raises(QuestionInvalid) as booleans:
            desk.batcher.ask(Question("ada", other))
        assert rows.value.details["claim"] == "rows"
        assert booleans.value.details["claim"] == "mask"

    play(story)
