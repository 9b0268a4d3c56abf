# SPDX-License-Identifier: Apache-2.0
"""Every question and every model that is refused: why, who is told, and what the host sees of it.

What says something of a question is sealed as an answer is, so the host sees only how long it is.
README.md says which case is where.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, parser

from placet.client import Keys, Token
from placet.governance.documents import Bearers, Rations, Raw, Roster
from placet.proto.limits import MAX_SEALED
from placet.proto.questions import pack_question
from placet.proto.refusals import reason_name
from placet.refusals import QuestionInvalid
from placet.sealing import sealed_answer_length

X = np.ones((2, 4), np.float32)
WORDS = np.ones((2, 3), np.int64)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A question that breaks one rule: its arrays or its bytes, the reason, and what the refusal
    says it is about."""

    content: Any
    reason: str = "QUESTION_INVALID"
    claim: str = ""


def _with(value: float) -> Any:
    changed = X.copy()
    changed[1, 2] = value
    return changed


WRONG: dict[str, Wrong] = {
    "another dtype": Wrong({"x": X.astype(np.float64), "words": WORDS}, claim="x"),
    "integers of another width": Wrong({"x": X, "words": WORDS.astype(np.int32)}, claim="words"),
    "another rank": Wrong({"x": X[None], "words": WORDS}, claim="x"),
    "another width": Wrong({"x": X[:, :3], "words": WORDS}, claim="x"),
    "unequal rows": Wrong({"x": X, "words": WORDS[:1]}, claim="rows"),
    "no rows": Wrong({"x": X[:0], "words": WORDS[:0]}, claim="x"),
    "a name too few": Wrong({"x": X}, claim="names"),
    "a name too many": Wrong({"x": X, "words": WORDS, "more": X}, claim="names"),
    "another name": Wrong({"x": X, "canary": WORDS}, claim="names"),
    "NaN": Wrong({"x": _with(np.nan), "words": WORDS}, claim="x"),
    "an infinity": Wrong({"x": _with(-np.inf), "words": WORDS}, claim="x"),
    "no tensors": Wrong(b"", claim="length"),
    "bytes that are none": Wrong(b"\x01canary", claim="name"),
    "too many rows": Wrong(
        {"x": np.ones((65, 4), np.float32), "words": np.ones((65, 3), np.int64)},
        "QUESTION_TOO_LARGE",
        "rows",
    ),
    "what the model cannot answer": Wrong({"x": X, "words": WORDS + 100}, "MODEL_FAILED", "values"),
}


@pytest.fixture(scope="module")
def services(new_services: Callable[..., Any]) -> Any:
    """Leases of a minute: a session by hand lasts as long as a test, however slow the machine."""
    return new_services(lease_seconds=60)


@pytest.fixture(scope="module")
def service(services: Any) -> str:
    shown = dict.fromkeys(("z", "p", "label"), Raw("raw"))
    return str(services.serve(services.mixed(), answers=shown))


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_question_is_told_within_the_seal(
    services: Any, service: str, case: str
) -> None:
    wrong, asker, before = WRONG[case], services.asker(service), services.drawn(service)
    refusal, length = asker.refused_sealed(wrong.content)
    assert (refusal.reason, refusal.details.get("claim", "")) == (wrong.reason, wrong.claim)
    assert str(refusal)[:1].isupper()
    assert str(refusal).endswith(".")
    assert "canary" not in f"{refusal} {refusal.details}"
    # All that the host sees is a length, and it is one of those that answers have.
    assert length in map(sealed_answer_length, (1, 300, 400))
    assert wrong.reason not in services.world.host_log()
    # Only for what reached the model was anything drawn.
    assert wrong.reason == "MODEL_FAILED" or services.drawn(service) == before
    good = services.mixed_rows(3)
    expected = services.in_the_clear(services.mixed(), good)["z"]
    np.testing.assert_allclose(asker.ask(good)["z"], expected, rtol=1e-6)


@pytest.mark.parametrize("case", ["another dtype", "another rank", "another width", "unequal rows",
    "no rows", "a name too few", "a name too many", "NaN", "an infinity"])  # fmt: skip
def test_the_client_says_so_before_anything_is_sent(services: Any, service: str, case: str) -> None:
    with services.asking(service) as model, pytest.raises(QuestionInvalid):
        model.predict(WRONG[case].content)


def test_what_is_not_finite_where_the_terms_accept_it(services: Any) -> None:
    with services.serving(not_finite="accept") as service, services.asking(service) as model:
        np.testing.assert_array_equal(model.predict(_with(np.nan)), 2 * _with(np.nan))


def test_a_question_longer_than_one_may_be(services: Any, service: str) -> None:
    """Between the bound of a sealed question and that of a message it is the host that refuses."""
    asker = services.asker(service)
    refusal = asker.refused_in_clear(asker.question(bytes(MAX_SEALED)).data)
    assert refusal.reason == "MESSAGE_TOO_LARGE"
    refusal = asker.refused_in_clear(bytes(MAX_SEALED + 2**19))
    assert refusal.reason == "MESSAGE_TOO_LARGE"


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


UNDECRYPTABLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _: b"", "QUESTION_FORGED"),
    "random bytes": (lambda d: b"\x07" + os.urandom(len(d)), "QUESTION_FORGED"),
    "cut off": (lambda d: d[:-300], "QUESTION_FORGED"),
    "a flipped bit of the question": (lambda d: _flipped(d, -1), "QUESTION_FORGED"),
    "a flipped bit of the envelope": (lambda d: _flipped(d, 60), "SESSION_FORGED"),
    "no envelope": (lambda d: d[:1] + bytes(4) + d[5:], "SESSION_FORGED"),
    "of a session that is none": (
        lambda _: pack_question(bytes(16), 1, bytes(300)),
        "SESSION_UNKNOWN",
    ),
}


@pytest.mark.parametrize("case", UNDECRYPTABLE)
def test_what_cannot_be_opened_is_refused_in_the_clear(
    services: Any, service: str, case: str
) -> None:
    change, reason = UNDECRYPTABLE[case]
    asker = services.asker(service)
    opening = asker.question({"x": X, "words": WORDS})
    services.world.check_refusal(asker.refused_in_clear(change(opening.data)), reason)
    # Whoever changed it has not opened the session in its user's place.
    assert len(asker.opened(opening, asker.send(opening.data))["z"]) == 2


def test_replayed_and_reordered_questions(services: Any, service: str) -> None:
    """Openings and questions, once each, in their order; gaps are none of the worker's business."""
    asker = services.asker(service)
    asked = [asker.question(services.mixed_rows(2, n)) for n in range(4)]
    for number in (0, 1, 3):
        assert len(asker.opened(asked[number], asker.send(asked[number].data))["z"]) == 2
    for question in asked:
        refusal = asker.refused_in_clear(question.data)
        services.world.check_refusal(refusal, "QUESTION_REPLAYED")
    assert len(asker.ask(services.mixed_rows(2))["z"]) == 2


def test_a_question_for_another_model(services: Any, service: str) -> None:
    """Openings and questions of one service, sent to the worker of another: it has other keys."""
    with services.serving() as other:
        asker, lease = services.asker(service), services.asker(other).lease
        opening = asker.question({"x": X, "words": WORDS})
        services.world.check_refusal(asker.refused_in_clear(opening.data, lease), "SESSION_UNKNOWN")
        asker.opened(opening, asker.send(opening.data))
        question = asker.question({"x": X, "words": WORDS})
        services.world.check_refusal(
            asker.refused_in_clear(question.data, lease), "SESSION_UNKNOWN"
        )
        # And the host cannot say that they are one: users are told of the proposal they asked for.
        refusal = services.world.refusal_of(
            lambda: services.world.client.services.verify(other, asker.lease)
        )
        assert refusal.reason == "WORKER_UNAVAILABLE"
    no_lease = "sha256:" + "0" * 64
    refusal = asker.refused_in_clear(opening.data, no_lease)
    services.world.check_refusal(refusal, "WORKER_UNAVAILABLE")


def test_who_is_not_who_they_say(services: Any, service: str) -> None:
    """Another's key, another council, nobody's name, a token where there are none: the worker does
    not know yet who asks."""
    asker, world = services.asker(service), services.world
    for session in (
        asker.open(services.principal("uma", services.users["vic"])),
        asker.open(services.principal("uma", Keys.generate("uma"))),
        asker.open(services.principal("nobody", services.users["uma"])),
        asker.open(services.principal("uma"), charter="sha256:" + "c5" * 32),
        asker.open(services.bearer("uma", Token.generate())),
    ):
        opening = session.question(services.packed({"x": X, "words": WORDS})).data
        world.check_refusal(asker.refused_in_clear(opening), "SESSION_FORGED", "claim")


def test_tokens_that_are_not_the_ones(services: Any) -> None:
    token, other = Token.generate(), Token.generate()
    users = Bearers("tokens", {"clinic": token.digest, "uma": other.digest})
    with services.serving(users=users) as service:
        asker, world = services.asker(service), services.world
        for user in (
            services.bearer("clinic", other),
            services.bearer("clinic", Token.generate()),
            services.bearer("nobody", token),
        ):
            opening = asker.open(user).question(services.packed({"x": X})).data
            world.check_refusal(asker.refused_in_clear(opening), "SESSION_FORGED", "claim")
        refusal = world.refusal_of(lambda: services.asking(service, Token.generate()).__enter__())
        world.check_refusal(refusal, "USER_NOT_ALLOWED")
        # A principal who has the name of a token that it does not hold.
        refusal, _ = services.asker(service, "uma").refused_sealed({"x": X})
        assert refusal.reason == "USER_NOT_ALLOWED"


def test_a_user_whom_the_terms_do_not_name(services: Any) -> None:
    """Known to the council, and not let in: told within the seal, since the host does not read who
    asks."""
    with services.serving(users=Roster("roster", ("vic",))) as service:
        refusal, _ = services.asker(service, "uma").refused_sealed({"x": X})
        assert refusal.reason == "USER_NOT_ALLOWED"
        assert services.entries(service, "draw") == []
        asked = services.rows(2)
        assert np.array_equal(services.asker(service, "vic").ask({"x": asked})["scores"], 2 * asked)


def test_over_budget(services: Any) -> None:
    """A user's own ration, then what is left for everybody; others are none the wiser."""
    rations = Rations(user=5, total=8, minute=1000, tranche=4)
    with services.serving(rations=rations) as service:
        uma, vic = services.asker(service), services.asker(service, "vic")
        for asker, rows in ((uma, 4), (uma, 1), (vic, 3)):
            assert len(asker.ask({"x": services.rows(rows)})["scores"]) == rows
        for asker in (uma, vic):
            refusal, _ = asker.refused_sealed({"x": services.rows(1)})
            assert refusal.reason == "ANSWERS_USED_UP"
        refusal, _ = uma.refused_sealed({"x": services.rows(5)})
        assert refusal.reason == "QUESTION_TOO_LARGE"  # more than a tranche is never held
        assert services.drawn(service) == {"uma": 5, "vic": 3}
        with services.asking(service, "wim") as model:
            refusal = services.world.refusal_of(lambda: model.predict(services.rows(1)))
            assert refusal.reason == "ANSWERS_USED_UP"


def test_too_fast(services: Any) -> None:
    """Told when to ask again; a client without the patience for it passes the refusal on."""
    rations = Rations(user=100, total=100, minute=4, tranche=50)
    with services.serving(rations=rations) as service:
        asker = services.asker(service)
        asker.ask({"x": services.rows(4)})
        refusal, _ = asker.refused_sealed({"x": services.rows(1)})
        assert refusal.reason == "RATE_EXCEEDED"
        assert 10_000 < int(refusal.details["retry_ms"]) <= 15_000
        refusal, _ = asker.refused_sealed({"x": services.rows(4)})
        assert 55_000 < int(refusal.details["retry_ms"]) <= 60_000
        with services.asking(service, patience=0.5) as model:
            refusal = services.world.refusal_of(lambda: model.predict(services.rows(4)))
            assert refusal.reason == "RATE_EXCEEDED"


def test_too_much_at_once_and_too_late(services: Any) -> None:
    """What does not fit is told when to come again, what is not reached in time is dropped; the
    others are answered."""
    with services.serving() as service:
        asker, late = services.asker(service), 401
        asked = [services.rows(64 if n < 400 else 1, n) for n in range(700)]
        questions = [asker.question({"x": rows}) for rows in asked]
        stream = asker.stream()
        stream.send(*questions, wait_ms={late: 1})
        stream.close()
        refused = dict[int, Any]()
        for answer in stream.answers():
            if answer.HasField("refusal"):
                refused[answer.id] = answer.refusal
                continue
            found = asker.opened(questions[answer.id - 1], answer.data)
            assert np.array_equal(found["scores"], 2 * asked[answer.id - 1])
        assert reason_name(refused.pop(late).reason) == "DEADLINE_PASSED"
        assert list(refused) == list(range(513, 701))  # as many wait of one user's as may
        assert {reason_name(refusal.reason) for refusal in refused.values()} == {"QUEUE_FULL"}
        assert all(int(refusal.details["retry_ms"]) >= 10 for refusal in refused.values())


def test_after_the_window(services: Any) -> None:
    """Nothing is answered once the window of the ticket has closed, and the service says why."""
    window = {"not_after": int(time.time()) + 8}
    service = services.serve(window=window)
    asker, asked = services.asker(service), services.rows(2)
    assert np.array_equal(asker.ask({"x": asked})["scores"], 2 * asked)
    client = services.world.client
    [*_, status] = client.runs.watch(service)
    assert (status.state, status.service.ready, status.refusal.reason) == (
        "failed",
        0,
        "TICKET_EXPIRED",
    )
    assert time.time() > window["not_after"]
    # The worker ended with its lease, whoever noticed first, and the next one got none.
    refusal = asker.refused_in_clear(asker.question({"x": asked}).data)
    assert refusal.reason in ("WORKER_UNAVAILABLE", "TICKET_EXPIRED")
    refusal = services.world.refusal_of(lambda: services.asker(service))
    assert refusal.reason == "TICKET_EXPIRED"


def _external(file: bytes) -> bytes:
    model = onnx.load_from_string(file)
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return bytes(model.SerializeToString())


def _of(domain: str) -> Callable[[bytes], bytes]:
    def changed(file: bytes) -> bytes:
        model = onnx.load_from_string(file)
        model.graph.node[0].domain = domain
        return bytes(model.SerializeToString())

    return changed


MODELS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no model": (lambda _: b"no model at all", "file"),
    "cut off": (lambda file: file[: len(file) // 2], "file"),
    "a custom operator": (_of("ours"), "operators"),
    "an operator of the runtime's maker": (_of("com.microsoft"), "operators"),
    "external data": (_external, "external data"),
    "another output": (lambda file: file.replace(b"scores", b"others"), "answers.scores"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_that_are_not_served(services: Any, case: str) -> None:
    change, claim = MODELS[case]
    refusal = services.failed(change(services.linear()))
    services.world.check_refusal(refusal, "MODEL_INVALID", claim=claim)


def test_a_model_that_does_not_fit_into_memory(services: Any) -> None:
    """A small file that asks for more bytes than any process has addresses for. unit/ tries a large
    file."""
    model = parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : 17]>
        large (float[rows, 4] x) => (float[rows, 4] scores)
        <int64[1] many = {{{2**46}}}, int64[1] first = {{0}}>
        {{ all = ConstantOfShape(many)  one = Gather(all, first)  scores = Add(x, one) }}
    """)
    refusal = services.failed(bytes(model.SerializeToString()))
    services.world.check_refusal(refusal, "MODEL_TOO_LARGE", claim="model")


def test_a_model_that_the_host_has_changed(services: Any) -> None:
    model = services.model(services.linear())
    part = services.world.folder / "host" / "blobs" / model.object.id / "part-00000000"
    part.write_bytes(_flipped(part.read_bytes(), -1))
    assert services.failed(model).reason == "OBJECT_ROOT_MISMATCH"
