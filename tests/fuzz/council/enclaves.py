# SPDX-License-Identifier: Apache-2.0
"""What workers and the host ask of the authority: joins, leases, renewals, releases, draws."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from history import Json
from people import bundle, may_go_on, some_proposal
from scene import MEASUREMENTS, PROGRAM, Scene

from placet.governance.codec import encode
from placet.governance.documents import Federate, Release, Serve
from placet.governance.envelope import digest_of, sign, verify_signed
from placet.governance.jobs import job_name, round_job
from placet.governance.judgements.admission import admit
from placet.governance.judgements.draws import judge_draw
from placet.governance.judgements.federation import (
    judge_vain,
)
from placet.governance.judgements.leasing import judge_join, judge_lapsed
from placet.governance.judgements.receipts import receipt_for
from placet.governance.judgements.releases import judge_release
from placet.sealing import padded_length
from tests.support.machines.hardware import quoted

MODEL_BYTES = padded_length(15 * 4)


def join(scene: Scene, launched_for: str) -> str:
    """A worker of one of the measurements, or of one that nobody wants."""
    world, dice = scene.world, scene.dice
    name = f"worker {len(world.ledger.state.joins) + 1}"
    claimed, identity, _, nonce = world.enclave("worker", name, launched_for)
    policy = world.constitution.evidence.worker
    wanted = policy["measurements"][:1] if scene.chance(82) else [*MEASUREMENTS, "ee" * 32]
    measurement = dice.choice(wanted)
    claims = {"kind": "test", "measurement": measurement, "launched_for": launched_for}
    quote = world.key("hardware").sign(quoted(identity, nonce, claims))
    evidence = encode({**claims, "quote": quote.hex()})
    now = world.times.at_most
    council = {"log": world.log, "charter": world.name}
    found = world.attest(identity, evidence, role="worker", **council, nonce=nonce, at=now)
    found.appraise(policy, now=now)
    claimed = replace(claimed, measurement=measurement)
    worker = digest_of(identity)
    entry = judge_join(world.ledger, worker, claimed, digest_of(evidence), nonce, world.times)
    world.add(entry, identity, evidence)
    scene.workers.append(worker)
    return worker


def lease(scene: Scene) -> None:
    """A job, a service's worker or a round, under whatever bundle the host likes."""
    world, dice = scene.world, scene.dice
    digest = mostly_of_kind(scene, "job", "serve")
    before = list(world.ledger.state.leases.values())
    if before and scene.chance(25):
        digest = before[-1].proposal
    body = scene.proposals[digest][0].body
    wanted = getattr(body, "program", PROGRAM)
    if isinstance(body, Federate | Serve):
        wanted = scene.history.terms[digest] = body.launch_digest
    if scene.chance(6):
        wanted = PROGRAM
    worker = (
        dice.choice(scene.workers) if scene.workers and scene.chance(8) else join(scene, wanted)
    )
    job = job_name(digest, f"job-{dice.choice([1, 1, 2, 3])}")
    if scene.chance(2):
        job = job_name(some_proposal(scene), "job-1")
    if isinstance(body, Federate) and digest in world.ledger.state.federations:
        job = round_job(digest, world.ledger.state.federations[digest].current.number)
    admission = admit(world.ledger, bundle(scene, digest), job, world.times)
    world.enter(admission)
    if scene.chance(5):
        scene.later(dice.choice([60, 4000]))
    strange: list[Json] = [{"attempt": 7}, {"deadline": world.times.at_most + 9999}]
    changes: Json = {} if scene.chance(86) else dice.choice(strange)
    world.lease_admitted(admission, worker, job, **changes)


def mostly_of_kind(scene: Scene, *actions: str) -> str:
    """A proposal of such an action that may still be acted on."""
    found = [
        digest
        for digest, (made, _) in scene.proposals.items()
        if made.action in actions
        and made.not_after >= scene.world.times.at_most
        and may_go_on(scene, digest)
    ]
    found = [d for d in found if len(scene.ballots[d]) > 2][-2:] or found
    return scene.dice.choice(found) if found and scene.chance(95) else some_proposal(scene)


def some_lease(scene: Scene, action: str = "") -> str:
    """Mostly one that is open."""
    state = scene.world.ledger.state
    wanted = [
        found
        for found in state.open_leases
        if not action or scene.proposals[state.leases[found].proposal][0].action == action
    ]
    known = wanted if wanted and scene.chance(92) else list(state.leases)
    return scene.dice.choice(known) if known else "sha256:" + "00" * 32


def renew(scene: Scene) -> None:
    scene.world.renew(some_lease(scene))


def close(scene: Scene) -> None:
    scene.world.close(some_lease(scene))


def lapse(scene: Scene) -> None:
    """What the authority does after every request: it ends what is over."""
    world = scene.world
    for entry in judge_lapsed(world.ledger, world.times):
        world.add(entry)
    for digest in world.ledger.state.federations:
        over = judge_vain(world.ledger, digest, world.times)
        if over is not None:
            world.add(over)


def release(scene: Scene) -> None:
    """Outputs as proposed, or not quite, by the worker or by another."""
    world, dice = scene.world, scene.dice
    found = some_lease(scene, "job")
    if found not in world.ledger.state.leases:
        return
    output = world.output(found, "weights", padded_length(5000))
    strange: list[dict[str, Any]] = [
        {"weights": replace(output, length=output.length + 1)},
        {"weights": output, "more": output},
        {"weights": replace(output, labels=("health",))},
        {},
    ]
    outputs = {"weights": output} if scene.chance(65) else dice.choice(strange)
    signed, documents, receipt = answered(scene, found, outputs, {})
    entry = judge_release(world.ledger, signed, receipt, world.appraise, world.times)
    world.add(entry, *documents)


def answered(
    scene: Scene, lease: str, outputs: dict[str, Any], left: dict[str, str]
) -> tuple[Any, list[bytes], str]:
    """A release, its documents and its receipt's digest; "" where nothing is released."""
    world = scene.world
    worker = world.ledger.state.leases[lease].worker
    if scene.chance(5):
        worker = scene.dice.choice(scene.workers)
    made = Release(world.answer_header(lease), lease, worker, outputs, left)
    key = world.enclave_key(worker)
    signed = verify_signed(sign(made, key), Release, lambda _: [key.public])
    if not outputs:
        return signed, [signed.envelope], ""
    said = receipt_for(world.ledger, signed, "test", world.header(), world.times)
    return signed, [signed.envelope, sign(said, world.log_key)], digest_of(encode(said))


def draw(scene: Scene) -> None:
    world, dice = scene.world, scene.dice
    user, rows = dice.choice(["lab", "chair-a", "second-a", "ana-a"]), dice.choice([1, 40, 41])
    found = some_lease(scene, "serve")
    world.add(judge_draw(world.ledger, found, user, rows, world.times))


def passes(scene: Scene) -> None:
    """Time: mostly a little, now and then more than anything was meant to last."""
    dice = scene.dice
    seconds = dice.choice([0, 1, 10, 60] * 10 + [299, 601] * 2 + [3601, 86400, 8 * 86400])
    scene.later(seconds, dice.choice([0, 0, 0, 5]))


ACTS: dict[Callable[[Scene], None], int] = {
    lease: 14,
    renew: 4,
    close: 2,
    lapse: 3,
    release: 4,
    draw: 5,
    passes: 10,
}
