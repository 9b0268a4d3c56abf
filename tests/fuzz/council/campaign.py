# SPDX-License-Identifier: Apache-2.0
"""Runs of the fuzzer: each is one council's log, and follows from its seed alone.

python tests/fuzz/council/campaign.py --seconds 600 --seed 7     many, until the time is over
python tests/fuzz/council/campaign.py --seed 7 --only 41         the one that failed
"""

import argparse
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence

import clients
import enclaves
import lying_host
import people
import stories
from bodies import constitution_of
from scene import Scene

STEPS = 250
_ACTS = people.ACTS | enclaves.ACTS | clients.ACTS | stories.ACTS | lying_host.ACTS

_FIRST: Sequence[Callable[[Scene], None]] = (
    people.grant,
    people.grant,
    people.propose,
    people.propose,
)


def run(seed: str, steps: int = STEPS) -> Scene:
    """One log. What fails says the seed and everything that was done."""
    scene = Scene(seed, constitution_of)
    try:
        _steps(scene, steps)
    except BaseException as error:
        error.add_note("\n".join([*scene.trace, f"seed {seed}"]))
        raise
    return scene


def _steps(scene: Scene, steps: int) -> None:
    lying_host.restart(scene)
    lying_host.found_another(scene)
    for act in _FIRST:
        scene.act(act)
    chosen = scene.dice.choices(list(_ACTS), list(_ACTS.values()), k=steps)
    for number, act in enumerate(chosen):
        needs = act is not people.again or scene.envelopes
        if needs and (scene.proposals or act is people.propose):
            scene.act(act)
        if number % 50 == 49:
            scene.check_state()
    scene.check_state()
    scene.replayed()
    scene.audited()


def main() -> None:
    """Print the seed first, so that whatever follows can be had again."""
    parser = argparse.ArgumentParser(description="Fuzz the council's judgements.")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", type=int, help="the number of one log")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    if arguments.only is not None:
        print("\n".join(run(f"{arguments.seed}/{arguments.only}", arguments.steps).trace))
        return
    ends, number, told = time.monotonic() + arguments.seconds, 0, Counter[str]()
    while time.monotonic() < ends:
        told += run(f"{arguments.seed}/{number}", arguments.steps).told
        number += 1
    for line, count in sorted(told.items()):
        print(f"{count:7} {line}")
    print(f"{number} logs, {told.total()} acts: every invariant held")


if __name__ == "__main__":
    main()
