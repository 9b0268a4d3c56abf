# SPDX-License-Identifier: Apache-2.0
"""Councils that an operator makes up: seats of the same names, with keys of the operator's own.

One is on a host of its own. The other has the real council's own authority: the operator has kept
its sealed root secret, and starts it over a store that is empty otherwise.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from cheating import NotRefused, refused
from hospitals import Council, running_host
from rich.console import Console

from placet.client import Client, Home, ReceiptFile, Result

_OWNER = "west"


def cheat_with_a_made_up_council(
    console: Console, council: Council, options: Sequence[str]
) -> None:
    """An owner with a new home has the host's address and pin, both from the operator."""
    folder = council.folder / "made-up"
    made_up = Council(folder)
    made_up.build = council.build
    made_up.owners = council.owners  # their public keys are everybody's to write down
    with running_host(folder, options=options) as (address, pin):
        with made_up.connect(address, pin) as client:
            made_up.found(client)
        told = council.home(_OWNER, address, pin)
        untold = Home(council.folder / _OWNER / "newcomer")
        untold.configure(address, pin)
        for number, home, owner, reason in (
            (12, told, "has the charter's digest from another member", "NOT_FOUNDED"),
            (13, untold, "was told of no charter", "SETTING_MISSING"),
        ):
            what = f"A made-up council of the same names, for an owner who {owner}."
            refused(console, number, what, reason, partial(_grant, council, home))
        if kept := _granted(folder):
            raise NotRefused(f"The made-up council's host has been given {', '.join(kept)}.")


def _grant(council: Council, home: Home) -> None:
    """What an owner does at a host: grant, and provision the key."""
    with Client.at_home(home, simulated=True, keys=council.owners[_OWNER]) as client:
        council.grant(client, _OWNER)


def cheat_with_a_second_founding(
    console: Console, council: Council, grant: str, result: Result, options: Sequence[str]
) -> None:
    """The host founds the real council's authority once more, under seats of its own."""
    folder = council.folder / "second"
    second = Council(folder)
    second.build = council.build
    _keep_the_root(council.folder / "host", folder / "host")
    with running_host(folder, options=options, cpu=council.folder / "cpu") as (address, pin):
        with second.connect(address, pin) as client:
            second.found(client)
            receipt = _receipt(client, second)
        what = "A second founding: the same authority, the host's seats, and an owner's key."
        refused(console, 14, what, "OTHER_LOG", lambda: _provision(council, grant, address, pin))
    _tell_logs(console, council.memory.log, second.memory.log)
    said = receipt.verify(second.memory.charter).receipt.predicate
    seats = ", ".join(said.approved_by)
    what = f"A receipt of the second founding, as the real council's: approved by {seats}."
    forged = _dressed(receipt, ReceiptFile.from_bytes(result.receipt_file.read_bytes()))
    refused(console, 15, what, "SIGNATURE_INVALID", lambda: forged.verify(council.memory.charter))


def _keep_the_root(host: Path, emptied: Path) -> None:
    """A host's store again, in another folder: empty, but for the root secret as it was sealed."""
    emptied.mkdir(parents=True)
    with (
        contextlib.closing(sqlite3.connect(host / "placet.db")) as database,
        contextlib.closing(sqlite3.connect(emptied / "placet.db")) as copy,
    ):
        database.backup(copy)
        tables = [
            name for (name,) in copy.execute("SELECT name FROM sqlite_schema WHERE type='table'")
        ]
        for table in set(tables) - {"meta", "secrets"}:
            copy.execute(f"DELETE FROM {table}")
        copy.execute("DELETE FROM secrets WHERE name != 'root'")
        copy.commit()


def _receipt(client: Client, council: Council) -> ReceiptFile:
    """What this council's authority signs, after a job over rows of nobody."""
    rows = np.random.default_rng(1).integers(0, 2, (20, 31)).astype(np.float64)
    council.seal_and_grant(client, "north", rows)
    parameters = {"steps": 1, "learning_rate_percent": 30}
    proposal = council.propose(client, "breast_cancer", parameters, "model", hospitals=("north",))
    council.vote(client, proposal, "north", "south", "privacy")
    job = client.runs.start(client.council.ticket(proposal))
    client.runs.wait(job.id)
    result = client.jobs.result(job.id, council.analyst, council.folder / "analyst" / "result")
    return ReceiptFile.from_bytes(result.receipt_file.read_bytes())


def _provision(council: Council, grant: str, address: str, pin: str) -> None:
    """A key that an owner is asked for once more: grant and authority are genuine."""
    envelope, made = council.memory.document(grant), council.objects["south"]
    assert envelope is not None, "the members' memory keeps what they have recorded"
    owner = council.owners["south"]
    with council.connect(address, pin) as client:
        client.grants.provision(owner, envelope, made.open_key(owner.hpke))


def _tell_logs(console: Console, real: str, second: str) -> None:
    """Show by what a log's key differs: the last digits of the verifier keys."""
    if real == second:
        raise NotRefused("The second founding has the real log's key.")
    console.print(
        f"    The real log's key ends in {real[-8:]}, and the second one's in {second[-8:]}."
    )


def _dressed(receipt: ReceiptFile, genuine: ReceiptFile) -> ReceiptFile:
    """A receipt in the file of a genuine one, with the real charter and constitutions."""
    return replace(genuine, receipt=receipt.receipt, entry=receipt.entry, proof=receipt.proof)


def _granted(folder: Path) -> list[str]:
    """The grants whose keys a host was given."""
    with contextlib.closing(sqlite3.connect(folder / "host" / "placet.db")) as database:
        found = database.execute("SELECT name FROM secrets WHERE name LIKE 'grant/%'")
        return [name for (name,) in found]
