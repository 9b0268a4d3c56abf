# SPDX-License-Identifier: Apache-2.0
"""Whoever reaches the host may ask for evidence, which takes the authority long. A stop does not
wait for it."""

import os
from typing import Any

import pytest

from placet.proto.v1 import keys_pb2

ASKED = 240


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_stop_overtakes_those_who_ask_for_evidence(world: Any, action: str) -> None:
    program = world.bundle("def main(job): pass").digest
    proposal = world.propose(world.job(program, {"data": world.data()}))
    asked = [
        world.stubs.keys.GetEvidence.future(
            keys_pb2.EvidenceRequest(nonce=os.urandom(32)), metadata=world.metadata
        )
        for _ in range(ASKED)
    ]
    world.until(lambda: sum(call.done() for call in asked) >= ASKED / 12)  # all are at the host
    world.client.council.stop(world.seats["ada"], action, proposal)
    overtaken = sum(not call.done() for call in asked)
    for call in asked:
        call.cancel()
    assert overtaken > ASKED / 4
    assert world.client.log.ledger().state.proposals[proposal].stopped == action
