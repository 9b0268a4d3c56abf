# SPDX-License-Identifier: Apache-2.0
"""Stories with a federation whose council's rules let it be."""

from dataclasses import replace
from typing import Any

import pytest

from placet.governance.documents import Party, Rule, When
from placet.governance.keys import SigningKey
from tests.support.council import Council
from tests.support.rounds import ORGANISATIONS, OUTSIDER, Federation


@pytest.fixture
def federations() -> Any:
    """A council whose rules let federations be, with the clients as parties."""
    council = Council(lease_seconds=60)
    council.clients = {c: SigningKey.generate() for c in (*ORGANISATIONS, OUTSIDER)}
    old = council.constitution
    demands = old.rules[0].demands
    parties = tuple(
        Party(client, ORGANISATIONS.get(client, "o0"), (key.public,))
        for client, key in council.clients.items()
    )
    council.constitution = replace(
        old,
        parties=(*old.parties, *parties),
        rules=(
            *old.rules,
            Rule("r2", "Together", When(("federate",), "any", "any"), demands),
            Rule("r3", "Order", When(("amend",), "any", "any"), demands),
        ),
    )
    return council


@pytest.fixture
def play(scene: Any, federations: Any) -> Any:
    """Plays a story with a federation whose first round is open."""

    def run(story: Any, initial: Any = None, **terms: Any) -> None:
        async def staged(stage: Any) -> None:
            if initial:
                await stage.provision(initial)
                stage.host.blobs[initial.descriptor.id] = initial.data
            federation = Federation(stage, initial, **terms)
            await federation.open()
            await story(stage, federation)

        scene(staged, federations)

    return run
