# SPDX-License-Identifier: Apache-2.0
"""Rounds of federations: opened by the host, fed by clients, closed, leased, aggregated."""

from collections.abc import Callable
from typing import Any

from bodies import CLIENTS, LAYOUT
from enclaves import answered, join, mostly_of_kind, some_lease
from people import bundle, header
from scene import RECIPIENT, Scene

from placet.governance.documents import Update
from placet.governance.envelope import digest_of
from placet.governance.jobs import round_job
from placet.governance.judgements.admission import admit
from placet.governance.judgements.federation import (
    judge_close_round,
    judge_update,
    next_job,
    open_entries,
)
from placet.governance.judgements.releases import judge_release
from placet.sealing import padded_length

MODEL_BYTES = padded_length(15 * 4)


def open_round(scene: Scene) -> None:
    world = scene.world
    digest = mostly_of_kind(scene, "federate")
    proposal = world.ledger.open_proposal(scene.proposals[digest][1])
    job = next_job(world.ledger, proposal)
    admission = admit(world.ledger, bundle(scene, digest), job, world.times)
    world.enter(admission)
    for entry in open_entries(world.ledger, admission, RECIPIENT, world.times):
        world.add(entry)


def _federation(scene: Scene) -> tuple[str, Any]:
    found = scene.world.ledger.state.federations
    digest = scene.dice.choice(list(found)[-2:]) if found else "sha256:" + "00" * 32
    return digest, found[digest].current if found else None


def update(scene: Scene) -> None:
    """Of a client of the roster or another, for this round or another, with a budget or none."""
    world, dice = scene.world, scene.dice
    digest, current = _federation(scene)
    number = current.number if current and scene.chance(95) else 7
    client = dice.choice([*CLIENTS, *CLIENTS, "lab"])
    epsilon, delta = dice.choice([("any", "any")] * 3 + [("1", "1e-6"), ("0.6", "1e-6")])
    made = Update(
        header=header(scene),
        federation=digest,
        round=number,
        client=client,
        layout=LAYOUT.digest if scene.chance(97) else digest,
        object=world.nonce(),
        commitment="ab" * 32,
        sealed=digest_of(client.encode()),
        epsilon=epsilon,
        delta=delta,
    )
    envelope = scene.signed(made, scene.key_of(client))
    _, entry = judge_update(world.ledger, envelope, world.times)
    world.add(entry, envelope)


def cohort(scene: Scene) -> None:
    world = scene.world
    digest, current = _federation(scene)
    number = current.number if current else 1
    world.add(judge_close_round(world.ledger, digest, number, world.times))


def lease_round(scene: Scene) -> None:
    """The worker that a closed round waits for, and often its answer."""
    world = scene.world
    digest, current = _federation(scene)
    if current is None or current.status != "closed":
        return
    job = round_job(digest, current.number)
    scene.history.terms[digest] = bound = (scene.proposals[digest][0].body).launch_digest
    worker = join(scene, bound)
    admission = admit(world.ledger, bundle(scene, digest), job, world.times)
    world.enter(admission)
    world.lease_admitted(admission, worker, job)


def aggregate(scene: Scene) -> None:
    """A model, or none, with clients left out for a reason or for none that is known."""
    world, dice = scene.world, scene.dice
    found = some_lease(scene, "federate")
    if found not in world.ledger.state.leases:
        return
    reasons = ["NORM_EXCEEDED", "UPDATE_NOT_FETCHED", "NORM_EXCEEDED", "DISLIKED"]
    out = dice.sample(CLIENTS, dice.choice([0, 0, 1, 2]))
    left = {client: dice.choice(reasons) for client in out}
    model = {"model": world.output(found, "model", MODEL_BYTES)}
    outputs = model if scene.chance(80) else {}
    signed, documents, receipt = answered(scene, found, outputs, left)
    entry = judge_release(world.ledger, signed, receipt, world.appraise, world.times)
    world.add(entry, *documents)


ACTS: dict[Callable[[Scene], None], int] = {
    open_round: 4,
    update: 6,
    cohort: 3,
    lease_round: 4,
    aggregate: 4,
}
