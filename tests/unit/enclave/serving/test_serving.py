# SPDX-License-Identifier: Apache-2.0
"""A worker that serves: who may ask, what is answered, what is refused, and where the refusal goes."""

from typing import Any

import numpy as np


def test_users_are_answered_in_sessions_of_their_own(play: Any, serving: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        for user in ("engineer", "hospital"):
            session = await worker.session(user)
            for rows in ([[1, 2]], [[3], [4], [5]]):
                mean = await worker.ask(session, rows)
                assert np.allclose(mean, serving.table[rows].mean(1))
        # A tranche each; what is drawn ahead is for later.
        drawn = service.entries("draw")
        assert [(e["user"], e["rows"]) for e in drawn] == [("engineer", 100), ("hospital", 100)]

    play(story)
