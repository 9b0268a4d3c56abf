# SPDX-License-Identifier: Apache-2.0
"""Taking part in a federation."""

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
from placet.governance.codec import parse_object
from placet.governance.documents import (
    Input,
)
from placet.governance.privacy import epsilon_at
from placet.refusals import (
    AuthorityUnavailable,
    ClientQuarantined,
    NotOnRoster,
    Refusal,
    Refused,
    RuleNotMet,
    Stopped,
)
from tests.support import documents
from tests.support.inside.federating import faulty, moved, opened, stream_of, until_model
from tests.support.inside.hosted import Hosted
from tests.support.inside.relay import Call

LAYOUT = documents.LAYOUT

Start = Callable[..., str]


def test_ten_lines_from_a_state_to_a_model(
    founded: Client, people: dict[str, Keys], start: Start, host: Hosted
) -> None:
    id = start(rounds=2)
    moves = {"alice": 0.1, "bob": 0.2, "owner": 0.3}
    rounds: dict[str, Iterator[Any]] = {
        name: founded.federations.join(id, people[name]).rounds() for name in moves
    }
    for number in (1, 2):
        expected: Any = 0
        for weight, (name, each) in enumerate(rounds.items(), 1):
            round = next(each)
            assert (round.number, round.base) == (number, number - 1)
            new = moved(round.model(), moves[name])
            expected += flatten(new, LAYOUT).astype(np.float64) * weight / 6
            receipt = round.send(new, weight)
            assert receipt.update.client == name and receipt.update.round == number
            logged = host.state.federation(id).rounds[number - 1].updates[name]
            assert (logged.digest, logged.index) == (receipt.digest, receipt.index)
        until_model(founded, id, number)
        found = founded.federations.join(id, people["bob"]).receive()
        assert found.round == number and found.receipt is not None
        assert np.allclose(found.vector, expected, atol=1e-6)
        # 0.1, 0.2 and 0.3, weighted 1, 2 and 3, over the rounds so far.
        assert np.allclose(found.vector, number * 1.4 / 6, atol=1e-5)
    assert [list(each) for each in rounds.values()] == [[], [], []]


def test_an_update_that_would_count_as_zeros_is_refused_at_home(
    founded: Client, people: dict[str, Keys], start: Start
) -> None:
    """A clip of a million leaves steps of 0.015: the federation had ended with a model of zeros."""
    id = start(clip="1000000")
    round = next(founded.federations.join(id, people["alice"]).rounds())
    with pytest.raises(StateRefused) as refused:
        round.send(moved(round.model(), 0.001), 1)
    assert refused.value.details["claim"] == "clip" and "1.5e-02" in str(refused.value)
    round.send(moved(round.model(), 0.1), 1)  # and nothing was spent


def test_what_is_sealed_is_the_clipped_difference_and_48_bytes(
    join: Any, founded: Client, host: Hosted
) -> None:
    round = next(join().rounds())
    far = {t.name: np.full(t.shape, 7, np.float32) for t in LAYOUT.tensors}
    receipt = round.send(far, 42)
    values, sealed, weight = opened(host, founded, receipt.digest)
    assert weight == 42 and len(sealed.pack()) == 48
    assert np.linalg.norm(values) <= sealed.norm <= 2 and sealed.norm > 1.999
    assert np.allclose(values, values[0])
    assert receipt.update.layout == LAYOUT.digest and receipt.update.epsilon == "any"
    # Nothing of it is left at home or lies at the host in the clear.
    assert np.full(8, values[0], np.float32).tobytes() not in stream_of(founded, receipt.update)


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int8"])
def test_other_encodings_arrive(
    founded: Client, start: Start, people: dict[str, Keys], host: Hosted, encoding: Any
) -> None:
    id = start(layout=replace(LAYOUT, encoding=encoding))
    round = next(founded.federations.join(id, people["alice"]).rounds())
    receipt = round.send(moved(round.model(), 0.25))
    values, sealed, _ = opened(host, founded, receipt.digest)
    assert np.allclose(values, 0.25, rtol=0.01)
    assert sealed.norm >= np.linalg.norm(values) * (1 - 2**-23)  # int8 is decoded in float32 here


def test_a_bound_on_the_ledger_goes_with_each_update(
    founded: Client, start: Start, people: dict[str, Keys]
) -> None:
    id = start(noise="1", largest_weight=1)
    alice = founded.federations.join(id, people["alice"], bound=Bound("6", "1e-6"))
    rounds = [
        alice.rounds(),
        *(founded.federations.join(id, people[name]).rounds() for name in ("bob", "owner")),
    ]
    sent = [round.send(round.model()).update for round in map(next, rounds)]
    assert [(u.epsilon, u.delta) for u in sent] == [("6", "1e-6"), ("any", "any"), ("any", "any")]
    until_model(founded, id, 1)
    assert 4 < epsilon_at(alice.charged().spent, Fraction("1e-6")) < 6
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


def test_what_is_refused_at_home_is_not_sent(join: Any, host: Hosted) -> None:
    round = next(join().rounds())
    for changed, weight in WRONG:
        with pytest.raises((StateRefused, UsageRefused)):
            round.send({**round.model(), **changed}, weight)
        assert not {"Blobs.Put", "Federations.Update"} & set(host.called) and not round.pending
    # The mistake is mended, and the round goes on; NumPy's whole numbers are whole numbers.
    weight = np.int64(3)
    assert round.send(round.model(), weight).update.round == 1


def test_the_clients_own_noise_is_added_before_sealing(
    join: Any, founded: Client, host: Hosted
) -> None:
    round = next(join().rounds())
    receipt = round.send(round.model(), noise=0.01, generator=np.random.default_rng(3))
    values, _, _ = opened(host, founded, receipt.digest)
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


def test_an_authority_that_restarts_is_waited_for(
    founded: Client, start: Start, host: Hosted, people: dict[str, Keys]
) -> None:
    id = start()
    rounds = [
        founded.federations.join(id, people[name]).rounds() for name in ("alice", "bob", "owner")
    ]
    for each in map(next, rounds):
        host.restart_authority()
        each.send(each.model())
    second = next(rounds[0])
    host.restart_authority()
    assert not flatten(second.model(), LAYOUT).any()

    tried: list[Call] = []

    async def away(call: Call) -> Any:
        tried.append(call)
        if len(tried) < 3:
            raise AuthorityUnavailable("The authority is away. Try again.")
        return await call.answer()

    host.relay.lie("Federations.Update", away)
    # However little patience there is, what was sealed is sent again while its round is open.
    bob = founded.federations.join(id, people["bob"], patience=0.1)
    assert next(bob.rounds()).send(second.model())
    assert len(tried) == 3


def test_too_late_is_refused_and_forgotten(join: Any, host: Hosted) -> None:
    federation = join()
    round = next(federation.rounds())
    for name in ("bob", "owner"):
        other = next(join(name).rounds())
        other.send(other.model())
    # The round closes for everybody before alice is through.
    host.close_round(federation.id)
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


def test_a_quarantined_client_is_told_why_and_waits(join: Any) -> None:
    told = list[ClientQuarantined]()
    rounds = join().rounds(told=told.append)
    first = [next(rounds), next(join("bob").rounds()), next(join("owner").rounds())]
    with faulty("NORM_EXCEEDED"):
        first[0].send(moved(first[0].model(), 0.1))
    for each in first[1:]:
        each.send(each.model())
    coming: list[Any] = []
    waiting = threading.Thread(target=lambda: coming.append(next(rounds)))
    waiting.start()
    for other in [until_round(join(name), 2) for name in ("bob", "owner")]:
        other.send(other.model())
    waiting.join(timeout=30)
    assert [round.number for round in coming] == [3]
    assert len(told) == 1 and told[0].reason == "CLIENT_QUARANTINED"
    assert "NORM_EXCEEDED" in str(told[0]) and told[0].details["expected"] == "round 3 or later"
    assert coming[0].send(coming[0].model()).update.round == 3


def until_round(federation: Any, number: int) -> Any:
    """The round of this number."""
    return next(round for round in federation.rounds() if round.number == number)


def test_a_quarantined_client_may_stop_instead(join: Any) -> None:
    rounds = [join(name).rounds() for name in ("alice", "bob", "owner")]
    first = [next(each) for each in rounds]
    with faulty("VALUES_NOT_FINITE"):
        first[0].send(moved(first[0].model(), 0.1))
    for each in first[1:]:
        each.send(each.model())
    next(rounds[1])

    def stop(refusal: ClientQuarantined) -> None:
        raise refusal

    with pytest.raises(ClientQuarantined, match="VALUES_NOT_FINITE"):
        next(join().rounds(told=stop))


def test_a_void_round_changes_nothing(join: Any, host: Hosted) -> None:
    federation = join()
    rounds = federation.rounds()
    first = next(rounds)
    first.send(moved(first.model(), 0.1))
    host.close_round(federation.id)
    second = next(rounds)
    assert host.state.federation(federation.id).rounds[0].status == "void"
    assert (second.number, second.base) == (2, 0)
    assert not flatten(second.model(), LAYOUT).any()


def test_rounds_end_with_what_stopped_them(
    join: Any, founded: Client, people: dict[str, Keys]
) -> None:
    federation = join()
    rounds = federation.rounds()
    next(rounds)
    founded.council.stop(people["bob"], "veto", federation.id)
    with pytest.raises(Stopped, match="veto"):
        next(rounds)


def test_an_updates_receipt_verifies_offline(join: Any, host: Hosted, founded: Client) -> None:
    round = next(join().rounds())
    receipt = round.send(round.model())
    file = UpdateReceipt.from_bytes(receipt.file.to_bytes())
    verified = file.verify(founded.log.charter)
    assert (verified.digest, verified.index) == (receipt.digest, receipt.index)
    forged = replace(file, entry=file.entry.replace(b'"alice"', b'"bobby"'))
    with pytest.raises(Refusal):
        forged.verify(founded.log.charter)


def test_the_first_round_starts_from_the_initial_model(
    founded: Client, start: Start, host: Hosted, people: dict[str, Keys], tmp_path: Path
) -> None:
    vector = np.arange(24, dtype="<f4")
    (tmp_path / "model.f32").write_bytes(vector.tobytes())
    owner = people["owner"]
    made = seal_file(
        tmp_path / "model.f32", tmp_path / "model.sealed", owner.hpke.public, kind="model",
        labels=(),
    )  # fmt: skip
    founded.blobs.put(made.descriptor.id, tmp_path / "model.sealed")
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
    values, _, _ = opened(host, founded, round.send(moved(state, 0.5)).digest)
    assert np.allclose(values, 2 / np.sqrt(24))  # the difference to it, clipped


def test_it_works_in_an_event_loop(
    home: Home, start: Start, host: Hosted, people: dict[str, Keys]
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
    entry = parse_object(host.entries[index])
    assert (entry["kind"], entry["client"]) == ("update", "alice")
