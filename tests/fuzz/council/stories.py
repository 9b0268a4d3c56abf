# SPDX-License-Identifier: Apache-2.0
"""Several acts in the order that gets somewhere, and what is said in between."""

import functools
from collections.abc import Callable

from clients import aggregate, cohort, lease_round, open_round, update
from enclaves import draw, lease, release, renew
from people import stop, vote
from scene import Scene


def whole_round(scene: Scene) -> None:
    """A round from its opening to its model, if nothing comes between."""
    scene.act(open_round)
    for _ in range(scene.dice.choice([4, 8])):
        scene.act(update)
    scene.later(scene.dice.choice([5, 601]))
    for act in (cohort, lease_round, aggregate):
        if scene.chance(90):
            scene.act(act)


def whole_job(scene: Scene) -> None:
    """A lease and what its worker asks for, of a job or a service."""
    scene.act(lease)
    for act in scene.dice.choices([renew, draw, draw, release], k=4):
        scene.act(act)


def no(scene: Scene) -> None:
    """Somebody says no while something runs, and everything is tried at once."""
    scene.act(lease)
    leases = scene.world.ledger.state.open_leases
    if not leases and scene.chance(90):
        return
    said = stop
    if scene.chance(40) and leases:
        running = next(reversed(leases.values())).proposal
        said = functools.partial(vote, proposal=running, word="non placet")
    scene.attempt("no", lambda: said(scene))
    for act in (renew, draw, release, update, aggregate, open_round, lease):
        scene.act(act)


ACTS: dict[Callable[[Scene], None], int] = {whole_job: 6, whole_round: 6, no: 9}
