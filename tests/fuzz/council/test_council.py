# SPDX-License-Identifier: Apache-2.0
"""A bounded run of the fuzzer, and that it would notice: `make fuzz` goes on for as long as one
likes."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import campaign
import effects
from history import History
from invariants import check_entry
from scene import SEATS, Scene

from placet.governance.entries.table import KINDS

PAGE = HERE.parents[2] / "docs" / "threat-model.md"
LOGS = 12
CASES = ["pause", "veto", "cancel", "withdraw", "revoke-seat", "revoke-measurement", "twice"]


@cache
def log(number: int) -> Scene:
    return campaign.run(f"bounded/{number}")


@pytest.mark.parametrize("number", range(LOGS))
def test_no_log_breaks_a_sentence_of_the_threat_model(number: int) -> None:
    assert len(log(number).history.entries) > 20


def test_the_bounded_run_gets_everywhere() -> None:
    """A fuzzer that is refused everything finds nothing."""
    kinds = {entry["kind"] for n in range(LOGS) for entry in log(n).history.entries}
    # Who has sat out its rounds is let in again: that takes a longer run.
    assert kinds | {"lift"} == KINDS.keys()


@pytest.mark.parametrize("case", CASES)
def test_the_invariants_notice_a_lease_that_should_not_be(case: str) -> None:
    """Each lease of the runs holds where it stands, and not after somebody has said no."""
    judged = 0
    for scene in map(log, range(LOGS)):
        history = History(scene.world.store)
        history.terms = scene.history.terms
        for entry in scene.history.entries:
            if entry["kind"] == "lease":
                check_entry(history, entry)
                before = list(history.entries)
                history.entries += _no(case, history, entry)
                if len(history.entries) > len(before):
                    judged += 1
                    with pytest.raises(effects.Broken):
                        check_entry(history, entry)
                history.entries = before
            history.entries.append(entry)
    assert judged


def _no(case: str, history: History, lease: dict[str, Any]) -> list[dict[str, Any]]:
    """What comes into the log before a lease that is the same otherwise."""
    if case == "twice":
        return [lease]
    join = history.of("join", worker=lease["worker"])[0]
    targets = {
        "withdraw": lease["grants"][:1],
        "revoke-seat": list(SEATS),
        "revoke-measurement": [join["measurement"]],
    }
    fields = {"kind": "stop", "at": lease["at"], "by": "chair-a", "action": case}
    return [{**fields, "target": t} for t in targets.get(case, [lease["proposal"]])]


def test_every_invariant_names_a_sentence_of_the_page() -> None:
    page = " ".join(PAGE.read_text().replace("**", "").split())
    named = [text for name, text in vars(effects).items() if name.isupper()]
    assert named
    for text in named:
        assert text in page


def test_the_same_seed_is_the_same_log() -> None:
    first, second = (campaign.run("twice", steps=40) for _ in range(2))
    assert first.trace == second.trace
