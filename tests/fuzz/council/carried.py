# SPDX-License-Identifier: Apache-2.0
"""How far amendments carried a proposal: told from the entries in their order, and from documents
as JSON, by nothing of the product."""

import hashlib
import json

from history import History, Json, by_kind, inputs_of, labels_of, principal, rules_of


def judged_under(history: History, digest: str) -> str:
    """The newest constitution that left alone all that a proposal rests on."""
    proposal = history.document(digest)
    current, entered, voted = proposal["constitution"], False, set[str]()
    for entry in history.entries:
        kind = entry["kind"]
        entered = entered or (kind == "proposal" and entry["proposal"] == digest)
        if kind == "ballot" and entry["proposal"] == digest:
            voted.add(entry["seat"])
        elif kind == "constitution" and entered:
            old, new = history.document(current), history.document(entry["constitution"])
            if proposal["action"] == "amend" or _rest(old, proposal, voted) != _rest(
                new, proposal, voted
            ):
                return str(current)
            current = entry["constitution"]
    return str(current)


def is_in_force(history: History, digest: str) -> bool:
    """Whether no amendment has ended a proposal."""
    return judged_under(history, digest) == history.constitutions()[-1]


def evidence_about(constitution: Json, launched: str | list[str]) -> list[object]:
    """The evidence policies, without the lines on workers for anything else; "any": with them."""
    authority, worker = (
        constitution["evidence"]["authority"],
        dict(constitution["evidence"]["worker"]),
    )
    if launched != "any":
        lines = worker["measurements"]
        kept = [line for line in lines if "=" not in line or line.split("=")[1] in launched]
        worker = {**worker, "measurements": kept}
    return [authority, worker]


def _rest(constitution: Json, proposal: Json, voted: set[str]) -> list[object]:
    body = proposal["body"]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    launched = body.get("program") or "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    named = voted | {proposal["proposer"], *body.get("roster", [])}
    named |= {given["owner"] for given in inputs_of(proposal)}
    named |= {recipient["id"] for recipient in body.get("recipients", [])}
    users = body.get("users", {})
    named |= set(users.get("users", []))
    everybody = constitution["seats"] + constitution["parties"]
    organisations = users.get("organisations", [])
    named |= {who["id"] for who in everybody if who["organisation"] in organisations}
    rules = {rule["id"]: by_kind(rule["demands"]) for rule in rules_of(proposal, constitution)}
    return [
        evidence_about(constitution, [launched]),
        constitution["witnesses"],
        constitution["recovery"],
        labels_of(proposal) & set(constitution["labels"]),
        rules,
        {name: _who(principal(constitution, name)) for name in named},
    ]


def _who(found: Json | None) -> object:
    return found and (found["organisation"], found.get("role"), sorted(found["keys"]))
