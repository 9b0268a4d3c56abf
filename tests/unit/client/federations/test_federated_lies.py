# SPDX-License-Identifier: Apache-2.0
"""Taking part in a federation at a host that lies or fails."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from placet.client import Client, Home, Keys
from placet.client.errors import UsageRefused
from placet.governance.codec import encode, parse_object
from placet.governance.documents import (
    Layout,
    Tensor,
)
from placet.host.blobs.blob_files import PART
from placet.proto.v1 import common_pb2, runs_pb2
from placet.refusals import (
    ReceiptInvalid,
    Refusal,
    Refused,
)
from placet.sealing import HPKEPrivateKey
from tests.support import documents
from tests.support.inside.federating import forge, moved, opened, until_model
from tests.support.inside.hosted import Hosted, OwnLog
from tests.support.inside.lies import break_put
from tests.support.inside.relay import BrokenOff, Call

LAYOUT = documents.LAYOUT

Start = Callable[..., str]


def test_a_lost_answer_is_asked_for_again_with_the_same_update(join: Any, host: Hosted) -> None:
    given = list[bytes]()

    async def lost(call: Call) -> Any:
        given.append(call.request.sealed)
        answer = await call.answer()
        if len(given) < 3:
            raise BrokenOff
        return answer

    host.relay.lie("Federations.Update", lost)
    federation = join()
    round = next(federation.rounds())
    receipt = round.send(round.model())
    assert len(given) == 3 and len(set(given)) == 1
    updates = host.state.federation(federation.id).current.updates
    assert updates["alice"].digest == receipt.digest


def test_a_client_that_dies_before_its_receipt_sends_the_same_update(
    home: Home, founded: Client, start: Start, host: Hosted, people: dict[str, Keys]
) -> None:
    id = start()
    forge(host, proof=b"lost")
    with Client.at_home(home, simulated=True, keys=people["alice"]) as dying:
        round = next(dying.federations.join(id, people["alice"]).rounds())
        with pytest.raises(Refusal):
            round.send(moved(round.model(), 0.5))
    kept = sorted(path.name for path in home.outbox.iterdir())
    assert len(kept) == 2 and all((home.outbox / name).stat().st_mode & 0o77 == 0 for name in kept)
    assert np.full(4, 0.5, np.float32).tobytes() not in (home.outbox / kept[1]).read_bytes()
    host.honest()
    first = host.state.federation(id).current.updates["alice"]
    with Client.at_home(home, simulated=True, keys=people["alice"]) as again:
        # The log has it already; the receipt is still to be had.
        resumed = next(again.federations.join(id, people["alice"]).rounds())
        assert resumed.pending
        receipt = resumed.send(moved(resumed.model(), -0.1))
        assert (receipt.digest, receipt.index) == (first.digest, first.index)
        values, _, _ = opened(host, founded, receipt.digest)
        assert np.allclose(values, 2 / np.sqrt(24), atol=1e-3)  # what was sealed first, clipped
        assert not resumed.pending and not list(home.outbox.iterdir())
        with pytest.raises(UsageRefused):
            resumed.resume()


def test_an_upload_that_broke_off_goes_on(
    founded: Client, start: Start, host: Hosted, people: dict[str, Keys]
) -> None:
    layout = Layout((Tensor("w", (2_200_000,)),), "float32", 65536)
    round = next(founded.federations.join(start(layout=layout), people["alice"]).rounds())
    offsets = break_put(host.relay, PART + 1000)
    round.send({"w": np.zeros(2_200_000, np.float32)})
    assert offsets == [0, PART]


def test_what_was_sealed_for_another_round_is_never_sent(
    home: Home, founded: Client, start: Start, host: Hosted, people: dict[str, Keys]
) -> None:
    id = start()
    others = [
        next(founded.federations.join(id, people[name]).rounds()) for name in ("bob", "owner")
    ]
    alice = founded.federations.join(id, people["alice"])
    rounds = alice.rounds()
    late = next(rounds)
    state = late.model()
    forge(host, proof=b"lost")
    with pytest.raises(Refusal):
        late.send(state)
    host.honest()
    for other in others:
        other.send(other.model())
    second = next(rounds)
    assert second.number == 2 and not second.pending
    assert not list(home.outbox.iterdir())
    assert second.send(second.model()).update.round == 2


def test_a_federation_that_failed_says_why(join: Any, host: Hosted) -> None:
    federation, failed = join(), threading.Event()

    async def fails(call: Call) -> Any:
        async for told in call.forward():
            yield told
            while not failed.is_set():
                await asyncio.sleep(0.01)
            refusal = common_pb2.Refusal(
                reason=common_pb2.REASON_TICKET_EXPIRED, message="It is over."
            )
            told.state = runs_pb2.RUN_STATE_FAILED
            told.refusal.CopyFrom(refusal)
            yield told
            return

    host.relay.lie("Runs.Watch", fails)
    rounds = federation.rounds()
    next(rounds)
    failed.set()
    with pytest.raises(Refused) as refused:
        next(rounds)
    assert refused.value.reason == "TICKET_EXPIRED"


def test_what_the_host_tells_decides_nothing(join: Any, host: Hosted, founded: Client) -> None:
    """Round, closing time and base are the log's: a host that tells of others is not listened
    to."""
    federation = join()

    async def lying(call: Call) -> Any:
        async for told in call.forward():
            said = told.federation
            said.round, said.closes, said.model_round, said.opened_at = 3, 1, 2, 0
            yield told

    host.relay.lie("Runs.Watch", lying)
    round = next(federation.rounds())
    assert (round.number, round.base) == (1, 0)
    assert round.closes == host.state.federation(federation.id).current.closes


def test_the_host_cannot_slip_in_a_round_key(join: Any, host: Hosted) -> None:
    entries = host.entries
    [federation] = host.state.federations.values()
    index: int = federation.current.opened_at
    entry = parse_object(entries[index])
    entry["key"] = HPKEPrivateKey.generate().public.to_text()
    note, entries[index] = host.note(), encode(entry)
    host.show_log(entries, note)
    with pytest.raises(Refusal):
        next(join().rounds())


def test_a_receipt_for_another_update_is_refused(join: Any, host: Hosted) -> None:
    other = next(join("bob").rounds())
    bobs = other.send(other.model())
    round = next(join().rounds())
    index: int = bobs.index
    forge(host, entry=host.entries[index], proof=bobs.file.proof)
    with pytest.raises(ReceiptInvalid):
        round.send(round.model())
    assert round.pending
    host.honest()
    assert round.resume().update.client == "alice"


def test_a_proof_that_does_not_hold_is_refused(join: Any, host: Hosted) -> None:
    round = next(join().rounds())
    forge(host, proof=OwnLog(host.entries).proof(0, host.signer))
    with pytest.raises(Refusal):
        round.send(round.model())
    assert round.pending


def test_the_model_of_another_round_is_refused(
    founded: Client, start: Start, host: Hosted, people: dict[str, Keys]
) -> None:
    id, given = start(rounds=2), list[Any]()

    async def noted(call: Call) -> Any:
        given.append(await call.answer())
        return given[-1]

    async def older(call: Call) -> Any:
        answer = await call.answer()
        answer.receipt, answer.entry, answer.proof = (
            given[0].receipt,
            given[0].entry,
            given[0].proof,
        )
        return answer

    rounds = [
        founded.federations.join(id, people[name]).rounds() for name in ("alice", "bob", "owner")
    ]
    for number in (1, 2):
        for each in map(next, rounds):
            each.send(moved(each.model(), 0.1))
        until_model(founded, id, number)
    host.relay.lie("Federations.Model", noted)
    assert founded.federations.model(id, people["alice"], 1).round == 1
    host.relay.lie("Federations.Model", older)
    with pytest.raises(ReceiptInvalid, match="another round"):
        founded.federations.model(id, people["alice"])
    host.honest()
    with pytest.raises(Refusal) as refused:
        founded.federations.model(id, people["alice"], 3)
    assert refused.value.reason == "MODEL_NOT_RELEASED"
