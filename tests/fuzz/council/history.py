# SPDX-License-Identifier: Apache-2.0
"""What a log says, read by whoever has its entries and documents: nothing here asks the product.

Entries and documents are JSON; every question goes through the whole log again.
"""

import base64
import json
from collections import defaultdict
from typing import Any

Json = dict[str, Any]


class History:
    """The entries until now, and what was signed for them."""

    def __init__(self, store: dict[str, bytes]) -> None:
        self.entries: list[Json] = []
        # What a worker for a federation or a service is launched for, by its proposal.
        self.terms: dict[str, str] = {}
        self._store = store
        self._read: dict[str, Json] = {}

    def document(self, digest: str) -> Json:
        """What a document says."""
        if digest not in self._read:
            payload = base64.b64decode(json.loads(self._store[digest])["payload"])
            self._read[digest] = json.loads(payload)
        return self._read[digest]

    def of(self, *kinds: str, **fields: object) -> list[Json]:
        """The entries of these kinds that have these fields."""
        return [
            entry
            for entry in self.entries
            if entry["kind"] in kinds and fields.items() <= entry.items()
        ]

    def constitutions(self) -> list[str]:
        """Digests, oldest first; the last one is in force."""
        return [entry["constitution"] for entry in self.of("charter", "constitution")]

    def in_force(self) -> Json:
        return self.document(self.constitutions()[-1])

    def granted_under(self, grant: str) -> Json:
        """The constitution that was in force when the owner granted."""
        before = self.entries[: self.entries.index(self.of("grant", grant=grant)[0])]
        digests = [e["constitution"] for e in before if e["kind"] in ("charter", "constitution")]
        return self.document(digests[-1])

    def boot(self) -> str:
        return str(self.of("boot")[-1]["boot"])

    def boot_of(self, entry: Json) -> str:
        """The life of the authority that an entry is of."""
        before = self.entries[: self.entries.index(entry)]
        return str([e["boot"] for e in before if e["kind"] == "boot"][-1])

    def stopped(self, *actions: str) -> set[str]:
        """What such stops name."""
        return {entry["target"] for entry in self.of("stop") if entry["action"] in actions}

    def votes(self, proposal: str) -> dict[str, list[Json]]:
        """Of each seat its ballots of its highest number. Two of them are a no."""
        cast: dict[str, list[Json]] = {}
        for entry in self.of("ballot", proposal=proposal):
            ballot = self.document(entry["ballot"])
            of_seat = cast.setdefault(ballot["seat"], [])
            if of_seat and ballot["sequence"] > of_seat[0]["sequence"]:
                of_seat.clear()
            if not of_seat or ballot["sequence"] == of_seat[0]["sequence"]:
                of_seat.append(ballot)
        return cast

    def jobs(self, proposal: str = "", grant: str = "") -> set[tuple[str, str]]:
        """The uses of a proposal, or of a grant: what was handed out, each once."""
        handed = self.of("lease", "open-round")
        found = {
            (entry["proposal"], job_of(entry))
            for entry in handed
            if proposal == entry["proposal"] or grant in entry["grants"]
        }
        amended = self.of("constitution", proposal=proposal)
        return found | {(proposal, "amend") for _ in amended}

    def status(self, lease: str) -> str:
        if self.of("release", lease=lease):
            return "released"
        return "closed" if self.of("close", lease=lease) else "open"

    def deadline(self, lease: str) -> int:
        """Until when the lease holds, by what was said of it last."""
        return int(self.of("lease", "renewal", lease=lease)[-1]["deadline"])

    def round(self, proposal: str) -> tuple[int, str]:
        """The newest round of a federation and how it stands; 0 before the first."""
        number, standing = 0, "void"
        for entry in self.of("open-round", "close-round", "release", proposal=proposal):
            number = entry["round"]
            if entry["kind"] == "open-round":
                standing = "open"
            elif entry["kind"] == "close-round":
                standing = entry["standing"]
            else:
                standing = "released" if entry["receipt"] else "void"
        return number, standing


def job_of(entry: Json) -> str:
    """The job of a lease, or of the round that an entry opens."""
    if "job" in entry:
        return str(entry["job"])
    return f"{entry['proposal'].removeprefix('sha256:')[:40]}-{entry['round']}"


def principal(constitution: Json, name: str) -> Json | None:
    """A seat or a party."""
    everybody = constitution["seats"] + constitution["parties"]
    return next((who for who in everybody if who["id"] == name), None)


def inputs_of(proposal: Json) -> list[Json]:
    """Objects and owners that it takes grants for, in the order of their names."""
    body = proposal["body"]
    if proposal["action"] == "job":
        return [body["inputs"][name] for name in sorted(body["inputs"])]
    return [body["model"]] if body.get("model") else []


def labels_of(proposal: Json) -> set[str]:
    """The labels of all data that it touches."""
    body = proposal["body"]
    own = {"federate": body.get("labels", []), "serve": body.get("card", {}).get("labels", [])}
    found = set(own.get(proposal["action"], []))
    return found.union(*(given["object"]["labels"] for given in inputs_of(proposal)))


def by_kind(demands: list[Json]) -> dict[str, list[Json]]:
    """The demands of a rule, those of one kind together."""
    found: dict[str, list[Json]] = defaultdict(list)
    for demand in sorted(demands, key=json.dumps):
        found[demand["demand"]].append(demand)
    return found


def veto_roles(rules: list[Json]) -> set[str]:
    return {d["role"] for rule in rules for d in rule["demands"] if d["demand"] == "veto"}


def rules_of(proposal: Json, constitution: Json) -> list[Json]:
    """The rules that apply."""

    def listed(wanted: Any, found: set[str]) -> bool:
        return wanted == "any" or not found.isdisjoint(wanted)

    return [
        rule
        for rule in constitution["rules"]
        if listed(rule["when"]["actions"], {proposal["action"]})
        and listed(rule["when"]["purposes"], {proposal["purpose"]})
        and listed(rule["when"]["labels"], labels_of(proposal))
    ]


def says_no(ballots: list[Json]) -> bool:
    """Whether a seat's standing ballots are a no."""
    return len(ballots) > 1 or any(ballot["vote"] == "non placet" for ballot in ballots)
