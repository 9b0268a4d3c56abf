# SPDX-License-Identifier: Apache-2.0
"""kill -9 in mid-round to host, authority and worker: no update is lost, none counts twice, and the
model is the same.

The same to the last bit: the sums are exact, so a round that was interrupted has to give what one
that was not gives.
"""

import os
import signal
import time
from typing import Any

import numpy as np
import pytest

CLIENTS = ("ana", "bea", "cem", "dia", "eli")


def _vector(seed: int) -> Any:
    made = np.random.default_rng(seed).standard_normal(30_200)
    return (made * (0.5 / np.linalg.norm(made))).astype("<f4")


@pytest.fixture(scope="module")
def reference(council: Any) -> Any:
    """The model of a round that nothing happened to."""
    federation = council.federation(rounds=1)
    for number, client in enumerate(CLIENTS):
        federation.send(client, _vector(number))
    assert federation.until_over(1).released
    return federation.model(1)


def _check(federation: Any, reference: Any) -> None:
    assert federation.until_over(1).released
    counted = federation.entries("close-round")[0]["counted"]
    assert len(counted) == len(set(counted)) == len(CLIENTS)
    assert [e["round"] for e in federation.entries("release")] == [1]
    np.testing.assert_array_equal(federation.model(1), reference)


def _kill(council: Any, role: str) -> None:
    for pid in council.world.enclaves(role):
        os.kill(pid, signal.SIGKILL)


def test_the_host_is_killed_between_updates(council: Any, reference: Any) -> None:
    federation = council.federation(rounds=1)
    for number, client in enumerate(CLIENTS):
        federation.send(client, _vector(number))
        if number in (0, 3):
            council.restart()
    _check(federation, reference)


def test_the_host_is_killed_in_an_upload(council: Any, reference: Any) -> None:
    """Between the stream and the document, and after the document before its receipt: the client
    sends the same again."""
    federation = council.federation(rounds=1)
    for number, client in enumerate(CLIENTS):
        made = federation.make(client, _vector(number))
        federation.put(made)
        if number == 1:
            council.restart()
        if number == 2:
            call = council.stub.Update.future(made.request, metadata=council.world.metadata)
            time.sleep(0.002)  # whatever moment it hits, the same has to hold
            council.restart()
            del call
        federation.hand_in(made)
    _check(federation, reference)
    assert len(federation.entries("update")) == len(CLIENTS)


@pytest.mark.parametrize("who", ["host", "authority", "worker"])
def test_killed_while_a_round_is_aggregated(council: Any, reference: Any, who: str) -> None:
    federation = council.federation(rounds=1)
    for number, client in enumerate(CLIENTS):
        federation.send(client, _vector(number))
    federation.until_aggregating()
    if who == "host":
        council.restart()
    else:
        _kill(council, who)
    _check(federation, reference)


def test_the_authority_is_killed_between_steps(council: Any, reference: Any) -> None:
    federation = council.federation(rounds=1)
    world = council.world
    for number, client in enumerate(CLIENTS):
        made = federation.make(client, _vector(number))
        federation.put(made)
        _kill(council, "authority")
        world.until_answered(world.client.authority.evidence)
        federation.hand_in(made)
    _check(federation, reference)


def test_the_host_is_down_while_a_round_ends(council: Any) -> None:
    federation = council.federation(rounds=2, round_seconds=3)
    federation.send("ana", _vector(1))
    federation.send("bea", _vector(2))
    closes = federation.get().federation.closes
    council.world.kill()
    while time.time() <= closes + 1:
        time.sleep(0.05)
    council.world.start()
    council.connect()
    outcome = federation.until_over(1)
    assert (outcome.released, outcome.updates) == (True, 2)


def test_attempts_are_used_up_and_the_next_round_opens(council: Any) -> None:
    federation = council.federation(rounds=2, attempts=1)
    for number, client in enumerate(CLIENTS):
        federation.send(client, _vector(number))
    while not federation.kinds_of_round(1):
        time.sleep(0.002)
    _kill(council, "worker")
    outcome = federation.until_over(1)
    if not outcome.released:
        assert federation.kinds_of_round(1) == ["lease", "close"]
        assert not outcome.left
    federation.until_round(2)
    assert federation.get().federation.model_round == (1 if outcome.released else 0)


def test_at_the_end_an_audit_finds_nothing(council: Any) -> None:
    assert council.world.client.log.audit().complete
