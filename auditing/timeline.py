# SPDX-License-Identifier: Apache-2.0
"""The entries of a log that people care about, one line each: who did what to which data, when, and
for which purpose.

    subjects = {digest: subject_of(ledger, digest) for digest in subjects_in(state, entries)}
    timeline(state, entries, subjects)

Entries of enclaves alone (boots, joins, renewals) are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from placet.auditing.told import TOLD, Datum, Subject
from placet.governance.entries.kind import Entry
from placet.governance.ledger import Ledger
from placet.governance.state import State


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the log: who did what (`did` is its kind) to which data, and the purpose; what is
    not known, or does not apply, is empty."""

    index: int
    at: int
    who: str
    did: str
    data: tuple[Datum, ...]
    purpose: str
    proposal: str
    sentence: str


def subject_of(ledger: Ledger, digest: str) -> Subject:
    """Raises `DocumentNotFound`."""
    said = ledger.proposal(digest).document
    data = tuple(
        Datum(given.owner, given.object.digest, given.object.labels) for given in said.body.given
    )
    return Subject(digest, said.proposer, said.action, said.purpose, data)


def subjects_in(state: State, entries: Sequence[Entry]) -> list[str]:
    """The proposals that these entries are about."""
    found = dict.fromkeys(_proposal_of(state, entry) for entry in entries)
    return [digest for digest in found if digest]


def timeline(
    state: State, entries: Sequence[Entry], subjects: Mapping[str, Subject], start: int = 0
) -> list[Event]:
    """The events of entries, the first of which is the log's entry `start`, in its order."""
    found: list[Event] = []
    for index, entry in enumerate(entries, start):
        tell = TOLD.get(entry["kind"])
        if tell is None:
            continue
        proposal = _proposal_of(state, entry)
        unknown = Subject(proposal, "", "", "", ())
        about = subjects.get(proposal, unknown)
        who, sentence, data = tell(state, entry, about)
        found.append(
            Event(
                index, entry["at"][1], who, entry["kind"], data, about.purpose, proposal, sentence
            )
        )
    return found


def involving(events: Sequence[Event], name: str) -> list[Event]:
    """Those that somebody did, and those that concern data of theirs."""
    return [
        event for event in events if name == event.who or name in {one.owner for one in event.data}
    ]


def _proposal_of(state: State, entry: Entry) -> str:
    if entry["kind"] == "stop":
        return entry["target"] if entry["target"] in state.proposals else ""
    if entry["kind"] == "close":
        return state.leases[entry["lease"]].proposal
    return str(entry.get("proposal", ""))
