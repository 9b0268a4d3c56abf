# SPDX-License-Identifier: Apache-2.0
"""The rounds of a federation, told line by line."""

import json
from typing import Any

from placet.auditing.timeline import subject_of, timeline


def test_a_round_is_told(federation: Any) -> None:
    federation.round("ana-a", "cem-b")
    world, digest = federation.world, federation.digest
    subjects = {digest: subject_of(world.ledger, digest)}
    events = timeline(world.ledger.state, list(map(json.loads, world.entries)), subjects)
    named = f"the proposal {digest[7:19]} for the purpose {subjects[digest].purpose}"
    told = {event.did: event.sentence for event in events}
    assert told["open-round"] == f"The round 1 of {named} was opened, with no object."
    assert told["update"] == f"cem-b sent an update for the round 1 of {named}."
    assert told["close-round"] == (
        f"The round 1 of {named} is closed, with updates of ana-a, cem-b."
    )
    assert told["release"].endswith("released its outputs.")
