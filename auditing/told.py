# SPDX-License-Identifier: Apache-2.0
"""What the line of the timeline says for each kind of entry (timeline.py).

`TOLD` has a function for each: from the state, the entry and its proposal to who did it, in which
words, to which data. The log itself has whose objects were handed out; purposes and labels stand in
proposals, which a host may withhold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from placet.governance.entries.kind import Entry
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


_Told = tuple[str, str, tuple[Datum, ...]]


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
