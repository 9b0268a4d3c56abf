# SPDX-License-Identifier: Apache-2.0
"""What proposals ask for, and the constitutions that a council has and gets."""

from dataclasses import replace
from typing import Any

from scene import (
    DAY,
    MEASUREMENTS,
    OTHER_PROGRAM,
    PARTIES,
    PROGRAM,
    RECIPIENT,
    SEATS,
    T0,
    Scene,
)

from placet.governance.documents import (
    Card,
    Declared,
    Evidence,
    Federate,
    Input,
    Layout,
    Limits,
    Party,
    Rations,
    Recipient,
    Roster,
    Rule,
    Seat,
    Serve,
    Tensor,
    When,
)
from placet.governance.rules import (
    Approvals,
    Demand,
    Independence,
    Lifetime,
    Notice,
    Organisations,
    Rationale,
    Role,
    Uses,
    Veto,
)
from tests.support import documents

LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)
CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "second-a")


def body_of(scene: Scene, action: str) -> Any:
    """A job, a federation or a service."""
    return {"job": _job, "federate": _federation, "serve": _service}[action](scene)


def _job(scene: Scene) -> Any:
    world, dice = scene.world, scene.dice
    inputs = {"train": Input(world.descriptor(), "owner-b" if scene.chance(95) else "lab")}
    if scene.chance(25):
        inputs["more"] = Input(world.descriptor("more", ("public",)), "lab")
    return world.job(
        program=PROGRAM if scene.chance(85) else OTHER_PROGRAM,
        inputs=inputs,
        parameters={"epochs": dice.choice([3, 3, 30]), "model": "linear"},
        recipients=(Recipient("lab", RECIPIENT),),
        privacy=dice.choice([None, Declared("0.4", "1e-7"), Declared("0.5", "0")]),
        attempts=dice.choice([1, 2, 3]),
        deadline_seconds=dice.choice([600, DAY]),
    )


def _federation(scene: Scene) -> Federate:
    dice, noise = scene.dice, scene.dice.choice([None, None, "3"])
    model = Input(scene.world.descriptor("net", ("health",), 60, "model"), "owner-b")
    return documents.federate(
        CLIENTS,
        model=model if scene.chance(50) else None,
        layout=LAYOUT,
        rounds=dice.choice([1, 2, 4]),
        smallest_cohort=dice.choice([2, 3]),
        clip="1.5",
        noise=noise,
        largest_weight=1 if noise else 1000,
        attempts=dice.choice([1, 2]),
        deadline_seconds=600,
    )


def _service(scene: Scene) -> Serve:
    world, dice, now = scene.world, scene.dice, scene.world.times.at_most
    return documents.serve(
        Input(world.descriptor("net", ("health",), 60, "model"), "owner-b"),
        Roster("roster", ("lab", "chair-a", "second-a")),
        card=Card("A small net", ("public",), "", None, now + 90 * DAY),
        rations=Rations(user=100, total=150, minute=60, tranche=40),
        privacy=dice.choice([None, Declared("0.7", "1e-7")]),
        review=now + dice.choice([300, DAY, 20 * DAY]),
        deadline_seconds=10 * DAY,
    )


def _demands(scene: Scene) -> tuple[Demand, ...]:
    dice = scene.dice
    approvals = dice.choice([1, 1, 2, 2, 2, 3])
    interested: tuple[Any, ...] = dice.choice([(), (), (), ("submitter",), ("owner",)])
    return (
        Approvals(approvals),
        Organisations(min(approvals, dice.choice([1, 2]))),
        *dice.choice([(), (Role("ethics", 1),)]),
        *dice.choice([(Veto("dpo"),), (Veto("dpo"), Veto("chair")), ()]),
        *map(Independence, interested),
        *((Rationale(),) if scene.chance(50) else ()),
        Lifetime(7 * DAY),
        Uses(dice.choice([3, 1000])),
        *dice.choice([(), (), (), (Notice(60),)]),
    )


def constitution_of(scene: Scene) -> Any:
    """Four seats, one of them not for long, rules of chance for each action."""
    world = scene.world
    policy = {"kinds": ["test"], "measurements": list(MEASUREMENTS), "role": "worker"}
    authority = world.make_constitution().evidence.authority
    base = world.make_constitution()
    rules = [
        Rule("health", "Health", When("any", ("research",), ("health",)), _demands(scene)),
        Rule("serve", "Serving", When(("serve",), "any", ("public",)), _demands(scene)),
        base.rules[-1],
    ]
    rules += [Rule("job", "Jobs", When(("job",), "any", "any"), _demands(scene))][
        : scene.chance(50)
    ]
    return world.make_constitution(
        seats=tuple(
            replace(s, term_end=T0 + 20 * DAY) if s.id == "second-a" else s for s in base.seats
        ),
        parties=tuple(_party(scene, name) for name in PARTIES),
        rules=tuple(rules),
        evidence=Evidence(authority, policy),
        limits=Limits(lease_seconds=scene.dice.choice([300, 3600]), join_seconds=3600),
    )


def _party(scene: Scene, name: str) -> Party:
    organisation = "org-d" if name == "lab" else "org-" + name[-1]
    return Party(name, organisation, (scene.world.key(name).public,))


def constitution_after(scene: Scene) -> Any:
    """The next one, changed in one place or two; some changes end no proposal."""
    world, dice = scene.world, scene.dice
    old = world.constitution
    made = replace(old, version=old.version + 1, predecessor=world.digest, nonce=world.nonce())
    changes = [_new_keys, _moved, _left_out, _ruled, _measured, _termed, _measured_more, _one_more]
    for change in dice.sample(changes, dice.choice([1, 1, 2])):
        made = change(scene, made)
    return made


def _new_keys(scene: Scene, made: Any) -> Any:
    """Somebody's keys are replaced, because they were stolen, say."""
    name = scene.dice.choice([who.id for who in made.principals])
    fresh = f"{name}/{len(scene.keys[name]) + 1}"
    scene.keys[name].append(fresh)
    return _changed(made, name, keys=(scene.world.key(fresh).public,))


def _moved(scene: Scene, made: Any) -> Any:
    name = scene.dice.choice([who.id for who in made.principals])
    return _changed(made, name, organisation=scene.dice.choice(["org-a", "org-b", "org-d"]))


def _left_out(scene: Scene, made: Any) -> Any:
    return replace(
        made, parties=tuple(p for p in made.parties if p.id != "owner-b" or scene.chance(50))
    )


def _ruled(scene: Scene, made: Any) -> Any:
    """Another demand for one of the rules, never for amending: the council would be stuck."""
    rules = list(made.rules)
    rules[0] = replace(rules[0], demands=_demands(scene))
    return replace(made, rules=tuple(rules))


def _measured(scene: Scene, made: Any) -> Any:
    worker = {**made.evidence.worker, "measurements": list(scene.dice.sample(MEASUREMENTS, 1))}
    return replace(made, evidence=replace(made.evidence, worker=worker))


def _measured_more(scene: Scene, made: Any) -> Any:
    """A worker for one program more."""
    line = f"{scene.dice.randbytes(32).hex()}=sha256:{scene.dice.randbytes(32).hex()}"
    listed = [*made.evidence.worker["measurements"], line]
    worker = {**made.evidence.worker, "measurements": listed}
    return replace(made, evidence=replace(made.evidence, worker=worker))


def _one_more(scene: Scene, made: Any) -> Any:
    """A party that nobody names."""
    name = f"more-{made.version}"
    scene.keys[name] = [name]
    more = Party(name, "org-d", (scene.world.key(name).public,))
    return replace(made, parties=(*made.parties, more))


def _termed(scene: Scene, made: Any) -> Any:
    days = scene.dice.choice([10, 100, 400])
    return _changed(made, scene.dice.choice(SEATS), term_end=T0 + days * DAY)


def _changed(made: Any, name: str, **fields: Any) -> Any:
    def put(who: Seat | Party) -> Any:
        return replace(who, **fields) if who.id == name else who

    return replace(made, seats=tuple(map(put, made.seats)), parties=tuple(map(put, made.parties)))
