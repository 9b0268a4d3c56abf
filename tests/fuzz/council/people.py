# SPDX-License-Identifier: Apache-2.0
"""What people do: each act takes the scene, rolls its dice, and may well be refused."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bodies import body_of, constitution_after
from carried import is_in_force
from history import Json
from scene import DAY, MEASUREMENTS, OTHER_PROGRAM, PARTIES, PROGRAM, RECIPIENT, SEATS, Scene

from placet.governance.codec import encode
from placet.governance.documents import Budget, Seen
from placet.governance.envelope import digest_of
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import (
    admit,
    judge_amendment,
    judge_document,
    judge_grant,
)

EVERYBODY = (*SEATS, *PARTIES, "nobody")


def header(scene: Scene) -> Any:
    """Now and then one that was used before, of another council, or of a log that never was."""
    made, dice = scene.world.header(), scene.dice
    if scene.chance(97):
        return made
    used = [entry["nonce"] for entry in scene.history.entries if "nonce" in entry]
    size, _ = scene.world.ledger.head()
    return dice.choice(
        [
            replace(made, nonce=dice.choice(used)[:32]),
            replace(made, charter="sha256:" + "0c" * 32),
            replace(made, seen=Seen(size, "sha256:" + "0d" * 32)),
            replace(made, seen=Seen(size + 1, made.seen.root)),
        ]
    )


def is_strange(scene: Scene, found: Any) -> bool:
    """Whether the log would refuse a document for its header."""
    plain = scene.world.header()
    used = found.nonce in scene.world.ledger.state.nonces
    return used or (found.charter, found.seen) != (plain.charter, plain.seen)


def record(scene: Scene, envelope: bytes) -> None:
    world = scene.world
    world.add(judge_document(world.ledger, envelope, world.times), envelope)


def propose(scene: Scene) -> None:
    """A proposal of any kind, recorded or kept for a bundle."""
    world, dice = scene.world, scene.dice
    action = dice.choice(["job", "job", "federate", "serve"])
    now = world.times.at_most
    body = body_of(scene, action)
    made = world.proposal(
        header=header(scene),
        proposer=dice.choice(["lab", "lab", "chair-a", "owner-b"]),
        action=action,
        purpose=dice.choice(["research"] * 6 + ["sale"]),
        not_before=now - 10 if scene.chance(97) else now + 300,
        not_after=now + dice.choice([600, DAY, 2 * DAY, 3 * DAY] * 3 + [9 * DAY]),
        uses=body.rounds if action == "federate" else dice.choice([1, 2, 3]),
        body=body,
    )
    envelope = scene.signed(made, scene.key_of(made.proposer))
    if scene.chance(70) or is_strange(scene, made.header):
        record(scene, envelope)
    digest = digest_of(encode(made))
    scene.proposals[digest] = made, envelope
    scene.ballots[digest] = []
    if scene.chance(75):
        _approve(scene, digest)


def some_proposal(scene: Scene) -> str:
    """Mostly one of the newest."""
    known = list(scene.proposals)
    live = [d for d in known[-6:] if may_go_on(scene, d)][-3:]
    return scene.dice.choice(live if live and scene.chance(90) else known)


def may_go_on(scene: Scene, proposal: str) -> bool:
    """Whether no amendment has ended it; one that the log does not have must be of the newest."""
    if scene.history.of("proposal", proposal=proposal):
        return is_in_force(scene.history, proposal)
    made: Any = scene.proposals[proposal][0]
    return bool(made.constitution == scene.history.constitutions()[-1])


def ballot_of(scene: Scene, proposal: str, seat: str, vote: str) -> bytes:
    """A seat's next word, or one of a number that it had before."""
    world, dice = scene.world, scene.dice
    last = scene.sequences.get((proposal, seat), 0)
    now = world.times.at_most
    made = world.ballot(
        seat,
        proposal,
        vote,
        header=header(scene),
        sequence=max(1, last + dice.choice([1] * 12 + [0, -1, 3])),
        rationale=dice.choice(["It is useful."] * 15 + [" "]),
        expires=now + dice.choice([60] + [2 * DAY, 5 * DAY] * 4) if vote == "placet" else None,
    )
    envelope = scene.signed(made, scene.key_of(seat))
    # A bundle with anything else in it is refused whole, and few of them shall be.
    genuine = scene.signers[envelope] == {scene.keys[seat][0]} and seat in SEATS
    if (genuine and not is_strange(scene, made.header)) or scene.chance(3):
        scene.ballots[proposal].append(envelope)
        scene.sequences[proposal, seat] = made.sequence
    return envelope


def vote(scene: Scene, proposal: str = "", word: str = "") -> None:
    """Any word of a seat, or of somebody who has none."""
    votes = ["placet"] * 5 + ["non placet", "abstain", "recuse"]
    seat = scene.dice.choice([*SEATS, "lab"])
    word = word or scene.dice.choice(votes)
    envelope = ballot_of(scene, proposal or some_proposal(scene), seat, word)
    if word == "non placet" or scene.chance(60):
        record(scene, envelope)


def approve(scene: Scene) -> None:
    _approve(scene, some_proposal(scene))


def _approve(scene: Scene, proposal: str) -> None:
    """Everybody says yes: into the log, or into the hands of whoever makes the bundle."""
    logged = proposal in scene.world.ledger.state.proposals and scene.chance(60)
    for seat in scene.dice.sample(SEATS, scene.dice.choice([3, 4, 4])):
        envelope = ballot_of(scene, proposal, seat, "placet")
        if logged:
            scene.attempt("approve", functools.partial(record, scene, envelope))


def bundle(scene: Scene, proposal: str) -> Ticket:
    """As a host or a submitter would like it: ballots left out, or of another proposal."""
    kept = [ballot for ballot in scene.ballots[proposal] if scene.chance(90)]
    if scene.chance(4):
        kept += scene.ballots[scene.dice.choice(list(scene.proposals))][:1]
    return Ticket(scene.proposals[proposal][1], tuple(kept))


def stop(scene: Scene) -> None:
    """Any stop by anybody; mostly of something that there is."""
    world, dice = scene.world, scene.dice
    action = dice.choice(
        ["pause", "veto", "cancel"] * 8
        + ["withdraw"] * 6
        + ["revoke-seat", "revoke-program", "revoke-measurement"]
    )
    targets: dict[str, list[str]] = {
        "withdraw": list(world.ledger.state.grants),
        "revoke-seat": [*SEATS, "lab"],
        "revoke-program": [PROGRAM, OTHER_PROGRAM],
        "revoke-measurement": list(MEASUREMENTS),
    }
    runs = [lease.proposal for lease in world.ledger.state.open_leases.values()]
    found = targets.get(action, runs if runs and scene.chance(70) else list(scene.proposals)[-3:])
    if not found:
        return
    # Who may is asked half of the time, so that something comes of it.
    may = {"withdraw": "owner-b", "veto": "data-b"}.get(action, "chair-a")
    by = may if scene.chance(50) else dice.choice(EVERYBODY)
    made = world.stop(by, action, dice.choice(found), header=header(scene))
    record(scene, scene.signed(made, scene.key_of(by)))


def grant(scene: Scene) -> None:
    """Wide or narrow terms of an owner, for one of its objects."""
    world, dice = scene.world, scene.dice
    owner = dice.choice(["owner-b", "owner-b", "lab"])
    now = world.times.at_most
    wide = scene.chance(70)
    kind = dice.choice(["data", "net"])
    dataset = world.descriptor() if owner == "owner-b" else world.descriptor("more", ("public",))
    fields: Json = {
        "header": header(scene),
        "owner": owner,
        "object": dataset if kind == "data" else world.descriptor("net", ("health",), 60, "model"),
        "purposes": "any" if wide else ("research",),
        "programs": "any" if wide or kind == "net" else (PROGRAM,),
        "recipients": "any" if wide or kind == "net" else (RECIPIENT,),
        "combine_with": dice.choice(["any", "any", ("lab", "owner-b"), ()]),
        "approvals": dice.choice([(), (), ("data-b",), ("ethics-c",)]),
        "privacy": dice.choice(["any", "any", Budget("1", "1e-6"), "none"]),
        "uses": dice.choice(["any", 1, 2, 5]),
        "expires": now + dice.choice([300, DAY, 30 * DAY, 30 * DAY]),
    }
    if scene.chance(50):
        fields["evidence"] = world.constitution.evidence
    if wide or kind == "net":
        fields["parameters"] = "any"
    made = world.grant(**fields)
    envelope = scene.signed(made, scene.key_of(owner))
    world.add(judge_grant(world.ledger, envelope, world.times), envelope)


def amend(scene: Scene) -> None:
    """Another constitution, by a quorum that may be too small for it."""
    world, dice = scene.world, scene.dice
    successor = constitution_after(scene)
    keys = [scene.keys[seat.id][0] for seat in successor.seats[:1]]
    envelope = scene.signed(successor, *keys)
    body = world.amendment(successor)
    now = world.times.at_most
    window = {"not_before": now - 10, "not_after": now + DAY}
    made = world.proposal(proposer="chair-a", action="amend", purpose="order", body=body, **window)
    digest = digest_of(encode(made))
    scene.proposals[digest] = made, scene.signed(made, scene.key_of("chair-a"))
    scene.ballots[digest] = []
    for seat in dice.sample(SEATS, dice.choice([2, 3, 4, 4])):
        ballot_of(scene, digest, seat, "placet")
    ticket = bundle(scene, digest)
    world.enter(admit(world.ledger, ticket, "amend", world.times))
    admission = admit(world.ledger, ticket, "amend", world.times)
    entry = judge_amendment(world.ledger, admission, envelope, world.times)
    world.add(entry, envelope)
    world.constitution = successor
    for who in successor.principals:
        _learn(scene, who)


def _learn(scene: Scene, who: Any) -> None:
    """Which of the keys by name a principal has now."""
    own = scene.keys[who.id]
    current = [name for name in own if scene.world.key(name).public in who.keys]
    scene.keys[who.id] = [*current, *(name for name in own if name not in current)]


def again(scene: Scene) -> None:
    """Something that was signed before, as it is or under another signature."""
    world, dice = scene.world, scene.dice
    envelope = dice.choice(scene.envelopes)
    judge = dice.choice([judge_document, judge_grant])
    world.add(judge(world.ledger, envelope, world.times), envelope)


def of_others(scene: Scene) -> None:
    """What the seats have signed for another council, with the same keys."""
    record(scene, scene.dice.choice(scene.foreign))


ACTS: dict[Callable[[Scene], None], int] = {
    propose: 12,
    vote: 12,
    approve: 5,
    stop: 1,
    grant: 9,
    amend: 1,
    again: 3,
    of_others: 1,
}

__all__ = ["ACTS", "bundle", "header", "record", "some_proposal"]
