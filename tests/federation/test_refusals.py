# SPDX-License-Identifier: Apache-2.0
"""Every update that breaks the terms: its client alone is refused, or left out and quarantined, and
the round goes on.

The reference is what the same round gives without it: bit for bit, because the sums are exact.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from placet.client import Keys
from placet.proto.v1 import runs_pb2
from placet.sealing import HPKEPrivateKey

SEGMENT = 16384
GOOD = ("ana", "bea", "cem", "dia")


def _with(vector: Any, value: float) -> Any:
    changed = vector.copy()
    changed[7] = value
    return changed


def _flip(stream: bytearray) -> bytes:
    stream[SEGMENT + 100] ^= 1
    return bytes(stream)


def _swap(stream: bytearray) -> bytes:
    return bytes(
        stream[:SEGMENT]
        + stream[2 * SEGMENT : 3 * SEGMENT]
        + stream[SEGMENT : 2 * SEGMENT]
        + stream[3 * SEGMENT :]
    )


def _double(stream: bytearray) -> bytes:
    return bytes(stream[: 2 * SEGMENT] + stream[SEGMENT : 2 * SEGMENT] + stream[3 * SEGMENT :])


def _header(stream: bytearray) -> bytes:
    stream[0] = 41
    return bytes(stream)


# What leaves the worker's pass: the client is named, with this reason, and sits out.
LEAVING: dict[str, tuple[Callable[[Any], Any], dict[str, Any], str]] = {
    "NaN": (lambda v: _with(v, np.nan), {"norm": 0.5}, "VALUES_NOT_FINITE"),
    "infinity": (lambda v: _with(v, -np.inf), {"norm": 0.5}, "VALUES_NOT_FINITE"),
    "a value beyond the range": (lambda v: _with(v, 3e38), {"norm": 0.5}, "NORM_EXCEEDED"),
    "longer than declared": (lambda v: v * 3, {"norm": 0.5}, "NORM_EXCEEDED"),
    "declared as nothing": (lambda v: v * 3, {"norm": 0.0}, "NORM_EXCEEDED"),
    "a flipped bit": (lambda v: v, {"corrupt": _flip}, "SEGMENT_FORGED"),
    "segments swapped": (lambda v: v, {"corrupt": _swap}, "SEGMENT_FORGED"),
    "a segment doubled": (lambda v: v, {"corrupt": _double}, "SEGMENT_FORGED"),
    "another header": (lambda v: v, {"corrupt": _header}, "STREAM_HEADER_MALFORMED"),
}


@pytest.fixture(scope="module")
def alone(council: Any) -> Any:
    """The model of four good clients alone, while the fifth sends nothing that counts."""
    federation = council.federation(rounds=1, round_seconds=2)
    for number, client in enumerate(GOOD):
        federation.send(client, _vector(number))
    assert federation.until_over(1).released
    return federation.model(1)


def _vector(seed: int) -> Any:
    made = np.random.default_rng(seed).standard_normal(30_200)
    return (made * (0.5 / np.linalg.norm(made))).astype("<f4")


@pytest.mark.parametrize("case", LEAVING)
def test_one_leaves_and_the_round_goes_on(council: Any, alone: Any, case: str) -> None:
    change, fields, reason = LEAVING[case]
    federation = council.federation(rounds=2)
    for number, client in enumerate(GOOD):
        federation.send(client, _vector(number))
    federation.send("eli", change(_vector(9)).astype("<f4"), **fields)
    outcome = federation.until_over(1)
    assert outcome.released
    assert dict(outcome.left) == {"eli": reason}
    np.testing.assert_array_equal(federation.model(1), alone)
    [member] = [m for m in federation.until_round(2).federation.members if m.client == "eli"]
    assert (member.why, member.quarantined_until) == (reason, 3)
    refusal = federation.refused(
        partial(federation.send, "eli", _vector(9), number=2), "CLIENT_QUARANTINED"
    )
    assert reason in str(refusal)
    council.world.client.council.stop(
        council.world.seats["ada"], "pause", federation.id, reason="That was all."
    )


def test_a_declared_norm_that_is_too_large_only_shrinks_its_author(council: Any) -> None:
    federation = council.federation(rounds=1)
    for number, client in enumerate(GOOD):
        federation.send(client, _vector(number))
    federation.send("eli", _vector(9), norm=1e9)
    outcome = federation.until_over(1)
    assert not outcome.left
    expected = np.sum([_vector(n).astype(np.float64) for n in range(4)], axis=0) / 5
    np.testing.assert_allclose(federation.model(1), expected, atol=2e-8)


def test_who_sat_out_is_let_in_again(council: Any) -> None:
    federation = council.federation(rounds=3, round_seconds=60)
    for number in (1, 2, 3):
        federation.until_round(number)
        for seed, client in enumerate(GOOD):
            federation.send(client, _vector(seed), number=number)
        if number == 1:
            federation.send("eli", _with(_vector(9), np.nan), norm=0.5)
        if number == 3:
            federation.send("eli", _vector(9), number=3)
    outcome = federation.until_over(3)
    assert (outcome.updates, dict(outcome.left)) == (5, {})
    assert [e["client"] for e in federation.entries("lift")] == ["eli"]


def test_too_few_left_release_nothing(council: Any) -> None:
    federation = council.federation(rounds=1, smallest_cohort=5)
    for number, client in enumerate(GOOD):
        federation.send(client, _vector(number))
    federation.send("eli", _with(_vector(9), np.nan), norm=0.5)
    outcome = federation.until_over(1)
    assert (outcome.released, dict(outcome.left)) == (False, {"eli": "VALUES_NOT_FINITE"})
    assert federation.kinds_of_round(1) == ["lease", "release"]
    federation.refused(partial(federation.ask_model, "ana", 1), "MODEL_NOT_RELEASED")


@pytest.fixture(scope="module")
def open_round(council: Any) -> Any:
    """A federation whose first round stays open."""
    return council.federation(rounds=2, round_seconds=3600)


OTHER = "sha256:" + "00" * 32
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another round": ({"number": 2}, "ROUND_NOT_OPEN"),
    "another federation": ({"federation": OTHER}, "RUN_NOT_FOUND"),
    "another layout": ({"layout": OTHER}, "UPDATE_MALFORMED"),
    "outside the roster": ({"client": "owner"}, "NOT_ON_ROSTER"),
    "signed by another": ({"signer": "bea"}, "SIGNATURE_INVALID"),
    "a count of zero": ({"weight": 0}, "UPDATE_MALFORMED"),
    "a negative count": ({"weight": 2**32 - 5}, "UPDATE_MALFORMED"),
    "a count above the limit": ({"weight": 101}, "UPDATE_MALFORMED"),
    "a norm that is none": ({"norm": float("nan")}, "UPDATE_MALFORMED"),
    "a negative norm": ({"norm": -1.0}, "UPDATE_MALFORMED"),
    "a scale where none belongs": ({"scale": 2.0}, "UPDATE_MALFORMED"),
    "another key's commitment": ({"commitment": "ab" * 32}, "KEY_COMMITMENT_MISMATCH"),
    "sealed to another key": (
        {"round_key": HPKEPrivateKey.generate().public},
        "ENVELOPE_KEY_MISMATCH",
    ),
    "another envelope than was signed": ({"sealed": OTHER}, "UPDATE_MALFORMED"),
    "a bound without noise": ({"epsilon": "1", "delta": "1e-6"}, "PRIVACY_BUDGET"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_update_is_refused_at_the_door(open_round: Any, case: str) -> None:
    changes, reason = REFUSED[case]
    fields = dict(changes)
    client = fields.pop("client", "ana")
    if "sealed" in fields:
        wrong = fields.pop("sealed")
        made = open_round.make(client, _vector(1))
        other = open_round.make(client, _vector(2))
        assert wrong
        made.request.sealed = other.request.sealed
    else:
        made = open_round.make(client, _vector(1), **fields)
    open_round.put(made)
    open_round.refused(partial(open_round.hand_in, made), reason)


def test_a_stream_that_is_not_there_or_has_another_length(open_round: Any) -> None:
    made = open_round.make("ana", _vector(1))
    open_round.refused(partial(open_round.hand_in, made), "BLOB_NOT_FOUND")
    for vector in (_vector(1)[:-1], np.append(_vector(1), np.float32(0)), _vector(1)[:1]):
        wrong = open_round.make("ana", vector.astype("<f4"))
        open_round.put(wrong)
        open_round.refused(partial(open_round.hand_in, wrong), "UPDATE_NOT_FETCHED")


def test_an_update_sent_twice_is_one_update(open_round: Any) -> None:
    made = open_round.make("bea", _vector(1))
    open_round.put(made)
    first = open_round.hand_in(made)
    assert open_round.hand_in(made) == first
    again = open_round.make("bea", _vector(2))
    open_round.put(again)
    open_round.refused(partial(open_round.hand_in, again), "UPDATE_DUPLICATE")
    assert [e["client"] for e in open_round.entries("update")].count("bea") == 1


def test_an_update_of_an_earlier_round_replayed(council: Any) -> None:
    federation = council.federation(rounds=2, round_seconds=60)
    kept = federation.make("eli", _vector(9))
    for number, client in enumerate(GOOD):
        federation.send(client, _vector(number))
    federation.put(kept)
    federation.hand_in(kept)
    federation.until_round(2)
    # The same document gets the receipt that it had, and counts no second time.
    assert b'"round":1' in federation.hand_in(kept).entry
    assert len(federation.entries("update")) == 5
    late = federation.make("eli", _vector(9), number=1)
    federation.put(late)
    federation.refused(partial(federation.hand_in, late), "ROUND_NOT_OPEN")


def test_a_model_is_for_the_roster_alone(council: Any) -> None:
    federation = council.federation(rounds=1)
    for number, client in enumerate((*GOOD, "eli")):
        federation.send(client, _vector(number))
    assert federation.until_over(1).released
    council.clients["owner"] = council.world.owner
    for client, signer, reason in (
        ("owner", "owner", "NOT_ON_ROSTER"),
        ("ana", "owner", "SIGNATURE_INVALID"),
    ):
        federation.refused(partial(federation.ask_model, client, 1, signer), reason)
    federation.refused(partial(federation.ask_model, "ana", 2), "MODEL_NOT_RELEASED")
    federation.refused(partial(federation.ask_model, "ana", 0), "MODEL_NOT_RELEASED")


def test_what_was_stopped_goes_no_further(council: Any) -> None:
    federation = council.federation(rounds=2, round_seconds=3600)
    federation.send("ana", _vector(1))
    council.world.client.council.stop(
        council.world.seats["ada"], "pause", federation.id, reason="Wait."
    )
    record = federation.until_state("STOPPED")
    assert record.refusal.message
    federation.refused(partial(federation.send, "bea", _vector(2)), "STOPPED")


def test_an_unknown_federation(council: Any) -> None:
    federation = council.federation(start=False)
    federation.refused(federation.get, "RUN_NOT_FOUND")
    request = runs_pb2.GetRunRequest(id="sha256:" + os.urandom(32).hex())
    refusal = council.world.refusal_of(
        lambda: council.runs.Get(request, metadata=council.world.metadata)
    )
    council.world.check_refusal(refusal, "RUN_NOT_FOUND")


def test_a_member_of_nothing(council: Any) -> None:
    """Whoever has no key in the constitution is refused like whoever is not on the roster."""
    federation = council.federation(rounds=1, round_seconds=3600)
    council.clients["nobody"] = Keys.generate("nobody")
    federation.refused(partial(federation.send, "nobody", _vector(1)), "NOT_ON_ROSTER")
