# SPDX-License-Identifier: Apache-2.0
"""The table of kinds: every kind has a form and a judge, and what the table does not have is
refused by one name, whoever folds it."""

import pytest

from placet.auditing.entry_form import has_form
from placet.auditing.judges import JUDGES
from placet.governance.account import Times
from placet.governance.entries.council import BALLOT, BOOT
from placet.governance.entries.kind import Entry
from placet.governance.entries.table import KINDS, apply
from placet.governance.state import State
from placet.refusals import LogEntryInvalid

DIGEST = "sha256:" + "12" * 32
BOOTED = BOOT.new(Times(1, 2), {"boot": "b", "identity": DIGEST, "evidence": DIGEST, "nonce": "00"})
VOTED = BALLOT.new(
    Times(1, 2),
    {
        "ballot": DIGEST,
        "nonce": "00",
        "proposal": DIGEST,
        "seat": "chair",
        "sequence": 1,
        "vote": "placet",
    },
)


def test_an_audit_judges_every_kind_and_no_other() -> None:
    assert JUDGES.keys() == KINDS.keys()


def test_a_kind_has_the_name_that_it_is_found_by() -> None:
    assert all(kind.name == name for name, kind in KINDS.items())


def test_an_entry_is_folded_and_has_its_form() -> None:
    state = State()
    apply(state, BOOTED)
    assert (state.boot, state.size, state.at) == ("b", 1, (1, 2))
    assert has_form(BOOTED)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {**BOOTED, "kind": "nonsense"},
        {**BOOTED, "kind": ["boot"]},
        {**BOOTED, "at": [1]},
        {"kind": "boot", "at": [1, 2]},
        {**VOTED},
        {**VOTED, "proposal": 7},
    ],
    ids=["empty", "unknown kind", "no kind", "one time", "no fields", "no proposal", "a number"],
)
def test_what_cannot_be_folded_is_refused_by_its_number(entry: Entry) -> None:
    with pytest.raises(LogEntryInvalid) as refusal:
        apply(State(), entry)
    assert refusal.value.details["claim"] == "entry 0"


@pytest.mark.parametrize(
    "entry",
    [
        {**BOOTED, "kind": "nonsense"},
        {**BOOTED, "boot": 1},
        {**BOOTED, "nonce": "0"},
        {**BOOTED, "more": "x"},
        {**BOOTED, "at": [1, True]},
        {name: BOOTED[name] for name in ("kind", "at", "boot", "identity", "evidence")},
    ],
)
def test_an_entry_of_another_form_has_none(entry: Entry) -> None:
    assert not has_form(entry)
