# SPDX-License-Identifier: Apache-2.0
"""Every conformance case has the outcome that it states, and is what the generator writes."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from placet.governance.account import Times
from placet.governance.documents import Constitution
from placet.governance.envelope import verify_signed
from placet.governance.evaluate import InForce, Ticket, evaluate
from placet.governance.judgements.founding import verify_every_seat
from placet.refusals import Refusal

HERE = Path(__file__).parent
CASES = sorted(path.name for path in (HERE / "ticket").iterdir())


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "ticket").rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", CASES)
def test_the_outcome_is_the_one_stated(name: str) -> None:
    folder = HERE / "ticket" / name
    case = tomllib.loads((folder / "case.toml").read_text())
    envelope = (folder / "constitution.json").read_bytes()
    constitution = verify_signed(envelope, Constitution, lambda c: c.seat_keys)
    verify_every_seat(envelope, constitution.document)
    bundle = json.loads((folder / "ticket.json").read_text())
    ballots = tuple(json.dumps(ballot).encode() for ballot in bundle["ballots"])
    ticket = Ticket(json.dumps(bundle["proposal"]).encode(), ballots)
    in_force = InForce(constitution.document, constitution.digest, case["charter"])
    try:
        refusals = evaluate(ticket, in_force, Times(case["at_least"], case["at_most"])).refusals
    except Refusal as refusal:
        refusals = (refusal,)
    reason = refusals[0].reason if refusals else ""
    assert reason == case["expected"]
    assert bool(reason) == name.endswith("_fail")


def test_the_files_are_those_that_the_generator_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, HERE / "generate.py", tmp_path], check=True)
    assert files(tmp_path) == files(HERE)
