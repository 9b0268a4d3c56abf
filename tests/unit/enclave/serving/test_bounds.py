# SPDX-License-Identifier: Apache-2.0
"""What a worker holds of rations, and what it takes of sessions."""

import asyncio
from typing import Any, cast

import pytest

from placet.client.services.questions import Principal, QuestionSession
from placet.enclave.peer import BootKeys
from placet.enclave.worker.inference.batching import LATER
from placet.enclave.worker.inference.offers import Offers
from placet.enclave.worker.inference.questions import Question
from placet.enclave.worker.inference.rations import Allowances
from placet.enclave.worker.inference.sessions import CROWDED, MAX_OPENED, Sessions
from placet.enclave.worker.inference.users import Askers
from placet.enclave.worker.joining import Membership
from placet.governance.documents import Field, Lease, Offer, Rations, Roster
from placet.governance.envelope import sign, verify_signed
from placet.governance.log import VerifierKey
from placet.proto.questions import Opening, unpack_question
from placet.proto.refusals import error_of
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import DeadlinePassed, QueueFull
from tests.support.council import Council

TERMS = Rations(user=50, total=80, minute=10**6, tranche=20)


def question(user: str, rows: int) -> Question:
    made = Question(user, bytearray())
    made.rows = rows
    return made


class Counter:
    """What users are answered by one worker, one row after the other, until it refuses or waits in
    vain."""

    def __init__(self, draw: Any, terms: Rations = TERMS) -> None:
        self.now = 0.0
        self.woken = asyncio.Event()
        self.allowances = Allowances(terms, draw, lambda _: self.woken.set(), lambda: self.now)

    async def admit(self, user: str, rows: int = 1) -> Exception | None:
        while True:
            self.woken.clear()
            found = self.allowances.admit(question(user, rows))
            if found is not LATER:
                return cast("Exception | None", found)
            await self.woken.wait()


def test_no_more_than_a_tranche_is_held_and_more_is_drawn_when_half_is_left() -> None:
    asked: list[int] = []

    async def draw(user: str, rows: int) -> enclaves_pb2.Drawn:
        asked.append(rows)
        return enclaves_pb2.Drawn(rows=rows, user_left=1000, total_left=1000)

    async def story() -> None:
        counter = Counter(draw, Rations(user=1000, total=1000, minute=1000, tranche=20))
        assert await counter.admit("a", 9) is None
        assert asked == [20]
        assert await counter.admit("a", 1) is None  # ten are left
        await counter.woken.wait()
        assert asked == [20, 10]
        assert await counter.admit("a", 20) is None

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_draw_that_failed_is_tried_again_later_and_one_that_was_refused_is_not() -> None:
    drawn: list[str] = []

    async def draw(user: str, rows: int) -> enclaves_pb2.Drawn:
        drawn.append(user)
        if user == "a":
            raise error_of(common_pb2.Refusal(reason=common_pb2.REASON_USER_NOT_ALLOWED))
        if len(drawn) == 2:
            raise DeadlinePassed("No reply came.")
        return enclaves_pb2.Drawn(rows=rows, user_left=30, total_left=30)

    async def story() -> None:
        counter = Counter(draw)
        for later, reason in ((0, "USER_NOT_ALLOWED"), (10**6, "USER_NOT_ALLOWED")):
            counter.now += later
            assert getattr(await counter.admit("a"), "reason", "") == reason
        for _ in range(5):
            assert getattr(await counter.admit("b"), "reason", "") == "DEADLINE_PASSED"
        counter.now += 1.5
        assert await counter.admit("b") is None
        assert drawn[:3] == ["a", "b", "b"]

    asyncio.run(asyncio.wait_for(story(), 20))


def test_an_offer_takes_so_many_sessions_and_another_is_made_in_time() -> None:
    council = Council()
    key = VerifierKey("test/log", bytes(32))
    council.log = log = key.to_text()
    keys = BootKeys("worker").of(log, council.name)
    member = Membership(keys, cast("Any", None), key, council.name, {})
    digest = "sha256:" + "0" * 64
    document = Lease(
        header=council.header(),
        boot="0" * 32,
        proposal=digest,
        constitution=digest,
        job="job",
        attempt=1,
        worker=keys.identity.digest,
        deadline=1,
    )
    lease = verify_signed(sign(document, keys.signing), Lease, lambda _: [keys.signing.public])
    field = Field("x", "float32", (0, 1))
    offers = Offers(lease, member, (field,), (field,), "independent")
    crowded: list[int] = []
    askers = Askers(Roster("roster", ("engineer",)), council.constitution, log)
    sessions = Sessions(askers, offers, lambda: crowded.append(1))
    offer = verify_signed(offers.renew(60.0), Offer, lambda _: [keys.signing.public])

    def opening() -> Opening:
        session = QuestionSession(offer, log, Principal("engineer", council.submitter))
        found = unpack_question(session.question(b"content").data)
        assert isinstance(found, Opening)
        return found

    opened = offers.standing[0].opened
    opened |= {n.to_bytes(16, "big") for n in range(CROWDED - 1)}
    assert sessions.open(opening())[1] == b"content"
    assert crowded == [1]
    opened |= {n.to_bytes(16, "big") for n in range(MAX_OPENED - 1)}
    with pytest.raises(QueueFull) as error:
        sessions.open(opening())
    assert int(error.value.details["retry_ms"]) > 0
