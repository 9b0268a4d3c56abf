# SPDX-License-Identifier: Apache-2.0
"""What has to hold of every entry, as it is appended: `check_entry`, before the log has it.

Each condition carries the sentence, or the heading, of docs/threat-model.md that it stands for.
"""

from collections.abc import Callable

import budgets
from carried import is_in_force
from effects import (
    COHORT,
    DECISION,
    FIXED,
    HISTORY,
    LIFTS_NOTHING,
    ONE_LEASE,
    OTHER_DATA,
    RATIONS,
    REVOKED,
    RIGHT_TO_STOP,
    RUNS_WHERE,
    TICKET,
    check_stands,
    must,
)
from history import History, Json, job_of, principal, rules_of, says_no, veto_roles

from placet.sealing import padded_length


def check_entry(history: History, entry: Json) -> None:
    """Raises `Broken`."""
    last = history.entries[-1]["at"][1] if history.entries else 0
    must(entry["at"][0] <= entry["at"][1] >= last, HISTORY, entry)
    if entry["kind"] in _CHECKS:
        _CHECKS[entry["kind"]](history, entry)


def _proposal(history: History, entry: Json) -> None:
    proposal = history.document(entry["proposal"])
    must(proposal["constitution"] == history.constitutions()[-1], DECISION, entry)


def _in_term(seat: Json, entry: Json) -> bool:
    return bool(seat["term_start"] <= entry["at"][0] and entry["at"][1] <= seat["term_end"])


def _ballot(history: History, entry: Json) -> None:
    """A yes, and to lift a no, takes a seat in office; a no may come from a revoked one."""
    ballot = history.document(entry["ballot"])
    must(ballot["constitution"] == history.constitutions()[-1], DECISION, entry)
    must(is_in_force(history, ballot["proposal"]), DECISION, entry)
    seat = principal(history.in_force(), ballot["seat"]) or {}
    standing = history.votes(ballot["proposal"]).get(ballot["seat"], [])
    last = standing[0]["sequence"] if standing else 0
    must(ballot["sequence"] >= last, RIGHT_TO_STOP, entry)
    lifts = says_no(standing) and ballot["sequence"] > last and ballot["vote"] != "non placet"
    if ballot["vote"] == "placet" or lifts:
        revoked = ballot["seat"] in history.stopped("revoke-seat")
        must(not revoked, LIFTS_NOTHING if lifts else REVOKED, entry)
        must(_in_term(seat, entry), DECISION, entry)


def _stop(history: History, entry: Json) -> None:
    """Whoever says no may: nobody but its owner withdraws a grant, and only a seat takes away."""
    action, target = entry["action"], entry["target"]
    if action == "withdraw":
        must(history.document(target)["owner"] == entry["by"], RIGHT_TO_STOP, entry)
        return
    who = principal(history.in_force(), entry["by"]) or {}
    if action == "cancel" and "role" not in who:
        must(history.document(target)["proposer"] == entry["by"], RIGHT_TO_STOP, entry)
        return
    must("role" in who, RIGHT_TO_STOP, entry)
    if action.startswith("revoke-"):
        must(entry["by"] not in history.stopped("revoke-seat"), REVOKED, entry)
        must(_in_term(who, entry), RIGHT_TO_STOP, entry)
    if action == "veto":
        rules = rules_of(history.document(target), history.in_force())
        must(who["role"] in veto_roles(rules), RIGHT_TO_STOP, entry)


def _check_worker(history: History, entry: Json, lease: Json) -> None:
    """Its life is this one, and the council and every owner want it."""
    join = history.of("join", worker=lease["worker"])[0]
    policies = [history.document(grant)["evidence"]["worker"] for grant in lease["grants"]]
    must(join["measurement"] not in history.stopped("revoke-measurement"), RIGHT_TO_STOP, entry)
    for policy in (history.in_force()["evidence"]["worker"], *policies):
        must(join["measurement"] in policy["measurements"], RUNS_WHERE, entry)
    must(history.boot_of(join) == history.boot(), ONE_LEASE, entry)


def _join(history: History, entry: Json) -> None:
    policy = history.in_force()["evidence"]["worker"]
    must(entry["measurement"] in policy["measurements"], RUNS_WHERE, entry)
    must(entry["measurement"] not in history.stopped("revoke-measurement"), RIGHT_TO_STOP, entry)


def _lease(history: History, entry: Json) -> None:
    digest, job = entry["proposal"], job_of(entry)
    proposal = history.document(digest)
    check_stands(history, entry, digest, None)
    must(job.startswith(digest[7:47] + "-"), TICKET, entry)
    join = history.of("join", worker=entry["worker"])[0]
    _check_worker(history, entry, entry)
    must(not history.of("lease", worker=entry["worker"]), ONE_LEASE, entry)
    if proposal["action"] == "job":
        must(join["launched_for"] == proposal["body"]["program"], OTHER_DATA, entry)
    else:
        # Terms are what the body says: the scene names them by proposal.
        must(join["launched_for"] == history.terms[digest], OTHER_DATA, entry)
    before = history.of("lease", proposal=digest, job=job)
    standing = {history.status(lease["lease"]) for lease in before}
    must(standing <= {"closed"}, TICKET, entry)
    must(len(before) < proposal["body"].get("attempts", 1), TICKET, entry)
    charged = {owner: budgets.read(cost) for owner, cost in entry["charges"].items()}
    must(charged == budgets.charges_due(history, entry), TICKET, entry)
    if proposal["action"] == "federate":
        must(history.round(digest)[1] == "closed", COHORT, entry)


def _running(history: History, entry: Json) -> Json:
    """What a lease is for stands, the lease holds, and its worker is wanted."""
    lease = history.of("lease", lease=entry["lease"])[0]
    proposal = history.document(lease["proposal"])
    must(history.status(entry["lease"]) == "open", TICKET, entry)
    now, ends = entry["at"][1], lease["at"][1] + proposal["body"]["deadline_seconds"] + 1
    must(now <= history.deadline(entry["lease"]) and now <= ends, TICKET, entry)
    check_stands(history, entry, lease["proposal"], lease)
    _check_worker(history, entry, lease)
    return lease


def _renewal(history: History, entry: Json) -> None:
    _running(history, entry)
    limit = history.in_force()["limits"]["lease_seconds"]
    must(entry["deadline"] <= entry["at"][1] + limit, RIGHT_TO_STOP, entry)


def _release(history: History, entry: Json) -> None:
    if entry["round"]:
        _model(history, entry)
        return
    lease = _running(history, entry)
    release = history.document(entry["release"])
    must(release["worker"] == lease["worker"], DECISION, entry)
    others = history.of("release", proposal=lease["proposal"], job=lease["job"])
    must(not others, TICKET, entry)
    declared = history.document(lease["proposal"])["body"]["outputs"]
    must(release["outputs"].keys() == declared.keys(), TICKET, entry)
    for name, output in release["outputs"].items():
        must(output["kind"] == "result" and not output["labels"], FIXED, entry)
        length = padded_length(declared[name]["max_bytes"])
        must(output["length"] == length, FIXED, entry)


def _draw(history: History, entry: Json) -> None:
    """Nobody gets more than the terms say, by all workers together."""
    lease = _running(history, entry)
    must(lease["proposal"] == entry["proposal"], RATIONS, entry)
    body = history.document(entry["proposal"])["body"]
    must(entry["user"] in body["users"]["users"], RATIONS, entry)
    must(entry["user"] not in history.stopped("revoke-seat"), RIGHT_TO_STOP, entry)
    drawn = [*history.of("draw", proposal=entry["proposal"]), entry]
    of_user = sum(draw["rows"] for draw in drawn if draw["user"] == entry["user"])
    must(entry["rows"] <= body["rations"]["tranche"], RATIONS, entry)
    must(of_user <= body["rations"]["user"], RATIONS, entry)
    must(sum(draw["rows"] for draw in drawn) <= body["rations"]["total"], RATIONS, entry)
    charged = {owner: budgets.read(cost) for owner, cost in entry["charges"].items()}
    must(charged == budgets.charges_due(history, entry), RATIONS, entry)


def _open(history: History, entry: Json) -> None:
    digest = entry["proposal"]
    check_stands(history, entry, digest, None)
    number, standing = history.round(digest)
    must(standing in ("released", "void"), TICKET, entry)
    must(entry["round"] == number + 1, TICKET, entry)
    charged = {owner: budgets.read(cost) for owner, cost in entry["charges"].items()}
    must(charged == budgets.charges_due(history, entry), TICKET, entry)


def _update(history: History, entry: Json) -> None:
    digest, client = entry["proposal"], entry["client"]
    check_stands(history, entry, digest, None)
    terms = history.document(digest)["body"]
    must(client in terms["roster"], DECISION, entry)
    must(client not in history.stopped("revoke-seat"), RIGHT_TO_STOP, entry)
    must(history.round(digest) == (entry["round"], "open"), TICKET, entry)
    opened = history.of("open-round", proposal=digest, round=entry["round"])[0]
    must(entry["at"][1] <= opened["closes"], TICKET, entry)
    mine = history.of("update", proposal=digest, round=entry["round"], client=client)
    must(not mine, TICKET, entry)
    cost = budgets.update_cost(terms)
    must(budgets.read(entry["charge"]) == cost, TICKET, entry)
    said = history.document(entry["update"])
    if said["epsilon"] != "any":
        charged = [*budgets.spent(history, client), *budgets.reserved(history, client).values()]
        must(budgets.is_within(budgets.total([*charged, cost]), said), TICKET, entry)
    for left in history.of("release", proposal=digest):
        must(client not in left["left"] or entry["round"] >= left["until"], DECISION, entry)


def _organisations(history: History, proposal: Json, clients: set[str]) -> int:
    constitution = history.document(proposal["constitution"])
    return len({(principal(constitution, client) or {})["organisation"] for client in clients})


def _cohort(history: History, entry: Json) -> None:
    digest, number = entry["proposal"], entry["round"]
    sent = history.of("update", proposal=digest, round=number)
    must(entry["counted"] == [update["update"] for update in sent], DECISION, entry)
    if entry["standing"] == "closed":
        proposal = history.document(digest)
        found = _organisations(history, proposal, {update["client"] for update in sent})
        must(found >= proposal["body"]["smallest_cohort"], COHORT, entry)


def _model(history: History, entry: Json) -> None:
    """One model a round, of enough organisations, or none."""
    lease = _running(history, entry)
    digest = lease["proposal"]
    must(history.round(digest) == (entry["round"], "closed"), TICKET, entry)
    must(job_of(lease) == job_of({"proposal": digest, "round": entry["round"]}), TICKET, entry)
    if entry["receipt"]:
        proposal = history.document(digest)
        sent = history.of("update", proposal=digest, round=entry["round"])
        stay = {update["client"] for update in sent} - entry["left"].keys()
        enough = proposal["body"]["smallest_cohort"]
        must(_organisations(history, proposal, stay) >= enough, COHORT, entry)


def _constitution(history: History, entry: Json) -> None:
    check_stands(history, entry, entry["proposal"], None)
    successor = history.document(entry["constitution"])
    must(successor["predecessor"] == history.constitutions()[-1], HISTORY, entry)
    named = history.document(entry["proposal"])["body"]["constitution"]
    must(named == entry["constitution"], DECISION, entry)


_CHECKS: dict[str, Callable[[History, Json], None]] = {
    "ballot": _ballot,
    "close-round": _cohort,
    "constitution": _constitution,
    "draw": _draw,
    "join": _join,
    "lease": _lease,
    "open-round": _open,
    "proposal": _proposal,
    "release": _release,
    "renewal": _renewal,
    "stop": _stop,
    "update": _update,
}
