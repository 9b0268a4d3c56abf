# SPDX-License-Identifier: Apache-2.0
"""Ways to cheat, each with the refusal that it gets. An attack that gets none ends the demo with an
error.

Ten are here. decoy.py has one more, and made_up.py the four of councils that an operator makes up.
"""

import base64
import contextlib
import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from hospitals import HERE, Council, running_host
from rich.console import Console

from placet.client import Client, InputRefused, ReceiptFile, Result, build_bundle
from placet.governance.envelope import parse_envelope
from placet.governance.evaluate import Ticket
from placet.refusals import Refusal, Refused


class NotRefused(Exception):
    """Somebody cheated and got away with it."""


class Attacks:
    """What the attacks start from: a council, an approved proposal that has been used, and its
    result."""

    def __init__(self, client: Client, council: Council) -> None:
        self.client = client
        self.council = council

    def run(self, proposal: str) -> str:
        """Submit and wait; a job that was not released raises its refusal. Returns the job's id."""
        job = self.client.runs.start(self.client.council.ticket(proposal))
        ended = self.client.runs.wait(job.id)
        if ended.refusal is not None:
            raise ended.refusal
        return job.id

    def training(self, *, uses: int = 1) -> str:
        """A further proposal for the honest program."""
        parameters = {"steps": 400, "learning_rate_percent": 30}
        return self.council.propose(self.client, "breast_cancer", parameters, "model", uses=uses)

    def attack_program(self, name: str, parameters: dict[str, str | int | bool]) -> str:
        """A proposal for one of the programs in attacks/, approved by a council that did not read
        it."""
        program = f"attacks/{name}"
        proposal = self.council.propose(
            self.client, program, parameters, "report", hospitals=("north",), reason="Trust me."
        )
        self.council.vote(self.client, proposal, "north", "west", "privacy")
        return proposal


def cheat(
    console: Console,
    client: Client,
    council: Council,
    used: str,
    grants: dict[str, str],
    result: Result,
) -> None:
    """Nine attacks on a council at work."""
    attacks = Attacks(client, council)
    cases: list[tuple[str, str, Callable[[], object]]] = [
        ("Two votes instead of three.", "RULE_NOT_MET", lambda: two_votes(attacks)),
        ("One member votes with two keys.", "RULE_NOT_MET", lambda: two_keys(attacks)),
        ("A veto that the submitter left out.", "VETOED", lambda: veto_left_out(attacks)),
        ("A used-up ticket, other ballots.", "TICKET_USED_UP", lambda: used_up(attacks, used)),
        ("A changed program.", "SIGNATURE_INVALID", lambda: changed_program(attacks)),
        (
            "A program makes a second identity and asks for another program's lease.",
            "LAUNCHED_FOR_MISMATCH",
            lambda: second_identity(attacks),
        ),
        ("A flipped byte in a sealed blob.", "OBJECT_ROOT_MISMATCH", lambda: flipped(attacks)),
        (
            "A grant is withdrawn while the job runs.",
            "GRANT_WITHDRAWN",
            lambda: withdrawn(attacks, grants["north"]),
        ),
        ("A forged receipt.", "SIGNATURE_INVALID", lambda: forged_receipt(attacks, result)),
    ]
    for number, (what, reason, attack) in enumerate(cases, 1):
        refused(console, number, what, reason, attack)


def two_votes(attacks: Attacks) -> None:
    proposal = attacks.training()
    attacks.council.vote(attacks.client, proposal, "north", "privacy")
    attacks.run(proposal)


def two_keys(attacks: Attacks) -> None:
    """The laptop and the phone of one seat, and the privacy officer: three signatures, two
    votes."""
    proposal = attacks.training()
    attacks.council.vote(attacks.client, proposal, "north", "privacy")
    phone = attacks.council.phone
    attacks.client.council.vote(phone, proposal, "placet", interests="none", rationale="Me again.")
    attacks.run(proposal)


def veto_left_out(attacks: Attacks) -> None:
    proposal = attacks.training()
    attacks.council.vote(attacks.client, proposal, "north", "south", "privacy")
    kept = attacks.client.council.ticket(proposal)
    attacks.client.council.vote(
        attacks.council.seats["patients"], proposal, "non placet", interests="none", rationale="No."
    )
    attacks.client.runs.start(kept)


def used_up(attacks: Attacks, used: str) -> None:
    attacks.council.vote(attacks.client, used, "west")
    attacks.client.runs.start(attacks.client.council.ticket(used))


def changed_program(attacks: Attacks) -> None:
    """The approved proposal, with the digest of another program, which is there, written into
    it."""
    bundle = build_bundle(HERE / "attacks" / "slow")
    owner = attacks.council.analyst.signing.public
    attacks.client.blobs.put(bundle.blob, bundle.data, owner=owner)
    proposal = attacks.training()
    attacks.council.vote(attacks.client, proposal, "north", "south", "privacy")
    ticket = attacks.client.council.ticket(proposal)
    payload = json.loads(_payload(ticket.proposal))
    payload["body"]["program"] = bundle.digest
    changed = _with_payload(ticket.proposal, json.dumps(payload).encode())
    attacks.client.runs.start(Ticket(changed, ticket.ballots))


def second_identity(attacks: Attacks) -> None:
    """See attacks/second_identity: its released output is the authority's answer."""
    victim = attacks.training()
    attacks.council.vote(attacks.client, victim, "north", "south", "privacy")
    job = attacks.run(attacks.attack_program("second_identity", {"victim": victim}))
    folder = attacks.council.folder / "analyst" / "stolen"
    opened = attacks.client.jobs.result(job, attacks.council.analyst, folder)
    reason, _, message = opened.outputs["report"].read_text().partition(": ")
    raise Refused(reason, message, {})


def flipped(attacks: Attacks) -> None:
    """The host's operator changes one byte of what it keeps for Hospital South."""
    object_id = attacks.council.objects["south"].descriptor.id
    blobs = (attacks.council.folder / "host" / "blobs").rglob("*")
    kept = [path for path in blobs if path.is_file() and object_id in str(path)]
    part = max(kept, key=lambda path: path.stat().st_size)
    before = part.read_bytes()
    part.write_bytes(before[:1000] + bytes([before[1000] ^ 1]) + before[1001:])
    proposal = attacks.training()
    attacks.council.vote(attacks.client, proposal, "north", "south", "privacy")
    try:
        attacks.run(proposal)
    finally:
        part.write_bytes(before)


def withdrawn(attacks: Attacks, grant: str) -> None:
    """The owner changes their mind while the program has the data: it stops, and no output
    leaves."""
    proposal = attacks.attack_program("slow", {"seconds": 30})
    job = attacks.client.runs.start(attacks.client.council.ticket(proposal))
    for state in attacks.client.runs.watch(job.id):
        if state.state == "running" and state.progress == 0:
            owner = attacks.council.owners["north"]
            attacks.client.council.stop(owner, "withdraw", grant, reason="We changed our mind.")
        if state.ended and state.refusal is not None:
            raise state.refusal


def forged_receipt(attacks: Attacks, result: Result) -> None:
    """A receipt that says that the patients' council approved as well."""
    genuine = ReceiptFile.from_bytes(result.receipt_file.read_bytes())
    payload = json.loads(_payload(genuine.receipt))
    payload["predicate"]["approved_by"].append("patients")
    forged = _with_payload(genuine.receipt, json.dumps(payload).encode())
    dataclasses.replace(genuine, receipt=forged).verify(attacks.client.log.charter)


def snapshot(folder: Path) -> None:
    """What a host's operator can always do: keep a copy of everything as it is now."""
    with (
        contextlib.closing(sqlite3.connect(folder / "host" / "placet.db")) as database,
        contextlib.closing(sqlite3.connect(folder / "older.db")) as copy,
    ):
        database.backup(copy)


def cheat_with_the_log(
    console: Console, council: Council, folder: Path, options: Sequence[str]
) -> None:
    """The operator starts the host again from the older copy, in which the grant is not
    withdrawn."""
    database, newest = folder / "host" / "placet.db", folder / "newest.db"
    shutil.move(database, newest)
    shutil.copy(folder / "older.db", database)

    def attack() -> None:
        with (
            running_host(folder, options=options) as (address, pin),
            council.connect(address, pin) as client,
        ):
            client.log.checkpoint()

    refused(console, 11, "A truncated log.", "LOG_TRUNCATED", attack)
    shutil.move(newest, database)
    (folder / "older.db").unlink()


def refused(
    console: Console, number: int, what: str, reason: str, attack: Callable[[], object]
) -> None:
    """Run an attack; show the refusal it gets, which has to be for this reason."""
    console.print(f"\n[bold]{number:2}. {what}[/bold]")
    try:
        attack()
    except (Refused, InputRefused, Refusal) as refusal:
        if refusal.reason != reason:
            raise NotRefused(f"{what}: refused for {refusal.reason}, not {reason}") from refusal
        console.print(f"    [red]{refusal.reason}[/red] {refusal}")
    else:
        raise NotRefused(what)


def _payload(envelope: bytes) -> bytes:
    return parse_envelope(envelope).payload


def _with_payload(envelope: bytes, payload: bytes) -> bytes:
    """The envelope with other contents under the signatures it had."""
    value = json.loads(envelope)
    value["payload"] = base64.b64encode(payload).decode()
    return json.dumps(value).encode()
