# SPDX-License-Identifier: Apache-2.0
"""Answers: right, in order, for several users, by one worker and by several. Right is what the
runtime says in the clear."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from placet.client import AsyncClient, Token
from placet.client.errors import CallTimedOut
from placet.governance.contexts import result_info
from placet.governance.documents import (
    Bearers,
    Card,
    Input,
    Members,
    Output,
    Raw,
    Rounded,
    TopClass,
)
from placet.refusals import Refused
from placet.sealing import StreamKey, open_envelope

WHOLE = """
def main(job):
    with job.output("out") as sink:
        sink.write(job.inputs["data"].read())
"""


@pytest.fixture(scope="module")
def service(services: Any) -> str:
    return str(services.serve())


def test_one_question(services: Any, service: str) -> None:
    with services.asking(service) as model:
        assert model.card.title == "Twice as much"
        asked = services.rows(3)
        assert np.array_equal(model.predict(asked), 2 * asked)


def test_many_rows(services: Any, service: str) -> None:
    """Many questions under way, answered as they are ready, put together in their order."""
    told: list[tuple[int, int]] = []

    def progress(done: int, of: int) -> None:
        told.append((done, of))

    with services.asking(service, "vic") as model:
        asked = services.rows(5000, 1)
        answers = model.predict(asked, progress=progress)
    assert np.array_equal(answers, 2 * asked)
    assert told == sorted(told)
    assert told[-1] == (5000, 5000)


def test_two_users_at_once(services: Any, service: str) -> None:
    def ask(user: str) -> bool:
        with services.asking(service, user) as model:
            asked = services.rows(2000, len(user) + ord(user[0]))
            return np.array_equal(model.predict(asked), 2 * asked)

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(ask, ("uma", "vic"))) == [True, True]


def test_a_session_goes_on_over_renewals(services: Any, service: str) -> None:
    """Leases are of three seconds: the worker's offer changes, its verdict does not."""
    with services.asking(service) as model:
        asked, worker = services.rows(2), model.worker

        def renewed() -> bool:
            assert np.array_equal(model.predict(asked), 2 * asked)
            return bool(model.worker.offer.document.number >= worker.offer.document.number + 2)

        services.world.until(renewed, patience=20)
        assert model.worker.lease.digest == worker.lease.digest
        assert model.worker.offer.document.key != worker.offer.document.key


def test_several_inputs_and_outputs(services: Any) -> None:
    """Floats and int64 in, floats and int64 out, by what the terms show of each."""
    file = services.mixed()
    shown = {"z": TopClass("top-class"), "p": Rounded("rounded", 2), "label": Raw("raw")}
    with services.serving(file, answers=shown) as service, services.asking(service) as model:
        assert {field.name: field.dtype for field in model.inputs} == {
            "x": "float32",
            "words": "int64",
        }
        asked = services.mixed_rows(200)
        expected, found = services.in_the_clear(file, asked), model.predict(asked)
    assert np.array_equal(found["z"], expected["z"].argmax(axis=-1))
    assert found["z"].dtype == found["label"].dtype == np.int64
    np.testing.assert_allclose(found["p"], expected["p"], atol=0.00501)
    assert np.array_equal(found["p"], found["p"].round(2))
    assert np.array_equal(found["label"], expected["label"])


def test_what_is_not_named_is_not_told(services: Any) -> None:
    file = services.mixed()
    answers = {"z": Raw("raw")}
    with services.serving(file, answers=answers) as service, services.asking(service) as model:
        asked = services.mixed_rows(50, 1)
        expected = services.in_the_clear(file, asked)["z"]
        np.testing.assert_allclose(model.predict(asked), expected, rtol=1e-6)
        assert [field.name for field in model.answers] == ["z"]


def test_several_workers_share_the_load(services: Any) -> None:
    """A worker with questions under way is not the one that the host tells the next user of."""
    with services.serving(workers=2) as service:
        first = services.asker(service)
        questions = [first.question({"x": services.rows(64, n)}) for n in range(20)]
        stream, second = first.stream(), first
        with services.frozen_workers():
            stream.send(*questions)
            while second.lease == first.lease:  # until the host has the questions
                second = services.asker(service, "vic")
        asked = services.rows(2)
        assert np.array_equal(second.ask({"x": asked})["scores"], 2 * asked)
        stream.close()
        answers = list(stream.answers())
        assert sorted(answer.id for answer in answers) == list(range(1, 21))
        for answer in answers:
            found = first.opened(questions[answer.id - 1], answer.data)
            assert np.array_equal(found["scores"], 2 * services.rows(64, answer.id - 1))


def test_drained_and_served_again(services: Any) -> None:
    """Without workers nothing is taken; with one again, the user's client goes on by itself, with a
    worker that it verifies."""
    with services.serving() as service, services.asking(service) as model:
        asked = services.rows(2)
        first = model.worker.lease.digest
        assert np.array_equal(model.predict(asked), 2 * asked)
        services.drain(service)
        assert services.world.client.runs.get(service).state == "finished"
        refusal = services.world.refusal_of(lambda: services.asker(service))
        services.world.check_refusal(refusal, "SERVICE_ENDED")
        services.start(service)
        assert np.array_equal(model.predict(asked), 2 * asked)
        assert model.worker.lease.digest != first


def test_holders_of_tokens(services: Any) -> None:
    tokens = {name: Token.generate() for name in ("clinic", "other")}
    users = Bearers("tokens", {name: token.digest for name, token in tokens.items()})
    with services.serving(users=users) as service:
        for number, token in enumerate(tokens.values()):
            with services.asking(service, token) as model:
                asked = services.rows(2, number)
                assert np.array_equal(model.predict(asked), 2 * asked)
        assert set(services.drawn(service)) == set(tokens)


def test_members_of_organisations(services: Any) -> None:
    with services.serving(users=Members("organisations", ("vic", "wim"))) as service:
        with services.asking(service, "vic") as model:
            asked = services.rows(2)
            assert np.array_equal(model.predict(asked), 2 * asked)
        refusal = services.world.refusal_of(lambda: services.asking(service, "uma").__enter__())
        assert refusal.reason == "USER_NOT_ALLOWED"


def test_cards_with_receipts(services: Any) -> None:
    """A model that *is* the output of a job is known as it; one that is said to be made from it is
    not."""
    world, file = services.world, services.linear(3.0)
    outputs = {"out": Output(4096)}
    job = world.job(world.bundle(WHOLE).digest, {"data": world.data(file)}, outputs=outputs)
    released = world.client.runs.wait(world.client.runs.start(world.ticket(job)).id)
    verified, _, envelope = world.client.jobs.receipt(released.id, "analyst")
    descriptor = verified.receipt.predicate.outputs["out"]
    assert descriptor.kind == "result"
    info = result_info(verified.digest, "analyst")
    key = StreamKey.from_bytes(open_envelope(envelope, world.analyst.hpke, info))
    grant = world.client.grants.sign(world.analyst, descriptor, world.terms())
    world.client.grants.provision(world.analyst, grant, key)
    card = services.terms().card
    card = Card("Thrice as much", ("health",), verified.digest, None, card.retire_by)
    for model, output in ((Input(descriptor, "analyst"), "out"), (services.model(file), "")):
        with services.serving(model, card=card) as service, services.asking(service) as asking:
            asked = services.rows(2)
            assert np.array_equal(asking.predict(asked), 3 * asked)
            origin = world.client.services.origin(asking.terms)
            assert (origin.receipt.digest, origin.output) == (verified.digest, output)


def test_a_receipt_that_nothing_was_released_with(services: Any) -> None:
    card = Card("Made up", ("health",), "sha256:" + "7" * 64, None, services.terms().card.retire_by)
    refusal = services.world.refusal_of(lambda: services.propose(services.terms(card=card)))
    services.world.check_refusal(refusal, "RECEIPT_INVALID", "claim")


def test_a_deadline_ends_the_waiting_and_nothing_else(services: Any, service: str) -> None:
    with services.asking(service, "wim") as model:
        for number in (3, 300):  # a question alone, and several on a stream
            with services.frozen_workers(), pytest.raises(CallTimedOut):
                model.predict(services.rows(number), deadline=0.2)
        asked = services.rows(300)
        assert np.array_equal(model.predict(asked, deadline=30), 2 * asked)


def test_asking_without_threads(services: Any, service: str) -> None:
    """Tasks of one model share its stream; one that is cancelled leaves the others alone."""
    world = services.world

    async def story() -> None:
        client = await AsyncClient.connect(
            world.address, world.pin, memory=world.memory, simulated=True
        )
        try:
            async with await client.services.open(service, user=services.users["uma"]) as model:
                asked = [services.rows(200, n) for n in range(6)]
                tasks = [asyncio.create_task(model.predict(rows)) for rows in asked]
                await asyncio.sleep(0)
                tasks[2].cancel()
                found: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(found.pop(2), asyncio.CancelledError)
            del asked[2]
            for rows, answer in zip(asked, found, strict=True):
                assert np.array_equal(answer, 2 * rows)
        finally:
            await client.close()

    asyncio.run(story())


def test_a_service_that_nobody_proposed(services: Any) -> None:
    with pytest.raises(Refused) as refusal:
        services.world.client.runs.get("sha256:" + "0" * 64)
    assert refusal.value.reason == "RUN_NOT_FOUND"
