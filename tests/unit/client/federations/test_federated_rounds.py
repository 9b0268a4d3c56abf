# SPDX-License-Identifier: Apache-2.0
"""Taking part in a federation, against a host that judges with governance and can be made to fail
or lie."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.client import AsyncClient, Client, GrantTerms, Home, Keys, seal_file
from placet.client.errors import StateRefused, UsageRefused
from placet.client.federations import Bound, UpdateReceipt, flatten
from placet.governance.codec import encode, parse_object
from placet.governance.documents import (
    Input,
    Layout,
    Tensor,
)
from placet.governance.envelope import digest_of
from placet.governance.privacy import epsilon_at
from placet.proto.v1 import common_pb2
from placet.refusals import (
    ClientQuarantined,
    NotOnRoster,
    ReceiptInvalid,
    Refusal,
    Refused,
    RuleNotMet,
    Stopped,
)
from tests.support import documents

LAYOUT = documents.LAYOUT
TERMS = documents.federate(("alice", "bob", "owner"), clip="2", attempts=1)

Start = Callable[..., str]


@pytest.fixture
def start(founded: Client, people: dict[str, Keys]) -> Start:
    """Propose a federation, vote, and start it; returns its id."""

    def run(votes: tuple[str, ...] = ("alice", "bob"), **changes: Any) -> str:
        terms, now = replace(TERMS, **changes), int(time.time())
        digest = founded.council.propose(
            people["analyst"],
            terms,
            purpose="research",
            reason="To learn together.",
            not_before=now - 10,
            not_after=now + 86400,
            uses=terms.rounds,
        ).digest
        for seat in votes:
            founded.council.vote(people[seat], digest, "placet")
        if len(votes) == 2:
            status = founded.runs.start(founded.council.ticket(digest))
            assert (status.id, status.state, status.federation.round) == (digest, "running", 1)
        return digest

    return run


@pytest.fixture
def join(founded: Client, people: dict[str, Keys], start: Start) -> Callable[..., Any]:
    """Start a federation; a function that gives a client's view of it."""
    id = start()

    def run(name: str = "alice") -> Any:
        return founded.federations.join(id, people[name])

    return run


def moved(state: dict[str, Any], by: float) -> dict[str, Any]:
    """A state with every number a little larger."""
    return {name: array + np.float32(by) for name, array in state.items()}


def test_ten_lines_from_a_state_to_a_model(
    founded: Client, people: dict[str, Keys], start: Start, host: Any
) -> None:
    id, fake = start(), host.federations
    moves = {"alice": 0.1, "bob": 0.2, "owner": 0.3}
    rounds: dict[str, Iterator[Any]] = {
        name: founded.federations.join(id, people[name]).rounds() for name in moves
    }
    for number in (1, 2):
        for weight, (name, each) in enumerate(rounds.items(), 1):
            round = next(each)
            assert (round.number, round.base) == (number, number - 1)
            receipt = round.send(moved(round.model(), moves[name]), weight)
            assert receipt.update.client == name and receipt.update.round == number
            logged = fake.state.current.updates[name]
            assert (logged.digest, logged.index) == (receipt.digest, receipt.index)
        assert fake.close() == "closed"
        expected = fake.aggregate()
        found = founded.federations.join(id, people["bob"]).receive()
        assert found.round == number and found.receipt is not None
        assert np.allclose(found.vector, expected, atol=1e-6)
        # 0.1, 0.2 and 0.3, weighted 1, 2 and 3, over the rounds so far.
        assert np.allclose(found.vector, number * 1.4 / 6, atol=1e-5)
        if number < 2:
            fake.open()
    fake.end()
    assert [list(each) for each in rounds.values()] == [[], [], []]


def test_what_is_sealed_is_the_clipped_difference_and_48_bytes(
    join: Any, host: Any, people: dict[str, Keys]
) -> None:
    round = next(join().rounds())
    far = {t.name: np.full(t.shape, 7, np.float32) for t in LAYOUT.tensors}
    receipt = round.send(far, 42)
    values, sealed, weight = host.federations.opened(receipt.digest, 1)
    assert weight == 42 and len(sealed.pack()) == 48
    assert np.linalg.norm(values) <= sealed.norm <= 2 and sealed.norm > 1.999
    assert np.allclose(values, values[0])
    assert receipt.update.layout == LAYOUT.digest and receipt.update.epsilon == "any"
    # Nothing of it is left at home or lies at the host in the clear.
    assert np.full(8, values[0], np.float32).tobytes() not in host.blobs[receipt.update.object][1]


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int8"])
def test_other_encodings_arrive(
    founded: Client, start: Start, people: dict[str, Keys], host: Any, encoding: Any
) -> None:
    id = start(layout=replace(LAYOUT, encoding=encoding))
    round = next(founded.federations.join(id, people["alice"]).rounds())
    receipt = round.send(moved(round.model(), 0.25))
    values, sealed, _ = host.federations.opened(receipt.digest, 1)
    assert np.allclose(values, 0.25, rtol=0.01)
    assert sealed.norm >= np.linalg.norm(values) * (1 - 2**-23)  # int8 is decoded in float32 here


def test_a_bound_on_the_ledger_goes_with_each_update(
    founded: Client, start: Start, host: Any, people: dict[str, Keys]
) -> None:
    id, fake = start(noise="1", largest_weight=1), host.federations
    alice = founded.federations.join(id, people["alice"], bound=Bound("6", "1e-6"))
    rounds = [
        alice.rounds(),
        *(founded.federations.join(id, people[name]).rounds() for name in ("bob", "owner")),
    ]
    sent = [round.send(round.model()).update for round in map(next, rounds)]
    assert [(u.epsilon, u.delta) for u in sent] == [("6", "1e-6"), ("any", "any"), ("any", "any")]
    fake.close()
    fake.aggregate()
    assert 4 < epsilon_at(alice.charged().spent, Fraction("1e-6")) < 6
    fake.open()
    round = next(rounds[0])
    with pytest.raises(Refused) as refused:
        round.send(round.model())
    assert refused.value.reason == "PRIVACY_BUDGET"
    assert not round.pending


WRONG: list[tuple[dict[str, Any], Any]] = [
    ({"w": np.zeros((5, 4), np.float32) + np.nan}, 1),
    ({"b": np.zeros(1, np.float32)}, 1),
    ({"extra": np.zeros(1)}, 1),
    *(({}, weight) for weight in (0, 101, -1, 10**18, True, 1.0)),
]


@pytest.mark.parametrize(("changed", "weight"), WRONG)
def test_what_is_refused_at_home_is_not_sent(
    join: Any, host: Any, changed: dict[str, Any], weight: Any
) -> None:
    round = next(join().rounds())
    with pytest.raises((StateRefused, UsageRefused)):
        round.send({**round.model(), **changed}, weight)
    assert not host.blobs and not host.federations.given and not round.pending
    # The mistake is mended, and the round goes on; NumPy's whole numbers are whole numbers.
    weight = np.int64(3)
    assert round.send(round.model(), weight).update.round == 1


def test_the_clients_own_noise_is_added_before_sealing(join: Any, host: Any) -> None:
    round = next(join().rounds())
    receipt = round.send(round.model(), noise=0.01, generator=np.random.default_rng(3))
    values, _, _ = host.federations.opened(receipt.digest, 1)
    assert 0.005 < values.std() < 0.02
    with pytest.raises(UsageRefused):
        next(join("bob").rounds()).send(round.model(), noise=float("nan"))


def test_who_is_not_on_the_roster_or_has_another_key_is_refused(
    founded: Client, start: Start, people: dict[str, Keys]
) -> None:
    id = start()
    for keys in (people["analyst"], Keys.generate("alice")):
        with pytest.raises(NotOnRoster):
            founded.federations.join(id, keys)


def test_a_federation_that_was_not_voted_for_is_refused(
    founded: Client, start: Start, people: dict[str, Keys]
) -> None:
    with pytest.raises(RuleNotMet):
        founded.federations.join(start(votes=("alice",)), people["alice"])


def test_a_federation_that_a_revoked_seat_voted_for_is_refused(
    founded: Client, start: Start, people: dict[str, Keys]
) -> None:
    id = start()
    founded.council.stop(people["alice"], "revoke-seat", "bob")
    with pytest.raises(RuleNotMet, match="bob: the seat has been revoked"):
        founded.federations.join(id, people["alice"])


def test_a_lost_answer_is_asked_for_again_with_the_same_update(join: Any, host: Any) -> None:
    host.federations.lost_answers = 2
    round = next(join().rounds())
    receipt = round.send(round.model())
    assert len(host.federations.given) == 3 and len(set(host.federations.given)) == 1
    assert host.federations.state.current.updates["alice"].digest == receipt.digest


def test_an_authority_that_restarts_is_waited_for(
    founded: Client, start: Start, host: Any, people: dict[str, Keys]
) -> None:
    id, fake = start(), host.federations
    rounds = [
        founded.federations.join(id, people[name]).rounds() for name in ("alice", "bob", "owner")
    ]
    for each in map(next, rounds):
        fake.away = 1
        each.send(each.model())
    fake.close()
    fake.aggregate()
    fake.open()
    second = next(rounds[0])
    fake.away = 1
    assert not flatten(second.model(), LAYOUT).any()
    fake.away = 99
    with pytest.raises(Refused) as refused:
        next(founded.federations.join(id, people["bob"], patience=0.1).rounds()).send(
            second.model()
        )
    assert refused.value.reason == "AUTHORITY_UNAVAILABLE"


def test_a_client_that_dies_before_its_receipt_sends_the_same_update(
    home: Home, start: Start, host: Any, people: dict[str, Keys]
) -> None:
    id = start()
    host.federations.forged = {"proof": b"lost"}
    with Client.at_home(home, simulated=True) as dying:
        round = next(dying.federations.join(id, people["alice"]).rounds())
        with pytest.raises(Refusal):
            round.send(moved(round.model(), 0.5))
    kept = sorted(path.name for path in home.outbox.iterdir())
    assert len(kept) == 2 and all((home.outbox / name).stat().st_mode & 0o77 == 0 for name in kept)
    assert np.full(4, 0.5, np.float32).tobytes() not in (home.outbox / kept[1]).read_bytes()
    host.federations.forged = {}
    first = host.federations.state.current.updates["alice"]
    with Client.at_home(home, simulated=True) as again:
        # The log has it already; the receipt is still to be had.
        resumed = next(again.federations.join(id, people["alice"]).rounds())
        assert resumed.pending
        receipt = resumed.send(moved(resumed.model(), -0.1))
        assert (receipt.digest, receipt.index) == (first.digest, first.index)
        values, _, _ = host.federations.opened(receipt.digest, 1)
        assert np.allclose(values, 2 / np.sqrt(24), atol=1e-3)  # what was sealed first, clipped
        assert not resumed.pending and not list(home.outbox.iterdir())
        with pytest.raises(UsageRefused):
            resumed.resume()


def test_an_upload_that_broke_off_goes_on(
    founded: Client, start: Start, host: Any, people: dict[str, Keys]
) -> None:
    layout = Layout((Tensor("w", (600_000,)),), "float32", 65536)
    round = next(founded.federations.join(start(layout=layout), people["alice"]).rounds())
    host.break_puts_after = 2_200_000
    round.send({"w": np.zeros(600_000, np.float32)})
    assert [call for call in host.calls if call.startswith("Put")] == ["Put 0", "Put 2097152"]


def test_what_was_sealed_for_another_round_is_never_sent(
    home: Home, founded: Client, start: Start, host: Any, people: dict[str, Keys]
) -> None:
    id, fake = start(), host.federations
    others = [
        next(founded.federations.join(id, people[name]).rounds()) for name in ("bob", "owner")
    ]
    alice = founded.federations.join(id, people["alice"])
    rounds = alice.rounds()
    late = next(rounds)
    state = late.model()
    fake.forged = {"proof": b"lost"}
    with pytest.raises(Refusal):
        late.send(state)
    fake.forged = {}
    for other in others:
        other.send(other.model())
    assert fake.close() == "closed"
    fake.aggregate()
    fake.open()
    second = next(rounds)
    assert second.number == 2 and not second.pending
    assert not list(home.outbox.iterdir())
    assert second.send(second.model()).update.round == 2


def test_too_late_is_refused_and_forgotten(join: Any, host: Any) -> None:
    round = next(join().rounds())
    for name in ("bob", "owner"):
        other = next(join(name).rounds())
        other.send(other.model())
    # The round closes for everybody before alice is through.
    current = host.federations.state.current
    current.closes = 1
    assert host.federations.close() == "closed"
    with pytest.raises(Refused) as refused:
        round.send(round.model())
    assert refused.value.reason == "ROUND_NOT_OPEN"
    assert not round.pending


def test_a_second_update_by_another_machine_is_refused(
    founded: Client, start: Start, people: dict[str, Keys], tmp_path: Path
) -> None:
    id = start()
    here = next(founded.federations.join(id, people["alice"], outbox=tmp_path / "a").rounds())
    there = next(founded.federations.join(id, people["alice"], outbox=tmp_path / "b").rounds())
    here.send(here.model())
    with pytest.raises(Refused) as refused:
        there.send(there.model())
    assert refused.value.reason == "UPDATE_DUPLICATE"
    assert not there.pending


def test_a_quarantined_client_is_told_why_and_waits(join: Any, host: Any) -> None:
    fake, told = host.federations, list[ClientQuarantined]()
    rounds = join().rounds(told=told.append)
    for each in (next(rounds), next(join("bob").rounds()), next(join("owner").rounds())):
        each.send(each.model())
    fake.close()
    fake.aggregate({"alice": "NORM_EXCEEDED"})
    fake.open()
    coming: list[Any] = []
    waiting = threading.Thread(target=lambda: coming.append(next(rounds)))
    waiting.start()
    for name in ("bob", "owner"):
        other = next(join(name).rounds())
        assert other.number == 2
        other.send(other.model())
    fake.close()
    fake.aggregate()
    assert fake.open() == 3
    waiting.join(timeout=30)
    assert [round.number for round in coming] == [3]
    assert len(told) == 1 and told[0].reason == "CLIENT_QUARANTINED"
    assert "NORM_EXCEEDED" in str(told[0]) and told[0].details["expected"] == "round 3 or later"
    assert coming[0].send(coming[0].model()).update.round == 3


def test_a_quarantined_client_may_stop_instead(join: Any, host: Any) -> None:
    rounds = [join(name).rounds() for name in ("alice", "bob", "owner")]
    for each in map(next, rounds):
        each.send(each.model())
    host.federations.close()
    host.federations.aggregate({"alice": "VALUES_NOT_FINITE"})
    host.federations.open()

    def stop(refusal: ClientQuarantined) -> None:
        raise refusal

    with pytest.raises(ClientQuarantined, match="VALUES_NOT_FINITE"):
        next(join().rounds(told=stop))


def test_a_void_round_changes_nothing(join: Any, host: Any) -> None:
    rounds = join().rounds()
    first = next(rounds)
    first.send(moved(first.model(), 0.1))
    host.federations.state.current.closes = 1
    assert host.federations.close() == "void"
    host.federations.open()
    second = next(rounds)
    assert (second.number, second.base) == (2, 0)
    assert not flatten(second.model(), LAYOUT).any()


def test_rounds_end_with_what_stopped_them(
    join: Any, founded: Client, host: Any, people: dict[str, Keys]
) -> None:
    federation = join()
    rounds = federation.rounds()
    next(rounds)
    founded.council.stop(people["bob"], "veto", federation.id)
    host.federations.end()
    with pytest.raises(Stopped, match="veto"):
        next(rounds)


def test_a_federation_that_failed_says_why(join: Any, host: Any) -> None:
    rounds = join().rounds()
    next(rounds)
    host.federations.end(
        common_pb2.Refusal(reason=common_pb2.REASON_TICKET_EXPIRED, message="It is over.")
    )
    with pytest.raises(Refused) as refused:
        next(rounds)
    assert refused.value.reason == "TICKET_EXPIRED"


def test_what_the_host_tells_decides_nothing(join: Any, host: Any, founded: Client) -> None:
    """Round, closing time and base are the log's: a host that tells of others is not listened
    to."""
    honest = host.federations.told

    def lying() -> Any:
        told = honest()
        said = told.federation
        said.round, said.closes, said.model_round, said.opened_at = 3, 1, 2, 0
        return told

    host.federations.told = lying
    round = next(join().rounds())
    assert (round.number, round.base) == (1, 0)
    assert round.closes == host.federations.state.current.closes


def test_the_host_cannot_slip_in_a_round_key(join: Any, host: Any) -> None:
    index = host.federations.state.current.opened_at
    entry = parse_object(host.entries[index])
    entry["key"] = host.hpke.public.to_text()
    host.entries[index] = encode(entry)
    with pytest.raises(Refusal):
        next(join().rounds())


def test_a_receipt_for_another_update_is_refused(join: Any, host: Any) -> None:
    other = next(join("bob").rounds())
    bobs = other.send(other.model())
    round = next(join().rounds())
    host.federations.forged = {"entry": host.entries[bobs.index], "proof": bobs.file.proof}
    with pytest.raises(ReceiptInvalid):
        round.send(round.model())
    assert round.pending
    host.federations.forged = {}
    assert round.resume().update.client == "alice"


def test_a_proof_that_does_not_hold_is_refused(join: Any, host: Any) -> None:
    round = next(join().rounds())
    host.federations.forged = {"proof": host.federations.proof(0)}
    with pytest.raises(Refusal):
        round.send(round.model())
    assert round.pending


def test_an_updates_receipt_verifies_offline(join: Any, host: Any, founded: Client) -> None:
    round = next(join().rounds())
    receipt = round.send(round.model())
    file = UpdateReceipt.from_bytes(receipt.file.to_bytes())
    verified = file.verify(founded.log.charter)
    assert (verified.digest, verified.index) == (receipt.digest, receipt.index)
    forged = replace(file, entry=file.entry.replace(b'"alice"', b'"bobby"'))
    with pytest.raises(Refusal):
        forged.verify(founded.log.charter)


def test_the_model_of_another_round_is_refused(
    founded: Client, start: Start, host: Any, people: dict[str, Keys]
) -> None:
    id, fake = start(), host.federations
    rounds = [
        founded.federations.join(id, people[name]).rounds() for name in ("alice", "bob", "owner")
    ]
    for number in (1, 2):
        for each in map(next, rounds):
            each.send(moved(each.model(), 0.1))
        fake.close()
        fake.aggregate()
        if number == 1:
            fake.open()
    assert founded.federations.model(id, people["alice"], 1).round == 1
    fake.told_model = 1
    with pytest.raises(ReceiptInvalid, match="another round"):
        founded.federations.model(id, people["alice"])
    with pytest.raises(Refusal) as refused:
        founded.federations.model(id, people["alice"], 3)
    assert refused.value.reason == "MODEL_NOT_RELEASED"


def test_the_first_round_starts_from_the_initial_model(
    founded: Client, start: Start, host: Any, people: dict[str, Keys], tmp_path: Path
) -> None:
    vector = np.arange(24, dtype="<f4")
    (tmp_path / "model.f32").write_bytes(vector.tobytes())
    owner = people["owner"]
    made = seal_file(
        tmp_path / "model.f32", tmp_path / "model.sealed", owner.hpke.public, kind="model",
        labels=(),
    )  # fmt: skip
    founded.blobs.put(made.descriptor.id, tmp_path / "model.sealed")
    host.federations.initial = made.open_key(owner.hpke)
    given = Input(made.descriptor, "owner")
    with pytest.raises(Refusal) as refused:
        start(model=given)
    assert refused.value.reason == "GRANT_MISSING"  # the owner's consent is needed, as for data
    terms = GrantTerms(
        purposes=("research",),
        programs="any",
        parameters="any",
        recipients="any",
        combine_with="any",
        evidence=None,
        witnesses="any",
        approvals=(),
        privacy="any",
        uses="any",
        expires=int(time.time()) + 86400,
        recoverable=False,
    )
    grant = founded.grants.sign(owner, made.descriptor, terms)
    founded.grants.provision(owner, grant, made.open_key(owner.hpke))
    round = next(founded.federations.join(start(model=given), people["alice"]).rounds())
    state = round.model()
    assert flatten(state, LAYOUT).tolist() == vector.tolist()
    values, _, _ = host.federations.opened(round.send(moved(state, 0.5)).digest, 1)
    assert np.allclose(values, 2 / np.sqrt(24))  # the difference to it, clipped


def test_it_works_in_an_event_loop(
    home: Home, start: Start, host: Any, people: dict[str, Keys]
) -> None:
    id = start()

    async def take_part() -> int:
        async with await AsyncClient.at_home(home, simulated=True) as client:
            federation = await client.federations.join(id, people["alice"])
            async for round in federation.rounds():
                receipt = await round.send(await round.model())
                return receipt.index
        raise AssertionError("there was no round")

    index = asyncio.run(take_part())
    assert digest_of(host.entries[index]) == digest_of(host.entries[-1])
