# SPDX-License-Identifier: Apache-2.0
"""Whether the owners' grants allow a job: each input needs one live grant of its owner that permits
all of it."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from placet.governance.account import Times
from placet.governance.codec import Json
from placet.governance.documents import Grant, Proposal
from placet.governance.documents.constitution import Constitution
from placet.governance.documents.federation import FEDERATED_AVERAGE
from placet.governance.documents.grant import Exactly
from placet.governance.documents.privacy import Budget, Cost
from placet.governance.documents.proposal import Work
from placet.governance.documents.serving import ONNX_INFERENCE
from placet.governance.envelope import Named
from placet.governance.evaluate import ValidTicket
from placet.governance.judgements.carried import evidence_for
from placet.governance.ledger import Ledger
from placet.governance.privacy import check_budget
from placet.governance.state import GrantState, use_of
from placet.refusals import (
    GrantExpired,
    GrantForbids,
    GrantMissing,
    GrantUsedUp,
    GrantWithdrawn,
    PrivacyBudget,
    Refusal,
)
from placet.sealing import HPKEPublicKey

_BUILT_IN = frozenset({FEDERATED_AVERAGE, ONNX_INFERENCE})
_MAX_SHOWN = 300  # characters of a value in a sentence


# How one grant refuses a use that another grant may still allow.
_FORBIDS = (
    GrantExpired, GrantForbids, GrantMissing, GrantUsedUp, GrantWithdrawn, PrivacyBudget,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asked:
    """What grants are asked for, and which seats approve it."""

    proposal: Named[Proposal]
    approving: Collection[str]


def find_grants(ledger: Ledger, ticket: ValidTicket, job: str, times: Times) -> tuple[str, ...]:
    """One grant an input, by input name, that allows a use now.

    Raises one of `_FORBIDS` for the first input that has none, or `DocumentNotFound`.
    """
    asked, inputs = _asked(ticket), ticket.proposal.document.body.inputs
    return tuple(_grant_for(ledger, asked, name, job, times) for name in sorted(inputs))


def check_grants(
    ledger: Ledger, ticket: ValidTicket, job: str, grants: Iterable[str], times: Times
) -> None:
    """Each of the grants that were found once allows the use still. Raises as `find_grants`."""
    for grant in grants:
        _check_allows(ledger, grant, _asked(ticket), job, times)


def lacking(
    ledger: Ledger,
    proposal: Named[Proposal],
    times: Times,
    approving: Collection[str] | None = None,
) -> tuple[Refusal, ...]:
    """What the grants in the log lack for a proposal, by input, were these seats to approve it, or
    every seat: known before anybody votes. Raises `DocumentNotFound`."""
    found = granted(ledger, proposal, times, approving).values()
    return tuple(one for one in found if isinstance(one, Refusal))


def granted(
    ledger: Ledger,
    proposal: Named[Proposal],
    times: Times,
    approving: Collection[str] | None = None,
) -> dict[str, GrantState | Refusal]:
    """For each input the grant that would be taken, or what is lacking. Raises as `lacking`."""
    if approving is None:
        approving = {seat.id for seat in ledger.in_force().constitution.seats}
    asked, found = _Asked(proposal, approving), dict[str, GrantState | Refusal]()
    for name in sorted(proposal.document.body.inputs):
        try:
            found[name] = ledger.state.grants[_grant_for(ledger, asked, name, "", times)]
        except _FORBIDS as refusal:
            found[name] = refusal
    return found


def _asked(ticket: ValidTicket) -> _Asked:
    return _Asked(ticket.proposal, ticket.account.approving)


def charges_due(ledger: Ledger, proposal: Named[Proposal], job: str) -> dict[str, Cost]:
    """The charges still due for a use: none once it has been charged (`Body.is_charged`)."""
    body = proposal.document.body
    return {} if body.is_charged(ledger.state, proposal.digest, job) else body.charges


def check_live(ledger: Ledger, digest: str, use: str, times: Times) -> Grant:
    """A grant that is not withdrawn, suspended, expired, or used up by other uses than this
    (`state.use_of`)."""
    state = ledger.state.grants[digest]
    grant = ledger.grant(digest).document
    if state.withdrawn:
        raise GrantWithdrawn(
            f"The owner {state.owner} has withdrawn the grant. Only a new grant of theirs can "
            "replace it.",
            claim="grant",
            expected="a live grant",
            actual=digest,
        )
    if times.at_most > grant.expires:
        raise GrantExpired(
            f"The grant of {state.owner} has expired. Ask for a new one.",
            claim="expires",
            expected=f"before {grant.expires}",
            actual=str(times.at_most),
        )
    _check_not_suspended(ledger, state, grant)
    _check_uses(grant, state, use)
    return grant


def _check_not_suspended(ledger: Ledger, state: GrantState, grant: Grant) -> None:
    """The owner agreed to `_terms` of the constitution that was in force. Raises `GrantForbids`."""
    if state.constitution == ledger.state.constitution:
        return
    granted_under = ledger.constitution(state.constitution)
    if not rests_alike(granted_under, ledger.in_force().constitution, grant):
        raise GrantForbids(
            f"The constitution has changed what {state.owner} granted under: evidence, witnesses, "
            "a rule for this data, or who is behind a seat or a name that the grant rests on. "
            "Ask the owner to grant again.",
            claim="constitution",
            expected=state.constitution,
            actual=ledger.state.constitution,
        )


def rests_alike(old: Constitution, new: Constitution, grant: Grant) -> bool:
    """Whether two constitutions are the same in all that a grant rests on."""
    return _terms(old, grant) == _terms(new, grant)


def _terms(constitution: Constitution, grant: Grant) -> tuple[object, ...]:
    """A grant rests on evidence, witnesses, each rule for such data, and who is behind names.

    evidence: of the workers as far as it is about programs that the grant lists.
    seats: all of them, since every rule counts the approvals of any seat: another one, one more or
    one less changes who decides. The seats that the grant names are among them. parties: those that
    the grant names, its owner and whose data may be in the same job. Somebody is an organisation
    and keys, and a seat a role. A term says until when, and not who.
    """
    labels = frozenset(grant.object.labels)
    rules = {
        rule.id: (rule.when, frozenset(rule.demands))
        for rule in constitution.rules
        if rule.when.labels == "any" or not labels.isdisjoint(rule.when.labels)
    }
    seats = {
        seat.id: (seat.organisation, seat.role, frozenset(seat.keys)) for seat in constitution.seats
    }
    named = {grant.owner, *(() if grant.combine_with == "any" else grant.combine_with)}
    parties = {
        party.id: (party.organisation, frozenset(party.keys))
        for party in constitution.parties
        if party.id in named
    }
    evidence = constitution.evidence.authority, _worker_evidence(constitution, grant)
    return evidence, constitution.witnesses, rules, seats, parties


def _worker_evidence(constitution: Constitution, grant: Grant) -> Json:
    """Of built-in programs the terms are launched, and no grant names these."""
    policy, programs = constitution.evidence.worker, grant.programs
    if programs == "any" or not _BUILT_IN.isdisjoint(programs):
        return policy
    return evidence_for(policy, programs)


def _grant_for(ledger: Ledger, asked: _Asked, name: str, job: str, times: Times) -> str:
    wanted = asked.proposal.document.body.inputs[name]
    use = use_of(asked.proposal.digest, job)
    refusal: Refusal | None = None
    named = (wanted.object.digest, wanted.owner)
    found = [g for g in ledger.state.grants.values() if (g.object, g.owner) == named]
    # One that has counted this use goes before one that would count it a second time.
    for state in sorted(found, key=lambda grant: use not in grant.jobs):
        try:
            _check_allows(ledger, state.digest, asked, job, times)
        # A document that is missing decides nothing: which grant is taken must not depend on who
        # keeps them.
        except _FORBIDS as error:
            refusal = error
        else:
            return state.digest
    raise refusal or GrantMissing(
        f"The authority holds no grant of {wanted.owner} for the object of input {name}. "
        "Ask the owner to grant and provision it.",
        claim=f"inputs.{name}",
        expected=f"a grant of {wanted.owner} for {wanted.object.digest}",
        actual="none",
    )


def _check_allows(ledger: Ledger, digest: str, asked: _Asked, job: str, times: Times) -> None:
    """The grant is live, permits all of the proposal, and has room for what is to be charged."""
    proposal = asked.proposal
    grant = check_live(ledger, digest, use_of(proposal.digest, job), times)
    _check_permits(grant, asked)
    check_privacy(ledger, grant, charges_due(ledger, proposal, job))


def _check_permits(grant: Grant, asked: _Asked) -> None:
    """Each bound of the grant on the proposal by itself, in turn. Raises `GrantForbids`."""
    proposal: Proposal = asked.proposal.document
    body = proposal.work
    _check_listed("purposes", grant.purposes, [proposal.purpose])
    _check_listed("programs", grant.programs, [body.program])
    _check_recipients(grant, proposal)
    others = sorted(proposal.owners - {grant.owner})
    _check_listed("combine_with", grant.combine_with, others)
    _check_parameters(grant, body)
    for seat in grant.approvals:
        if seat not in asked.approving:
            raise _forbids("approvals", f"the approval of {seat}", "without it")
    if grant.witnesses == "demanded":
        raise _forbids("witnesses", "a log with witnesses", "UNWITNESSED")


def check_privacy(ledger: Ledger, grant: Grant, due: dict[str, Cost]) -> None:
    """The bound on the owner's whole ledger, whatever has been charged to it and under which
    grants. Raises `PrivacyBudget`."""
    if grant.owner not in due:
        return
    cost = due[grant.owner]
    if isinstance(grant.privacy, Budget):
        check_budget(grant.owner, grant.privacy, ledger.state.charged(grant.owner), cost)
    elif grant.privacy == "none" and cost != Cost():
        raise PrivacyBudget(
            f"The grant of {grant.owner} allows no job that costs privacy, and one without privacy "
            "terms costs without bound.",
            claim="privacy",
            expected="none",
            actual="declared" if cost.bounded else "unbounded",
        )


def _check_listed(
    claim: str,
    allowed: tuple[str, ...] | str,
    wanted: list[str],
    show: Callable[[str], str] = str,
) -> None:
    if isinstance(allowed, str):
        return
    for value in wanted:
        if value not in allowed:
            raise _forbids(claim, " or ".join(map(show, allowed)) or "nobody", show(value))


def _check_recipients(grant: Grant, proposal: Proposal) -> None:
    """Models of a federation, and answers of a service, go to keys that are chosen as one asks: no
    list can name them."""
    if proposal.body.CHOSEN_KEYS and grant.recipients != "any":
        wanted = "whatever keys those have whom the terms name"
        raise _forbids("recipients", "the keys that it lists", wanted)
    keys = [recipient.key for recipient in proposal.work.recipients]
    _check_listed("recipients", grant.recipients, keys, _key_id)


def _key_id(key: str) -> str:
    """A key's text would fill a message alone, and two of them begin alike."""
    return HPKEPublicKey.from_text(key).key_id


def _check_parameters(grant: Grant, body: Work) -> None:
    if isinstance(grant.parameters, str):
        return
    for name, value in body.parameters.items():
        bound = grant.parameters.get(name)
        if bound is None:
            raise _forbids(f"parameters.{name}", "no such parameter", "present")
        if isinstance(bound, Exactly):
            if (type(value), value) != (type(bound.exactly), bound.exactly):
                raise _forbids(f"parameters.{name}", str(bound.exactly), str(value))
        elif type(value) is not int or not bound.low <= value <= bound.high:
            raise _forbids(f"parameters.{name}", f"{bound.low} to {bound.high}", str(value))
    for name in sorted(grant.parameters.keys() - body.parameters.keys()):
        raise _forbids(f"parameters.{name}", "a job that sets it", "no such parameter")


def _check_uses(grant: Grant, state: GrantState, use: str) -> None:
    if grant.uses == "any" or use in state.jobs or len(state.jobs) < grant.uses:
        return
    raise GrantUsedUp(
        f"The grant of {state.owner} allows {grant.uses} use(s), and all are taken.",
        claim="uses",
        expected=f"at most {grant.uses}",
        actual=str(len(state.jobs) + 1),
    )


def _forbids(claim: str, expected: str, actual: str) -> GrantForbids:
    return GrantForbids(
        f"The owner's grant allows {_brief(expected)} as {claim}, and the proposal has "
        f"{_brief(actual)}. Propose within the grant, or ask the owner for a wider one.",
        claim=claim,
        expected=expected,
        actual=actual,
    )


def _brief(text: str) -> str:
    """For a sentence; the details have it all."""
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
