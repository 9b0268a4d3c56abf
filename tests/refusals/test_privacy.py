# SPDX-License-Identifier: Apache-2.0
"""Privacy budgets on a real host: overdrawing, jobs without terms, what a failed job gives back,
and a kill in between."""

import json
import subprocess
import sys
from typing import Any

import pytest

from placet.client import Home
from placet.governance.documents import UNBOUNDED, Budget, Cost, Declared, Job
from placet.governance.evaluate import Ticket
from placet.governance.state import PrivacyState

TWO = Declared("2", "1e-7")
COST = Cost(epsilon=2 * 10**9, delta=10**8)


class Scene:
    """An object that its owner grants for epsilon 3 in all, and a program."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.data = world.data(privacy=Budget("3", "1e-6"))
        self.program = world.bundle(world.copy).digest

    def job(self, terms: Declared | None, program: str = "") -> Job:
        job: Job = self.world.job(program or self.program, {"data": self.data}, privacy=terms)
        return job

    def run(self, ticket: Ticket) -> Any:
        return self.world.client.runs.wait(self.world.client.runs.start(ticket).id)

    def ledger(self) -> PrivacyState:
        """What an auditor finds, who has made every decision again."""
        report = self.world.client.log.audit()
        assert report.complete
        found: PrivacyState = report.privacy.get("owner", PrivacyState())
        return found


@pytest.fixture(scope="module")
def scene(world: Any) -> Scene:
    return Scene(world)


def test_a_job_without_terms_under_a_bounded_grant(scene: Scene) -> None:
    world = scene.world
    ticket = world.ticket(scene.job(None))
    refusal = world.refused(
        lambda: world.client.runs.start(ticket), "PRIVACY_BUDGET", claim="privacy"
    )
    assert refusal.details["expected"] == "epsilon at most 3 at delta 1e-6"
    assert refusal.details["actual"] == "without bound (so far epsilon 0)"
    assert scene.ledger() == PrivacyState()


def test_a_job_that_failed_gives_back_what_it_reserved(scene: Scene) -> None:
    world = scene.world
    raising = world.bundle("def main(job): raise ValueError").digest
    world.failed(world.ticket(scene.job(TWO, raising)), "PROGRAM_RAISED")
    assert scene.ledger() == PrivacyState()


def test_a_job_that_overdraws(scene: Scene) -> None:
    """The first fits; after it no second does, by any ticket, before and after the host was
    killed."""
    world = scene.world
    ticket = world.ticket(scene.job(TWO), uses=2)
    released = scene.run(ticket)
    assert released.state == "finished"
    assert world.output(released.id) == b"patients" * 12 + b"pati"
    assert scene.ledger() == PrivacyState(COST, {})
    for again in (ticket, world.ticket(scene.job(TWO))):
        refusal = world.refused(
            lambda again=again: world.client.runs.start(again), "PRIVACY_BUDGET"
        )
        assert refusal.details["actual"] == "epsilon 4 (so far epsilon 2)"
        assert "ask the owner for a wider grant" in str(refusal)
    world.kill()
    world.start()
    world.refused(lambda: world.client.runs.start(ticket), "PRIVACY_BUDGET")
    rest = world.ticket(scene.job(Declared("1", "1e-7")))
    assert scene.run(rest).state == "finished"
    assert scene.ledger().charged == Cost(epsilon=3 * 10**9, delta=2 * 10**8)


def test_a_principal_sees_what_was_charged(scene: Scene) -> None:
    """After the others: by the command, which replays the log."""
    home = Home(scene.world.folder / "reader")
    home.configure(scene.world.address, scene.world.pin, scene.world.client.log.charter)
    key = home.folder / "analyst.key"
    scene.world.analyst.save(key)
    home.use_key(key)
    command = [sys.executable, "-m", "placet.client", "--home", str(home.folder), "privacy"]

    def said(*arguments: str, code: int = 0) -> Any:
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended.stderr
        return ended

    shown = json.loads(said("owner", "--json").stdout)
    assert shown["charged"] == {"cost": [0, 3 * 10**9, 2 * 10**8], "epsilon": pytest.approx(3)}
    assert shown["reserved"] == {"cost": [0, 0, 0], "epsilon": 0}
    used_up = json.loads(said("owner", "--delta", "1e-7", "--json").stdout)
    assert used_up["charged"]["epsilon"] is None
    assert "epsilon 3 and delta 2e-7" in said("owner").stdout
    assert "The log knows no nobody." in said("nobody", code=2).stderr


def test_a_job_that_cost_without_bound_ends_every_budget(scene: Scene) -> None:
    """Last: a job without terms under a grant that bounds nothing."""
    world = scene.world
    unbounded = world.job(scene.program, {"data": world.data()})
    assert scene.run(world.ticket(unbounded)).state == "finished"
    assert scene.ledger().spent == UNBOUNDED
    scene.data = world.data(privacy=Budget("1000000", "0.5"))
    ticket = world.ticket(scene.job(Declared("1e-9", "0")))
    refusal = world.refused(lambda: world.client.runs.start(ticket), "PRIVACY_BUDGET")
    assert refusal.details["actual"] == "without bound (so far without bound)"
