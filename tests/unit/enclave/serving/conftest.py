# SPDX-License-Identifier: Apache-2.0
"""Stories with a service."""

from dataclasses import replace
from typing import Any

import pytest

from placet.governance.documents import Rule, When
from tests.support.council import Council
from tests.support.serving import Sealed, Service, words


@pytest.fixture
def play(scene: Any) -> Any:
    """Plays a story with a service: `play(story, model, lease_seconds=60, **terms)`."""

    def run(story: Any, model: Sealed | None = None, lease_seconds: int = 60, **terms: Any) -> None:
        council = Council(lease_seconds=lease_seconds)
        rule = council.constitution.rules[0]
        serve = Rule("r2", "Serving", When(("serve",), "any", "any"), rule.demands)
        council.constitution = replace(council.constitution, rules=(rule, serve))
        found = model or Sealed(words())

        async def staged(stage: Any) -> None:
            await stage.provision(found)
            stage.host.blobs[found.descriptor.id] = found.data
            await story(Service(stage, found, **terms))

        scene(staged, council)

    return run
