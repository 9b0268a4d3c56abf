# SPDX-License-Identifier: Apache-2.0
"""The entries of a log that people care about, one line each: who did what to which data, when, and
for which purpose.

    subjects = {digest: subject_of(ledger, digest) for digest in subjects_in(state, entries)}
    timeline(state, entries, subjects)

Entries of enclaves alone (boots, joins, renewals) are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from placet.governance.entries.kind import Entry
from placet.governance.ledger import Ledger
from placet.governance.sentences import count, listed, time_text
from placet.governance.state import State
from placet.governance.text import plain


@dataclass(frozen=True, slots=True)
class Datum:
    """An object and its owner; its labels are empty where nobody gives the proposal."""

    owner: str
    object: str
    labels: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Named by its digest's beginning."""
        labels = f", labels {listed(self.labels)}" if self.labels else ""
        return f"the object {self.object[7:19]} of {self.owner}{labels}"


@dataclass(frozen=True, slots=True)
class Subject:
    """A proposal, as far as a line needs it."""

    digest: str
    proposer: str
    action: str
    purpose: str
    data: tuple[Datum, ...]


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


_Told = tuple[str, str, tuple[Datum, ...]]


def _proposal_of(state: State, entry: Entry) -> str:
    if entry["kind"] == "stop":
        return entry["target"] if entry["target"] in state.proposals else ""
    if entry["kind"] == "close":
        return state.leases[entry["lease"]].proposal
    return str(entry.get("proposal", ""))


def _given(state: State, grants: Sequence[str], about: Subject) -> tuple[Datum, ...]:
    """The objects of grants; the log has these without any document, all but their labels."""
    labels = {(one.owner, one.object): one.labels for one in about.data}
    found = dict.fromkeys((state.grants[g].owner, state.grants[g].object) for g in grants)
    return tuple(Datum(*one, labels.get(one, ())) for one in found)


def _named(about: Subject) -> str:
    purpose = f" for the purpose {about.purpose}" if about.purpose else ""
    return f"the proposal {about.digest[7:19]}{purpose}"


def _all(data: tuple[Datum, ...]) -> str:
    return "; ".join(one.text for one in data) or "no object"


def _charter(state: State, entry: Entry, about: Subject) -> _Told:
    return "", "The council was founded.", ()


def _constitution(state: State, entry: Entry, about: Subject) -> _Told:
    digest = entry["constitution"][7:19]
    return "", f"The constitution {digest} was put in force by {_named(about)}.", ()


def _proposal(state: State, entry: Entry, about: Subject) -> _Told:
    who = entry["proposer"]
    if not about.action:
        return who, f"{who} made {_named(about)}, which the host does not give.", ()
    sentence = f"{who} made {_named(about)}: the action {about.action} on {_all(about.data)}."
    return who, sentence, about.data


def _ballot(state: State, entry: Entry, about: Subject) -> _Told:
    return entry["seat"], f"{entry['seat']} said {entry['vote']} to {_named(about)}.", about.data


_STOPS = {
    "pause": "paused",
    "veto": "vetoed",
    "cancel": "cancelled",
    "revoke-seat": "revoked the seat",
    "revoke-program": "revoked the program",
    "revoke-measurement": "revoked the measurement",
}


def _stop(state: State, entry: Entry, about: Subject) -> _Told:
    by, action, target = entry["by"], entry["action"], entry["target"]
    if action == "withdraw":
        data = _given(state, [target], about)
        return by, f"{by} withdrew the grant {target[7:19]} for {_all(data)}.", data
    what = _named(about) if about.digest else target
    return by, f"{by} {_STOPS[action]} {what}.", about.data


def _grant(state: State, entry: Entry, about: Subject) -> _Told:
    data, until = _given(state, [entry["grant"]], about), time_text(entry["expires"])
    owner = entry["owner"]
    return owner, f"{owner} granted the use of {_all(data)} until {until}.", data


def _lease(state: State, entry: Entry, about: Subject) -> _Told:
    data = _given(state, entry["grants"], about)
    attempt = f"attempt {entry['attempt']} of the job {entry['job']} of {_named(about)}"
    return about.proposer, f"A worker was given {_all(data)}, for {attempt}.", data


def _release(state: State, entry: Entry, about: Subject) -> _Told:
    done = "released its outputs" if entry["receipt"] else "ended without a release"
    sentence = f"The job {entry['job']} of {_named(about)} {done}."
    if entry["left"]:
        sentence += f" It left out {listed(sorted(entry['left']))}."
    return about.proposer, sentence, about.data


def _close(state: State, entry: Entry, about: Subject) -> _Told:
    why, job = plain(entry["why"]), entry["job"]
    sentence = f"An attempt of the job {job} of {_named(about)} was closed: {why}."
    return about.proposer, sentence, about.data


def _open_round(state: State, entry: Entry, about: Subject) -> _Told:
    data = _given(state, entry["grants"], about)
    sentence = f"The round {entry['round']} of {_named(about)} was opened, with {_all(data)}."
    return about.proposer, sentence, data


def _update(state: State, entry: Entry, about: Subject) -> _Told:
    who = entry["client"]
    return who, f"{who} sent an update for the round {entry['round']} of {_named(about)}.", ()


def _close_round(state: State, entry: Entry, about: Subject) -> _Told:
    updates = state.federations[entry["proposal"]].rounds[int(entry["round"]) - 1].updates
    clients = {update.digest: client for client, update in updates.items()}
    counted = listed(sorted(clients[digest] for digest in entry["counted"]))
    how = "closed" if entry["standing"] == "closed" else "void"
    sentence = f"The round {entry['round']} of {_named(about)} is {how}, with updates of {counted}."
    return "", sentence, ()


def _lift(state: State, entry: Entry, about: Subject) -> _Told:
    sentence = f"{entry['client']} may take part in {_named(about)} again."
    return entry["client"], sentence, ()


def _draw(state: State, entry: Entry, about: Subject) -> _Told:
    rows = count(entry["rows"], "row")
    sentence = f"{entry['user']} drew {rows} of the ration of {_named(about)}."
    return entry["user"], sentence, about.data


TOLD: dict[str, Callable[[State, Any, Subject], _Told]] = {
    "charter": _charter,
    "constitution": _constitution,
    "proposal": _proposal,
    "ballot": _ballot,
    "stop": _stop,
    "grant": _grant,
    "lease": _lease,
    "release": _release,
    "close": _close,
    "open-round": _open_round,
    "update": _update,
    "close-round": _close_round,
    "lift": _lift,
    "draw": _draw,
}
LEFT_OUT = frozenset({"boot", "join", "renewal"})
