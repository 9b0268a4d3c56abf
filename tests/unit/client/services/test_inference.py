# SPDX-License-Identifier: Apache-2.0
"""Asking a served model: sessions, many rows, what is asked again, and what is refused at home."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from placet.client import (
    AnswerMalformed,
    AsyncClient,
    CallTimedOut,
    Client,
    Home,
    Keys,
    ServedModel,
    Token,
    UsageRefused,
    seal_file,
)
from placet.enclave.worker.inference.offers import Offers
from placet.governance.documents.serving import Bearers, Members, Raw
from placet.refusals import AnswerForged, QuestionInvalid, Refused, UserNotAllowed
from tests.support.inside.questions import Questions, brief, refused
from tests.support.inside.relay import Call
from tests.support.nets import FLOAT, build, two_ports

WEIGHTS = np.arange(12, dtype="f4").reshape(
    4, 3
)  # whole numbers: exact in whatever order they are added
ROWS = np.arange(40, dtype="f4").reshape(10, 4)

Start = Callable[..., str]
Open = Callable[..., ServedModel]


@pytest.fixture
def model(
    founded: Client, serve: Start, people: dict[str, Keys], questions: Questions
) -> ServedModel:
    """A model that is served, for the analyst."""
    return founded.services.open(serve(), user=people["analyst"], patience=5)


def test_array_in_array_out(
    home: Home, serve: Start, people: dict[str, Keys], questions: Questions
) -> None:
    service = serve()
    with Client.at_home(home, keys=people["analyst"]) as client:
        client.runs.list(1)  # logs in, which lasts
    with (
        Client.at_home(home, simulated=True) as client,
        client.services.open(service, user=people["analyst"]) as model,
    ):
        assert model.card.title == "Triage" and model.worker.simulated
        assert [(f.name, f.dtype, f.shape) for f in model.inputs] == [("x", "float32", (0, 4))]
        for start in range(3):
            one = ROWS[start : start + 1]
            answer = model.predict(one)
            assert type(answer) is np.ndarray and answer.dtype == np.float32
            assert answer.tolist() == (one @ WEIGHTS).tolist()
    # One description, one session, its counters in their order, each question by itself.
    assert (questions.described, questions.alone) == (1, 3)
    assert questions.asked == [("analyst", n, 1) for n in range(3)]


def test_many_rows_go_as_questions_of_what_is_allowed(
    model: ServedModel, questions: Questions
) -> None:
    told: list[tuple[int, int]] = []
    rows = np.arange(4000, dtype="f4").reshape(1000, 4)
    answer = model.predict(rows, progress=lambda done, all: told.append((done, all)))
    assert np.array_equal(answer, rows @ WEIGHTS)
    asked = questions.asked
    assert [n for _, _, n in asked] == [4] * 250
    assert [counter for _, counter, _ in asked] == list(range(250))
    assert told[-1] == (1000, 1000) and len(told) == 250
    # Many in flight, and not more than 32; what is queued leaves in one message.
    sizes = [asks for asks, _ in questions.messages]
    assert 1 < max(sizes) <= 32 and len(sizes) < 250
    assert np.array_equal(model.predict(rows[:1]), rows[:1] @ WEIGHTS)
    assert questions.alone == 1
    assert questions.asked[-1][:2] == ("analyst", 0)  # a session of its own


def test_several_inputs_and_outputs_are_dicts(
    founded: Client, serve: Start, people: dict[str, Keys], tmp_path: Path
) -> None:
    (tmp_path / "two.onnx").write_bytes(two_ports())
    owner, sealed = people["owner"].hpke.public, tmp_path / "two.sealed"
    made = seal_file(tmp_path / "two.onnx", sealed, owner, kind="model", labels=())
    service = serve((made, sealed), answers={"sum": Raw("raw"), "top": Raw("raw")})
    with founded.services.open(service, user=people["owner"]) as model:
        ids = np.arange(30).reshape(6, 5) % 7
        answer = model.predict({"ids": ids, "scale": np.full(6, 0.5, "f2")})
        assert answer.keys() == {"sum", "top"}
        assert answer["sum"].tolist() == (ids.sum(1) / 2).tolist()
        assert answer["top"].tolist() == ids.argmax(1).tolist()
        with pytest.raises(QuestionInvalid):
            model.predict({"ids": ids, "scale": np.full(5, 0.5, "f2")})


def built(nodes: Any, inputs: Any, outputs: Any) -> bytes:
    found: bytes = build(nodes, inputs, outputs).SerializeToString()
    return found


NODE = helper.make_node
MEAN = [NODE("ReduceMean", ["x"], ["m"], axes=[0]), NODE("Sub", ["x", "m"], ["y"])]
TOTAL = [NODE("ReduceSum", ["x"], ["y"], keepdims=0)]
X, Y = {"x": (FLOAT, ["n", 4])}, {"y": (FLOAT, ["n", 4])}
WHOLE: dict[str, Any] = {
    "rows that depend on one another": (MEAN, X, Y, ["x"]),
    "an output without rows": (
        [NODE("ReduceSum", ["x"], ["y"], keepdims=0)],
        X,
        {"y": (FLOAT, [])},
        ["x"],
    ),
    "a state": ([NODE("Add", ["x", "s"], ["y"])], {**X, "s": (FLOAT, [1, 4])}, Y, ["x", "s"]),
    "a scalar": ([NODE("Add", ["x", "s"], ["y"])], {**X, "s": (FLOAT, [])}, Y, ["x", "s"]),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_cannot_be_cut_is_asked_as_a_whole_or_not_at_all(
    founded: Client, serve: Start, people: dict[str, Keys], questions: Questions, tmp_path: Path,
    case: str,
) -> None:  # fmt: skip
    """Cut into questions, a call had the right shape, and wrong values from the cut on."""
    *graph, names = WHOLE[case]
    (tmp_path / "m.onnx").write_bytes(built(*graph))
    owner, sealed = people["owner"].hpke.public, tmp_path / "m.sealed"
    made = seal_file(tmp_path / "m.onnx", sealed, owner, kind="model", labels=())
    service = serve((made, sealed), answers={"y": Raw("raw")})
    given: dict[str, Any] = {"x": ROWS[:4]}
    if "s" in names:
        given["s"] = np.full(graph[1]["s"][1], 0.5, "f4")
    with founded.services.open(service, user=people["owner"]) as model:
        assert model.rows == "dependent"
        found = model.predict(given)
        if case == "an output without rows":
            assert found == ROWS[:4].sum()
        elif "s" in names:
            assert np.array_equal(found, ROWS[:4] + np.float32(0.5))
        else:
            assert np.array_equal(found, ROWS[:4] - ROWS[:4].mean(0))
        sent = questions.sent
        with pytest.raises(QuestionInvalid, match="as a whole"):
            model.predict({**given, "x": ROWS})
        assert questions.sent == sent


def test_questions_and_answers_larger_than_a_message(
    founded: Client, serve: Start, people: dict[str, Keys], questions: Questions, tmp_path: Path
) -> None:
    """As large as the terms say; larger ones are refused before anything is spent."""
    image: Any = (FLOAT, ["n", 3, "height", "width"])
    (tmp_path / "m.onnx").write_bytes(
        built([NODE("Neg", ["x"], ["y"])], {"x": image}, {"y": image})
    )
    owner, sealed = people["owner"].hpke.public, tmp_path / "m.sealed"
    made = seal_file(tmp_path / "m.onnx", sealed, owner, kind="model", labels=())
    shown: Any = {"answers": {"y": Raw("raw")}}
    wide = serve((made, sealed), **shown, largest_question=4 * 2**20)
    rows = np.random.default_rng(3).standard_normal((5, 3, 320, 320)).astype("f4")
    with founded.services.open(wide, user=people["owner"]) as model:
        assert np.array_equal(model.predict(rows), -rows)
        assert [rows for _, _, rows in questions.asked] == [1] * 5
        assert np.array_equal(model.predict(rows[:1]), -rows[:1])
        largest = np.ones((1, 3, 590, 590), "f4")
        assert np.array_equal(model.predict(largest), -largest)
        sent = questions.sent
        with pytest.raises(QuestionInvalid, match="nothing was spent"):
            model.predict(np.ones((1, 3, 592, 592), "f4"))
        assert questions.sent == sent
    usual = serve((made, sealed), **shown)
    with founded.services.open(usual, user=people["owner"]) as model:
        with pytest.raises(QuestionInvalid, match="1048576 bytes"):
            model.predict(rows)
        assert np.array_equal(model.predict(rows[:, :, ::2]), -rows[:, :, ::2])


def test_a_fixed_number_of_rows_is_asked_so_many_at_a_time(
    founded: Client, serve: Start, people: dict[str, Keys], questions: Questions, tmp_path: Path
) -> None:
    fixed: Any = (FLOAT, [2, 4])
    (tmp_path / "m.onnx").write_bytes(built(MEAN, {"x": fixed}, {"y": fixed}))
    owner, sealed = people["owner"].hpke.public, tmp_path / "m.sealed"
    made = seal_file(tmp_path / "m.onnx", sealed, owner, kind="model", labels=())
    service = serve((made, sealed), answers={"y": Raw("raw")})
    with founded.services.open(service, user=people["owner"]) as model:
        assert model.rows == "fixed"
        pairs = ROWS.reshape(5, 2, 4)
        wanted = (pairs - pairs.mean(1, keepdims=True)).reshape(10, 4)
        assert np.array_equal(model.predict(ROWS), wanted)
        assert [rows for _, _, rows in questions.asked] == [2] * 5
        with pytest.raises(QuestionInvalid, match="multiple of 2"):
            model.predict(ROWS[:3])


WRONG: list[Any] = [
    ROWS.astype("f8"),
    ROWS[:, :3],
    ROWS[0],
    ROWS[:0],
    ROWS.tolist(),
    np.where(ROWS > 3, np.float32("nan"), ROWS),
    {"y": ROWS},
    {"x": ROWS, "y": ROWS},
]


def test_what_the_model_does_not_take_is_not_sent(model: ServedModel, questions: Questions) -> None:
    for rows in WRONG:
        with pytest.raises(QuestionInvalid):
            model.predict(rows)
    assert not questions.sent


def test_not_finite_may_be_allowed(founded: Client, serve: Start, people: dict[str, Keys]) -> None:
    service = serve(not_finite="accept")
    with founded.services.open(service, user=people["analyst"]) as model:
        assert np.isnan(model.predict(np.full((1, 4), np.nan, "f4"))).all()


def test_who_may_not_ask_is_refused_before_anything_is_sent(
    founded: Client, serve: Start, people: dict[str, Keys], questions: Questions
) -> None:
    roster = serve()
    for user in (people["alice"], Keys.generate("analyst"), Token.generate()):
        with pytest.raises(UserNotAllowed):
            founded.services.open(roster, user=user)
    assert not questions.sent


def test_members_of_an_organisation_may_ask(
    founded: Client, serve: Start, people: dict[str, Keys]
) -> None:
    service = serve(users=Members("organisations", ("north",)))
    with founded.services.open(service, user=people["alice"]) as model:
        assert np.array_equal(model.predict(ROWS), ROWS @ WEIGHTS)
    with pytest.raises(UserNotAllowed):
        founded.services.open(service, user=people["bob"])


def test_a_token_asks_under_its_name(
    founded: Client, serve: Start, people: dict[str, Keys], questions: Questions
) -> None:
    token, other = Token.generate(), Token.generate()
    users = Bearers("tokens", {"ward-3": token.digest, "ward-4": other.digest})
    service = serve(users=users)
    with founded.services.open(service, user=token) as model:
        model.predict(ROWS[:2])
    assert questions.asked == [("ward-3", 0, 2)] and questions.alone == 1
    with pytest.raises(UserNotAllowed):
        founded.services.open(service, user=people["analyst"])


@pytest.mark.parametrize("rows", [1, 10])
def test_a_forgotten_session_is_opened_under_the_newest_offer(
    model: ServedModel, host: Any, questions: Questions, rows: int
) -> None:
    model.predict(ROWS[:rows])
    for _ in range(2):
        # Sessions are forgotten, and the key of the offer that the client has is gone.
        host.workers[-1].renew()
    assert np.array_equal(model.predict(ROWS[:rows]), ROWS[:rows] @ WEIGHTS)
    assert model.worker.offer.document.number == 2 and questions.described == 2


def test_sessions_that_the_worker_does_not_know_are_opened_once_more(
    model: ServedModel, host: Any, questions: Questions
) -> None:
    for rows in (ROWS[:1], ROWS):
        model.predict(rows)
        host.workers[-1].call(host.workers[-1].serving._sessions._users.clear)
        assert np.array_equal(model.predict(rows), rows @ WEIGHTS)
    questions.refusals = ["SESSION_UNKNOWN"] * 2
    with pytest.raises(Refused) as error:
        model.predict(ROWS[:1])
    assert error.value.reason == "SESSION_UNKNOWN" and not questions.refusals


def test_an_old_offer_is_renewed_and_the_verdict_kept(
    founded: Client, serve: Start, people: dict[str, Keys], host: Any, questions: Questions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Offers, "renew", brief(Offers.renew))
    with founded.services.open(serve(), user=people["analyst"]) as model:
        first = model.worker
        host.workers[-1].renew()
        assert questions.told is not None
        questions.forged = {"join": questions.told.boot}  # not looked at any more
        model.predict(ROWS[:1])
        assert model.worker.offer.document.number == 1
        assert model.worker.worker is first.worker


@pytest.mark.parametrize("rows", [1, 10])
def test_a_lost_worker_is_replaced_by_one_that_is_verified(
    founded: Client, model: ServedModel, host: Any, questions: Questions, rows: int
) -> None:
    model.predict(ROWS[:rows])
    old = model.worker.lease.digest
    host.workers[-1].kill()
    again = (told for told in founded.runs.watch(model.worker.service) if len(host.workers) > 1)
    assert next(told for told in again if told.settled).state == "running"
    assert np.array_equal(model.predict(ROWS[:rows]), ROWS[:rows] @ WEIGHTS)
    assert model.worker.lease.digest != old and questions.described == 2


def test_a_question_is_lost_at_most_twice(model: ServedModel, questions: Questions) -> None:
    questions.refusals = ["WORKER_UNAVAILABLE"] * 3
    with pytest.raises(Refused) as error:
        model.predict(ROWS[:1])
    assert error.value.reason == "WORKER_UNAVAILABLE" and len(questions.refusals) == 1


def test_a_stream_that_breaks_off_goes_on(model: ServedModel, questions: Questions) -> None:
    questions.break_after = 5
    rows = np.arange(400, dtype="f4").reshape(100, 4)
    assert np.array_equal(model.predict(rows), rows @ WEIGHTS)


def test_a_stop_is_not_asked_again(model: ServedModel, questions: Questions) -> None:
    questions.refusals = ["VETOED"]
    with pytest.raises(Refused) as error:
        model.predict(ROWS[:1])
    assert error.value.reason == "VETOED" and not questions.asked


def test_a_busy_worker_is_asked_when_it_says(
    founded: Client, serve: Start, people: dict[str, Keys], host: Any, questions: Questions
) -> None:
    # More patience than any machine keeps the answers waiting.
    with founded.services.open(serve(), user=people["analyst"], patience=600) as model:
        questions.details = {"retry_ms": "20"}
        questions.refusals = ["QUEUE_FULL", None, "QUEUE_FULL"] * 3
        assert np.array_equal(model.predict(ROWS), ROWS @ WEIGHTS)
        host.workers[-1].refusals = [refused("RATE_EXCEEDED", questions.details)]
        assert np.array_equal(model.predict(ROWS[:1]), ROWS[:1] @ WEIGHTS)
        questions.details, questions.refusals = {"retry_ms": "9" * 5000}, ["QUEUE_FULL"]
        # Nobody waits for what is no number.
        assert np.array_equal(model.predict(ROWS), ROWS @ WEIGHTS)
        questions.details = {"retry_ms": "3600000"}
        host.workers[-1].refusals = [refused("RATE_EXCEEDED", questions.details)]
        with pytest.raises(Refused) as error:
            model.predict(ROWS[:1])
        assert error.value.reason == "RATE_EXCEEDED"


def test_a_sealed_refusal_reaches_the_user(model: ServedModel, host: Any) -> None:
    for rows in (ROWS[:1], ROWS):
        host.workers[-1].refusals = [refused("ANSWERS_USED_UP", {"claim": "user"})]
        with pytest.raises(Refused) as error:
            model.predict(rows)
        assert error.value.reason == "ANSWERS_USED_UP"
        assert error.value.details["claim"] == "user"
    assert np.array_equal(model.predict(ROWS), ROWS @ WEIGHTS)


@pytest.mark.parametrize(
    "lie",
    [
        {"probabilities": np.zeros((1, 3))},
        {"other": np.zeros((1, 3), "f4")},
        {"probabilities": np.zeros((3, 3), "f4")},
    ],
)
def test_answers_that_the_offer_does_not_name_are_refused(
    model: ServedModel, host: Any, lie: dict[str, Any]
) -> None:
    host.workers[-1].lied = lie
    with pytest.raises(AnswerMalformed):
        model.predict(ROWS)


def test_an_answer_to_another_question_is_refused(model: ServedModel, host: Any) -> None:
    """The host swaps the answers of two questions: the counters do not match."""
    kept: list[Any] = []

    async def swapped(call: Call) -> Any:
        kept.append(await call.answer())
        return kept[0]

    host.relay.lie("Inference.Predict", swapped)
    model.predict(ROWS[:1])
    with pytest.raises(AnswerForged):
        model.predict(ROWS[:1])


@pytest.mark.parametrize("rows", [1, 10])
def test_a_deadline_ends_the_waiting(model: ServedModel, questions: Questions, rows: int) -> None:
    questions.held = threading.Event()
    with pytest.raises(CallTimedOut):
        model.predict(ROWS[:rows], deadline=0.2)
    questions.held.set()
    assert np.array_equal(model.predict(ROWS[:rows]), ROWS[:rows] @ WEIGHTS)


def test_cancelled_questions_are_told_to_the_worker(
    home: Home, serve: Start, people: dict[str, Keys], questions: Questions
) -> None:
    service = serve()

    async def cancel_one() -> Any:
        async with (
            await AsyncClient.at_home(home, simulated=True) as client,
            await client.services.open(service, user=people["analyst"]) as model,
        ):
            await model.predict(ROWS)
            questions.held = threading.Event()
            task = asyncio.create_task(model.predict(ROWS))
            while len(questions.messages) < 2:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            questions.held.set()
            return await model.predict(ROWS)

    assert np.array_equal(asyncio.run(cancel_one()), ROWS @ WEIGHTS)
    assert sum(cancelled for _, cancelled in questions.messages) == 3


def test_questions_of_many_tasks_share_a_stream(
    home: Home, serve: Start, people: dict[str, Keys], questions: Questions
) -> None:
    service = serve()

    async def ask() -> list[Any]:
        async with (
            await AsyncClient.at_home(home, simulated=True) as client,
            await client.services.open(service, user=people["analyst"]) as model,
        ):
            return await asyncio.gather(*(model.predict(ROWS[n : n + 1]) for n in range(10)))

    answers = asyncio.run(ask())
    assert np.array_equal(np.concatenate(answers), ROWS @ WEIGHTS)
    assert questions.alone == 1


def test_a_service_without_workers_is_waited_for_and_then_refused(
    founded: Client, serve: Start, people: dict[str, Keys], questions: Questions
) -> None:
    service = serve()
    questions.away = True
    with pytest.raises(Refused) as error:
        founded.services.open(service, user=people["analyst"], patience=0.3)
    assert error.value.reason == "WORKER_UNAVAILABLE" and questions.described > 1
    timer = threading.Timer(0.2, setattr, (questions, "away", False))
    timer.start()
    with founded.services.open(service, user=people["analyst"]) as model:
        model.predict(ROWS)
    timer.join()


def test_a_closed_model_says_so(home: Home, serve: Start, people: dict[str, Keys]) -> None:
    service = serve()
    with Client.at_home(home, simulated=True) as client:
        model = client.services.open(service, user=people["analyst"])
        model.predict(ROWS)
        model.close()
        with pytest.raises(UsageRefused, match="closed"):
            model.predict(ROWS)
    with pytest.raises(RuntimeError, match="closed"):
        client.services.open(service, user=people["analyst"])
