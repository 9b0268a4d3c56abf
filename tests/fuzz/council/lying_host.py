# SPDX-License-Identifier: Apache-2.0
"""What a host can do with what it keeps: restart the authority, and show it or others another
log."""

from collections.abc import Callable
from typing import Any

from effects import HISTORY, Broken
from scene import Scene

from placet.governance.documents import Ballot, Proposal, Stop
from placet.governance.envelope import inspect, parse_envelope, payload_type
from placet.governance.judgements.admission import judge_document
from placet.governance.ledger import Ledger
from placet.governance.log import Checkpoint, Tree, leaf_hash
from placet.refusals import LogEntryInvalid, Refusal
from tests.support.world import World

_KINDS: dict[str, Any] = {payload_type(kind): kind for kind in (Proposal, Ballot, Stop)}


def restart(scene: Scene) -> None:
    """The authority starts from the entries alone; sometimes it only loses what it had loaded."""
    world = scene.world
    world.ledger = scene.replayed()
    if scene.chance(40) or not scene.boots:
        scene.boots += 1
        world.boot(f"boot {scene.boots}")


def other_entries(scene: Scene) -> None:
    """An entry is left out, doubled, moved or cut off: the newest checkpoint says so."""
    world, dice = scene.world, scene.dice
    entries, place = list(world.entries), dice.randrange(len(world.entries))
    entry = entries.pop(place)
    change = dice.choice(["left out", "doubled", "moved", "cut off"])
    if change == "doubled":
        entries[place:place] = [entry, entry]
    elif change == "moved":
        entries.insert((place + 1) % len(world.entries), entry)
    elif change == "cut off":
        entries = entries[:place]
    ledger = Ledger(world)
    try:
        ledger.replay_all(entries, world.head())
    except LogEntryInvalid:
        if ledger.state == type(ledger.state)():
            return
    if entries != world.entries:
        raise Broken(f"{HISTORY}\na log with an entry {change} was believed")


def older_log(scene: Scene) -> None:
    """An authority that was rolled back takes in nothing whose signer had seen more than it has."""
    world, dice = scene.world, scene.dice
    size = dice.randrange(1, len(world.entries) + 1)
    tree = Tree(map(leaf_hash, world.entries[:size]))
    ledger = Ledger(world)
    older = Checkpoint(world.head().origin, size, tree.root())
    ledger.replay_all(world.entries[:size], older)
    for envelope in dice.sample(scene.envelopes, min(4, len(scene.envelopes))):
        kind = _KINDS.get(parse_envelope(envelope).payload_type)
        if kind is None or inspect(envelope, kind).header.seen.size <= size:
            continue
        try:
            judge_document(ledger, envelope, world.times)
        except Refusal:
            continue
        raise Broken(f"{HISTORY}\na log that was rolled back took in what had seen more")


def found_another(scene: Scene) -> None:
    """The same seats and log key, another constitution: a council of another name."""
    other = World()
    other.constitution = other.make_constitution(nonce=scene.world.nonce())
    other.found()
    if other.name == scene.world.name:
        raise Broken(f"{HISTORY}\ntwo councils have one charter")
    other.boot()
    proposal = other.proposal()
    stop = other.stop("chair-a", "revoke-seat", "data-b")
    names: list[tuple[Any, str]] = [(proposal, "lab"), (stop, "chair-a")]
    for document, name in names:
        envelope = other.signed(document, name)
        scene.signers[envelope] = {name}
        scene.foreign.append(envelope)


ACTS: dict[Callable[[Scene], None], int] = {restart: 3, other_entries: 2, older_log: 2}
