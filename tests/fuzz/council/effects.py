# SPDX-License-Identifier: Apache-2.0
"""When an effect may be: judged anew by a few lines, over the whole log, and not by the product.

`check_stands` is for whatever gives a key, an answer or a model. The exceptions for what runs are
those of docs/design.md ("A no does not fade").
"""

from typing import Any

import budgets
from carried import evidence_about, is_in_force, judged_under
from history import (
    History,
    Json,
    by_kind,
    inputs_of,
    job_of,
    labels_of,
    principal,
    rules_of,
    says_no,
    veto_roles,
)


class Broken(AssertionError):
    """A sentence of the threat model does not hold."""


def must(holds: bool, sentence: str, entry: Json) -> None:
    """Fail with the sentence that an entry breaks. A test looks each of them up in the page."""
    if not holds:
        raise Broken(f"{sentence}\nbroken by {entry}")


# Headings of the page, and sentences of it.
RIGHT_TO_STOP = "### The right to stop"
DECISION = "### The decision to run"
TICKET = "### The bounds of a ticket and of a grant"
RUNS_WHERE = "### The machine and the code"
HISTORY = "### The history"
OTHER_DATA = "A worker gets leases for the one program that it was launched for"
BUDGETS = "One log holds an owner's privacy budget to its last unit"
SUSPENDED = "An amendment suspends a grant whose owner agreed to other rules"
REVOKED = "Approvals of a revoked seat count nowhere, nor for what runs"
LIFTS_NOTHING = "Nobody but its author lifts a `non placet`, and a revoked seat lifts none"
COHORT = "A federation's smallest cohort counts organisations"
RATIONS = "Rations hold over workers, losses and restarts"
FIXED = "A worker signs nothing of its own choice where a lease fixes it"
ONE_LEASE = "A worker has one lease ever, in the life of the authority that it joined"


def check_stands(history: History, entry: Json, digest: str, lease: Json | None) -> None:
    """An effect for a proposal, anew or by a lease that runs."""
    proposal = history.document(digest)
    _check_stops(history, entry, digest, proposal)
    spared = lease is not None and _is_spared(proposal, entry)
    closes = entry["at"][1]
    if lease is not None and spared:
        closes = min(closes, lease["at"][1])
    else:
        must(is_in_force(history, digest), DECISION, entry)
    low = entry["at"][0]
    must(proposal["not_before"] <= low and closes <= proposal["not_after"], TICKET, entry)
    approving = _approving(history, digest, (low, closes))
    _check_rules(history, entry, digest, approving)
    grants = list((lease or entry).get("grants", ()))
    if entry["kind"] in ("lease", "open-round") or lease is not None:
        _check_grants(history, entry, proposal, (grants, set(approving)))
    _check_uses(history, entry, digest, proposal)


def _is_spared(proposal: Json, entry: Json) -> bool:
    """A service has the exceptions until its review."""
    if proposal["action"] != "serve":
        return True
    return bool(entry["at"][1] <= min(proposal["body"]["review"], proposal["not_after"]))


def _check_stops(history: History, entry: Json, digest: str, proposal: Json) -> None:
    must(digest not in history.stopped("pause", "veto", "cancel"), RIGHT_TO_STOP, entry)
    program = proposal["body"].get("program")
    must(program not in history.stopped("revoke-program"), RIGHT_TO_STOP, entry)
    constitution = history.document(judged_under(history, digest))
    vetoes = veto_roles(rules_of(proposal, constitution))
    for seat, ballots in history.votes(digest).items():
        who = principal(constitution, seat) or {}
        must(not (who["role"] in vetoes and says_no(ballots)), RIGHT_TO_STOP, entry)


def _approving(history: History, digest: str, at: tuple[int, int]) -> dict[str, Json]:
    """Seats whose placet counts at these times, each with its ballot."""
    constitution = history.document(judged_under(history, digest))
    found: dict[str, Json] = {}
    for seat, ballots in history.votes(digest).items():
        who, ballot = principal(constitution, seat) or {}, ballots[0]
        in_term = who["term_start"] <= at[0] and at[1] <= who["term_end"]
        if len(ballots) > 1 or ballot["vote"] != "placet" or at[1] > ballot["expires"]:
            continue
        if in_term and seat not in history.stopped("revoke-seat"):
            found[seat] = ballot
    return found


def _check_rules(history: History, entry: Json, digest: str, approving: dict[str, Json]) -> None:
    """Enough distinct seats, of enough organisations, of the roles that it takes."""
    proposal = history.document(digest)
    constitution = history.document(judged_under(history, digest))
    rules = rules_of(proposal, constitution)
    must(bool(rules) and labels_of(proposal) <= set(constitution["labels"]), DECISION, entry)
    roster = proposal["body"].get("roster", [])
    owners = [given["owner"] for given in inputs_of(proposal)] + roster
    for demands in (by_kind(rule["demands"]) for rule in rules):
        out = {"submitter": [proposal["proposer"]], "owner": owners}
        barred = {
            (principal(constitution, name) or {}).get("organisation")
            for demand in demands["independence"]
            for name in out[demand["of"]]
        }
        counted = [
            who
            for seat, ballot in approving.items()
            if (who := principal(constitution, seat) or {})["organisation"] not in barred
            and (ballot["rationale"].strip() or not demands["rationale"])
        ]
        (approvals,), (least,) = demands["approvals"], demands["organisations"]
        must(len(counted) >= approvals["at_least"], DECISION, entry)
        organisations = {who["organisation"] for who in counted}
        must(len(organisations) >= least["at_least"], DECISION, entry)
        for demand in demands["role"]:
            held = sum(who["role"] == demand["role"] for who in counted)
            must(held >= demand["at_least"], DECISION, entry)
        lifetime = proposal["not_after"] - proposal["not_before"]
        (entered,) = history.of("proposal", proposal=digest)
        for demand in demands["notice"]:
            must(entry["at"][0] - entered["at"][1] >= demand["seconds"], DECISION, entry)
        (longest,), (most,) = demands["lifetime"], demands["uses"]
        must(lifetime <= longest["seconds"], DECISION, entry)
        must(proposal["uses"] <= most["at_most"], DECISION, entry)


def _check_uses(history: History, entry: Json, digest: str, proposal: Json) -> None:
    uses = history.jobs(proposal=digest)
    if entry["kind"] in ("lease", "open-round"):
        uses |= {(digest, job_of(entry))}
    must(len(uses) <= proposal["uses"], TICKET, entry)


def _check_grants(
    history: History, entry: Json, proposal: Json, given: tuple[list[str], set[str]]
) -> None:
    """One live grant an input, that permits all of it."""
    grants, approving = given
    inputs = inputs_of(proposal)
    must(len(grants) == len(inputs), TICKET, entry)
    owners = {wanted["owner"] for wanted in inputs} | set(proposal["body"].get("roster", []))
    for digest, wanted in zip(grants, inputs, strict=True):
        grant = history.document(digest)
        same = (grant["owner"], grant["object"]) == (wanted["owner"], wanted["object"])
        must(same, TICKET, entry)
        must(digest not in history.stopped("withdraw"), RIGHT_TO_STOP, entry)
        must(entry["at"][1] <= grant["expires"], TICKET, entry)
        must(set(grant["approvals"]) <= approving, REVOKED, entry)
        must(_permits(grant, proposal, owners - {grant["owner"]}), TICKET, entry)
        before, now = history.granted_under(digest), history.in_force()
        must(_agreed(before, grant) == _agreed(now, grant), SUSPENDED, entry)
        uses = history.jobs(grant=digest)
        if entry["kind"] in ("lease", "open-round"):
            uses |= {(entry["proposal"], job_of(entry))}
        must(grant["uses"] == "any" or len(uses) <= grant["uses"], TICKET, entry)
        _check_budget(history, entry, grant)


def _check_budget(history: History, entry: Json, grant: Json) -> None:
    owner = grant["owner"]
    if owner not in entry.get("charges", {}):
        return
    due = budgets.read(entry["charges"][owner])
    charged = [*budgets.spent(history, owner), *budgets.reserved(history, owner).values(), due]
    if grant["privacy"] == "none":
        must(due == (0, 0, 0), BUDGETS, entry)
    elif grant["privacy"] != "any":
        must(budgets.is_within(budgets.total(charged), grant["privacy"]), BUDGETS, entry)


def _permits(grant: Json, proposal: Json, others: set[str]) -> bool:
    body = proposal["body"]
    # Programs of federations and services are built in: a grant for one program names none of them.
    programs = {body["program"]} if "program" in body else set[str]()
    keys = {recipient["key"] for recipient in body.get("recipients", [])}
    wanted = {"purposes": {proposal["purpose"]}, "programs": programs}
    wanted |= {"recipients": keys, "combine_with": others}
    listed = all(
        grant[name] == "any" or found <= set(grant[name]) for name, found in wanted.items()
    )
    bounds, parameters = grant["parameters"], body.get("parameters", {})
    if bounds == "any":
        return listed
    return (
        listed
        and bounds.keys() == parameters.keys()
        and all(_is_in(bounds[name], value) for name, value in parameters.items())
    )


def _is_in(bound: Json, value: Any) -> bool:
    if "exactly" in bound:
        return (type(value), value) == (type(bound["exactly"]), bound["exactly"])
    return type(value) is int and bound["low"] <= value <= bound["high"]


def _agreed(constitution: Json, grant: Json) -> tuple[object, ...]:
    """What an owner agreed to: evidence, rules for such data, and who is behind every name."""
    labels = set(grant["object"]["labels"])
    rules = {
        rule["id"]: (rule["when"], by_kind(rule["demands"]))
        for rule in constitution["rules"]
        if rule["when"]["labels"] == "any" or labels & set(rule["when"]["labels"])
    }
    named = {grant["owner"], *(() if grant["combine_with"] == "any" else grant["combine_with"])}
    seats = {s["id"]: (s["organisation"], s["role"], set(s["keys"])) for s in constitution["seats"]}
    parties = {
        p["id"]: (p["organisation"], set(p["keys"]))
        for p in constitution["parties"]
        if p["id"] in named
    }
    evidence = evidence_about(constitution, grant["programs"])
    return evidence, constitution["witnesses"], rules, seats, parties
