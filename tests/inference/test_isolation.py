# SPDX-License-Identifier: Apache-2.0
"""Users of one batch, and the host between them: nobody learns of another's questions, or of what
becomes of them.

Questions of several users that are sent in one message reach the worker in one frame, and so are
run in one batch.
"""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.governance.documents import Raw
from placet.refusals import Refused

USERS = ("uma", "vic", "wim")


@pytest.fixture(scope="module")
def services(new_services: Callable[..., Any]) -> Any:
    """Leases of a minute: a session by hand lasts as long as a test, however slow the machine."""
    return new_services(lease_seconds=60)


@pytest.fixture(scope="module")
def service(services: Any) -> str:
    shown = dict.fromkeys(("z", "p", "label"), Raw("raw"))
    return str(services.serve(services.mixed(), answers=shown))


def _together(services: Any, service: str, contents: list[Any]) -> list[Any]:
    """Each user asks one question, all in one batch; what each of them finds: arrays, or a
    refusal."""
    askers = [services.asker(service, user) for user in USERS]
    questions = [a.question(content) for a, content in zip(askers, contents, strict=True)]
    stream = askers[0].stream()
    stream.send(*questions)
    stream.close()
    found: dict[int, Any] = {}
    for answer in stream.answers():
        assert not answer.HasField("refusal")
        number = answer.id - 1
        try:
            found[number] = askers[number].opened(questions[number], answer.data)
        except Refused as refusal:
            found[number] = refusal
    return [found[number] for number in range(len(USERS))]


def _same(one: Any, other: Any) -> None:
    """Equal as the runtime's own arithmetic is: sums may be taken in another order."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], rtol=1e-6, atol=1e-6)
        assert array.dtype == other[name].dtype


def test_answers_are_the_same_alone_and_in_company(services: Any, service: str) -> None:
    contents = [services.mixed_rows(rows, rows) for rows in (1, 5, 9)]
    together = _together(services, service, contents)
    for user, content, found in zip(USERS, contents, together, strict=True):
        _same(found, services.asker(service, user).ask(content))
        _same(found, services.in_the_clear(services.mixed(), content))


def test_to_the_bit_where_nothing_is_summed(services: Any) -> None:
    with services.serving() as linear:
        contents = [{"x": services.rows(rows, rows)} for rows in (1, 5, 9)]
        for found, content in zip(_together(services, linear, contents), contents, strict=True):
            assert found["scores"].tobytes() == (2 * content["x"]).tobytes()


@pytest.mark.parametrize("faulty", range(3))
def test_a_fault_hits_its_author_alone(services: Any, service: str, faulty: int) -> None:
    """A word that the model does not have makes the runtime fail for the whole batch."""
    contents = [services.mixed_rows(3, seed) for seed in range(3)]
    contents[faulty]["words"][1, 1] = 99_999
    found = _together(services, service, contents)
    refusal = found.pop(faulty)
    assert refusal.reason == "MODEL_FAILED"
    assert "99999" not in f"{refusal} {refusal.details}"
    del contents[faulty]
    for answer, content in zip(found, contents, strict=True):
        _same(answer, services.in_the_clear(services.mixed(), content))


def test_a_refusal_hits_its_author_alone(services: Any, service: str) -> None:
    contents: list[Any] = [services.mixed_rows(3, seed) for seed in range(3)]
    contents[1] = {"x": np.full((3, 4), np.nan, np.float32), "words": contents[1]["words"]}
    first, second, third = _together(services, service, contents)
    assert second.reason == "QUESTION_INVALID"
    for answer, content in ((first, contents[0]), (third, contents[2])):
        _same(answer, services.in_the_clear(services.mixed(), content))


def test_an_answer_is_read_by_its_asker_alone(services: Any, service: str) -> None:
    uma, vic = services.asker(service), services.asker(service, "vic")
    question, other = (asker.question(services.mixed_rows(1)) for asker in (uma, vic))
    data, others = uma.send(question.data), vic.send(other.data)
    for reader, asked, answer in ((vic, other, data), (uma, question, others)):
        refusal = services.world.refusal_of(lambda r=reader, q=asked, a=answer: r.opened(q, a))
        assert refusal.reason == "ANSWER_FORGED"
    assert len(uma.opened(question, data)["z"]) == 1


def _found_in(folder: Path, needle: bytes) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if needle in path.read_bytes()]


def test_nothing_of_questions_and_answers_stays_with_the_host(services: Any) -> None:
    """Canaries in questions, answers, names and what is refused: in no file of the host, not in its
    logs, not in the log."""
    world, host, canary = services.world, services.world.folder / "host", os.urandom(8).hex()
    random = np.random.default_rng(int(canary, 16))
    telling = random.standard_normal((2, 4), np.float32)
    asked, answered = telling.tobytes(), (2 * telling).tobytes()
    with services.serving() as service:
        asker = services.asker(service)
        assert asker.ask({"x": telling})["scores"].tobytes() == answered
        asker.refused_sealed({canary: telling})
        asker.refused_sealed({"x": np.full((1, 4), np.nan, np.float32), canary: telling})
        asker.refused_sealed(canary.encode())
        with services.asking(service, "vic") as model:
            model.predict(np.tile(telling, (500, 1)))
    value = struct.unpack("<I", asked[:4])[0]
    needles = (asked, answered, asked[:8], canary.encode(), bytes.fromhex(canary))
    texts = (str(float(telling[0, 0])), f"{telling[0, 0]:.6f}", f"{value:08x}", asked[:8].hex())
    for needle in (*needles, *(text.encode() for text in texts)):
        assert _found_in(host, needle) == []
    entries = json.dumps(world.entries())
    assert not [text for text in (*texts, canary) if text in entries]
    # Workers write that they have joined, and no more: neither who asks nor what for.
    said = "".join(path.read_text() for path in (host / "logs").glob("worker-*"))
    assert not [word for word in ("QUESTION", "MODEL", "uma", "vic") if word in said]
    # What should be found is.
    assert _found_in(host, service.encode())
    assert "joined" in said
    assert service in entries


def test_an_audit_finds_nothing(services: Any) -> None:
    assert services.world.client.log.audit().complete
