# SPDX-License-Identifier: Apache-2.0
"""Constitutions, proposals, grants, judgements and refusals as plain sentences that a lawyer can
check.

They are made from the very objects that the authority evaluates, so what is shown is what is
applied. Each item of a list is one line. What an author wrote freely stands apart, after a line
that says so, and every line of it begins with `| `: it decides nothing, and it cannot pass for a
sentence of ours.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from placet.auditing.explain_federation import explain_federation
from placet.auditing.explain_serving import explain_serving
from placet.governance.account import Account, RuleAccount
from placet.governance.codec import Json
from placet.governance.documents import (
    Budget,
    Charged,
    Constitution,
    Cost,
    Declared,
    Grant,
    Job,
    Party,
    Proposal,
    Rule,
    Seat,
)
from placet.governance.documents.constitution import Evidence
from placet.governance.documents.grant import Exactly
from placet.governance.documents.privacy import DELTA_DIGITS, EPSILON_DIGITS, decimal_text
from placet.governance.documents.work.amend import Amendment
from placet.governance.rules import Demand
from placet.governance.sentences import (
    apart,
    count,
    duration,
    listed,
    time_text,
    words,
)
from placet.governance.text import plain, quoted
from placet.refusals import Refusal
from placet.sealing import HPKEPublicKey, ObjectDescriptor

# What standing.py does, for those who vote.
_STANDING = (
    "A placet counts until it expires, while its seat is in office.",
    "Any other vote stands until its seat votes again.",
    "Running work must still be let through whenever its lease is renewed and when it releases.",
    "It goes on where an approval or a seat's term has ended by time alone: it began before that.",
    "It ends where an approval that it needs was taken back, or its seat was revoked.",
    "A service goes on after its review only if it would be let through anew.",
)


def explain_rule(rule: Rule) -> list[str]:
    """When a rule applies and everything that it demands."""
    when = rule.when
    kinds = {type(demand) for demand in rule.demands}
    return [
        (
            f"Rule {rule.id} applies to {_any_of('action', when.actions)}, "
            f"{_any_of('purpose', when.purposes)}, and {_labels(when.labels)}."
        ),
        *words(f"The title of rule {rule.id}", rule.title),
        *(demand.sentence() for demand in rule.demands),
        *(kind.ABSENT for kind in get_args(Demand) if kind.ABSENT and kind not in kinds),
    ]


def explain_constitution(constitution: Constitution) -> list[str]:
    """Who belongs, who votes, by which rules, on which evidence."""
    predecessor = constitution.predecessor
    lines = [
        f"This is version {constitution.version} of the constitution; "
        + (f"it follows {predecessor}." if predecessor else "it is the first."),
        *words("The constitution's name", constitution.name),
    ]
    for organisation in constitution.organisations:
        lines += words(f"The name of the organisation {organisation.id}", organisation.name)
    for principal in constitution.principals:
        lines.append(_principal(principal))
    lines.append(f"The labels that data may carry are {listed(constitution.labels)}.")
    lines.append("Every rule that applies has to hold. What no rule applies to is refused.")
    lines += _STANDING
    for rule in constitution.rules:
        lines += explain_rule(rule)
    lines += _evidence("the constitution", constitution.evidence)
    limits = constitution.limits
    return [
        *lines,
        f"A lease holds for {duration(limits.lease_seconds)}, unless it is renewed.",
        f"A worker that has joined must get its lease within {duration(limits.join_seconds)}.",
        (
            f"A seat or party may have {limits.documents} proposals, ballots and grants entered "
            f"within {duration(limits.documents_seconds)}; whatever says no is always taken."
        ),
        (
            f"Witnesses: {constitution.witnesses}. Nobody but the host would see it if the host "
            "showed an older log."
        ),
        (
            f"Recovery: {constitution.recovery}. If the authority's root secret is lost, so is "
            "what it guards."
        ),
    ]


def explain_proposal(proposal: Proposal, constitution: Constitution | None) -> list[str]:
    """A proposal and, where the constitution is given, the rules by which it will be judged."""
    lines = [
        (
            f"{proposal.proposer} proposes the action {proposal.action} for the purpose "
            f"{proposal.purpose}."
        ),
        (
            f"It is for the council {proposal.header.charter}, under the constitution "
            f"{proposal.constitution}."
        ),
        f"Its author had seen the log at size {proposal.header.seen.size}.",
        (
            f"It holds from {time_text(proposal.not_before)} to {time_text(proposal.not_after)}, "
            f"for {count(proposal.uses, 'use')}."
        ),
    ]
    lines += _BODIES[proposal.body.ACTION](proposal.body)
    lines += words("The reason for the proposal", proposal.reason)
    if constitution is not None:
        lines += _applying(proposal, constitution)
    return lines


def explain_account(account: Account) -> list[str]:
    """The outcome of judging a ticket, and why it came out so."""
    verdict = "lets it through" if not account.refusals else "refuses it"
    if account.not_judged and not account.refusals:
        verdict += " as far as paper shows"
    lines = [
        (
            f"The proposal {account.proposal} was judged under the constitution "
            f"{account.constitution}, which {verdict}."
        ),
        (
            f"Openings were judged at {time_text(account.times.at_least)}, "
            f"closings at {time_text(account.times.at_most)}."
        ),
        *explain_demands(account),
    ]
    for refusal in account.refusals:
        lines += explain_refusal(refusal.reason, str(refusal), refusal.details)
    return lines


def explain_demands(account: Account) -> list[str]:
    """Who said what, and what each rule that applies found of it."""
    lines: list[str] = []
    for ballot in account.ballots:
        why = f", which cannot count as an approval: {ballot.why}" if ballot.why else ""
        lines.append(
            f"The seat {ballot.seat} ({ballot.role}, {ballot.organisation}) said "
            f"{ballot.vote}{why}."
        )
    for rule in account.rules:
        lines += _rule_account(rule)
    return lines


def explain_refusal(reason: str, message: str, details: Mapping[str, str]) -> list[str]:
    """A refusal, however it reached us: its reason, its own words, and each of its details."""
    meaning = _meanings().get(reason, "")
    lines = [f"Refused: {reason}." + (f" {meaning}" if meaning else "")]
    lines += apart("What the refusal says", message)
    for name in ("rule", "claim", "expected", "actual", "remedy"):
        if details.get(name):
            lines += apart(name.capitalize(), details[name])
    return lines


def explain_grant(grant: Grant) -> list[str]:
    """Under which terms an owner lets the authority use a key."""
    recoverable = "may" if grant.recoverable else "may not"
    witnesses = {
        "demanded": "Only a log with witnesses may use it.",
        "any": "A log without witnesses may use it too.",
    }
    return [
        (
            f"{grant.owner} lets the authority of the council {grant.header.charter} use the key "
            f"of {_object(grant.object)}."
        ),
        f"It may be used for {_any_of('purpose', grant.purposes)}.",
        f"It may be used by {_any_of('program', grant.programs)}.",
        *_bounds(grant),
        f"The outputs may go to {_any_of('HPKE key', _key_ids(grant.recipients))}.",
        f"The data may be in one job with data of {_any_of('other owner', grant.combine_with)}.",
        *_evidence(grant.owner, grant.evidence),
        witnesses[grant.witnesses],
        f"Whatever the rules say, it takes the placet of these seats: {listed(grant.approvals)}.",
        *_budget(grant),
        "It may be used any number of times."
        if grant.uses == "any"
        else f"It may be used for at most {count(grant.uses, 'job')}.",
        f"It holds until {time_text(grant.expires)}.",
        (
            "An amendment suspends it that changes the evidence, a rule for this data, "
            "who holds a seat, or the keys or organisation of "
            f"{listed((grant.owner, *_whom(grant)))}."
        ),
        f"The key {recoverable} be recovered by whatever recovery the constitution has.",
    ]


def explain_charged(charged: Charged) -> list[str]:
    """The cost of a release to each owner, and by whose word."""
    if not charged.charges:
        return ["No data owner was charged any privacy."]
    word = ", by the word of the program's author, which nobody has checked" * charged.declared
    return [
        f"{owner} was charged {explain_cost(cost)}{word}."
        for owner, cost in sorted(charged.charges.items())
    ]


def explain_cost(cost: Cost) -> str:
    """The parts that a cost is made of."""
    if not cost.bounded:
        return "a loss of privacy without bound"
    parts: list[str] = []
    if cost.gaussian:
        squared = decimal_text(cost.gaussian, EPSILON_DIGITS)
        parts.append(f"Gaussian noise of squared parameter {squared}")
    if cost.epsilon or cost.delta:
        epsilon = decimal_text(cost.epsilon, EPSILON_DIGITS)
        parts.append(f"epsilon {epsilon} and delta {decimal_text(cost.delta, DELTA_DIGITS)}")
    return " and ".join(parts) or "nothing"


def _principal(principal: Seat | Party) -> str:
    keys = f"with the keys {listed(key.text for key in principal.keys)}"
    if isinstance(principal, Party):
        return f"{principal.id} of {principal.organisation} has no vote and signs {keys}."
    return (
        f"The seat {principal.id} of {principal.organisation} votes in the role {principal.role}, "
        f"from {time_text(principal.term_start)} to {time_text(principal.term_end)}, {keys}."
    )


def _job(job: Job) -> list[str]:
    lines = [f"It would run the program {job.program}."]
    for name, item in sorted(job.inputs.items()):
        lines.append(f"The program reads as {name} {_object(item.object)}, owned by {item.owner}.")
    for name, value in sorted(job.parameters.items()):
        lines.append(f"The parameter {name} is {quoted(value)}.")
    for name, output in sorted(job.outputs.items()):
        lines.append(f"It writes the output {name}, padded to {count(output.max_bytes, 'byte')}.")
    for recipient in job.recipients:
        lines.append(
            f"{recipient.id} may open the outputs, with the HPKE key {_key_id(recipient.key)}."
        )
    return [
        *lines,
        *_privacy_terms(job.privacy),
        (
            f"A use takes at most {count(job.attempts, 'attempt')}, "
            f"and an attempt at most {duration(job.deadline_seconds)}."
        ),
    ]


def _amendment(amendment: Amendment) -> list[str]:
    return [f"It would put the constitution {amendment.constitution} into force."]


_BODIES: dict[str, Callable[[Any], list[str]]] = {
    "job": _job,
    "federate": explain_federation,
    "serve": explain_serving,
    "amend": _amendment,
}


def _privacy_terms(terms: Declared | None) -> list[str]:
    if terms is None:
        return ["There are no privacy terms: what the outputs tell about the data has no bound."]
    return [
        (
            f"Each use is charged epsilon {terms.epsilon} and delta {terms.delta} to every owner "
            "of data in it."
        ),
        (
            "The author of the program declares that cost: nothing but the program itself "
            "makes it true."
        ),
    ]


def _budget(grant: Grant) -> list[str]:
    if isinstance(grant.privacy, Budget):
        bound = f"epsilon {grant.privacy.epsilon} at delta {grant.privacy.delta}"
        return [
            (
                f"It lets a job through only while all that {grant.owner} is charged, the job with "
                f"it, stays within {bound}."
            ),
            (
                "The bound counts every job on any data of this owner, under whatever grants, "
                "since the log began."
            ),
            (
                "The cost of a job is what its program's author declares: a claim, which nothing "
                "measures."
            ),
            "A job without privacy terms costs without bound, and so is never let through.",
        ]
    if grant.privacy == "none":
        return [
            (
                "It allows no job that costs privacy, and a job without privacy terms costs "
                "without bound."
            )
        ]
    return ["It sets no bound on what the outputs may tell about the data."]


def _applying(proposal: Proposal, constitution: Constitution) -> list[str]:
    lines: list[str] = []
    for label in sorted(proposal.labels - set(constitution.labels)):
        lines.append(f"The constitution does not list the label {label}, so this is refused.")
    rules = [
        rule
        for rule in constitution.rules
        if rule.when.applies(proposal.action, proposal.purpose, proposal.labels)
    ]
    if not rules:
        return [*lines, "No rule applies to it, so it is refused."]
    lines.append(f"It has to satisfy {count(len(rules), 'rule')}.")
    return lines + [line for rule in rules for line in explain_rule(rule)]


def _rule_account(rule: RuleAccount) -> list[str]:
    lines = [f"Rule {rule.rule} applies.", *words(f"The title of rule {rule.rule}", rule.title)]
    for demand in rule.demands:
        met = "is met" if demand.met else "is not met"
        by = f" ({', '.join(demand.by)})" if demand.by else ""
        lines.append(
            f"Its demand of {demand.required} {demand.demand} {met}: found {demand.found}{by}."
        )
    for unknown in rule.not_judged:
        lines.append(
            f"Its demand of {unknown.required} {unknown.demand} was not judged: "
            f"it takes {unknown.takes}, which only the log shows."
        )
    for seat, why in rule.not_counted:
        lines.append(f"It does not count the seat {seat}: {why}.")
    return lines


def _whom(grant: Grant) -> tuple[str, ...]:
    return () if isinstance(grant.combine_with, str) else grant.combine_with


def _bounds(grant: Grant) -> list[str]:
    if grant.parameters == "any":
        return ["The job's parameters may be any."]
    if not grant.parameters:
        return ["The job may have no parameters."]
    lines = [f"The job's parameters are exactly these: {listed(sorted(grant.parameters))}."]
    for name, bound in sorted(grant.parameters.items()):
        if isinstance(bound, Exactly):
            lines.append(f"The parameter {name} must be {quoted(bound.exactly)}.")
        else:
            lines.append(f"The parameter {name} must be from {bound.low} to {bound.high}.")
    return lines


def _evidence(whose: str, evidence: Evidence) -> list[str]:
    return [
        line
        for role, policy in (("authority", evidence.authority), ("worker", evidence.worker))
        for line in _policy(whose, role, policy)
    ]


def _policy(whose: str, role: str, policy: Json) -> list[str]:
    lines = [f"The evidence of the {role} has to be as {whose} demands:"]
    return lines + [f"- {plain(name)}: {plain(value)}." for name, value in sorted(policy.items())]


def _object(descriptor: ObjectDescriptor) -> str:
    return (
        f"the object {descriptor.digest} (kind {descriptor.kind}, labels "
        f"{listed(descriptor.labels)}, {count(descriptor.length, 'byte')})"
    )


def _any_of(what: str, values: Iterable[str]) -> str:
    if values == "any":
        return f"any {what}"
    listed = list(values)
    return f"the {what} {' or '.join(listed)}" if listed else f"no {what}"


def _labels(labels: Iterable[str]) -> str:
    return (
        "data with any label or none"
        if labels == "any"
        else f"data with {_any_of('label', labels)}"
    )


def _key_ids(keys: tuple[str, ...] | str) -> tuple[str, ...] | str:
    return keys if isinstance(keys, str) else tuple(map(_key_id, keys))


def _key_id(key: str) -> str:
    """An HPKE key is too long to compare by eye."""
    return HPKEPublicKey.from_text(key).key_id


def _meanings() -> dict[str, str]:
    """The meaning of each reason and what to do: the docstring of its class."""
    below: list[type[Refusal]] = [Refusal]
    found: dict[str, str] = {}
    for cls in below:
        found.setdefault(cls.reason, " ".join((cls.__doc__ or "").split()))
        below += cls.__subclasses__()
    return found
