# SPDX-License-Identifier: Apache-2.0
"""Judging federations: rounds that open, updates that come in, rounds that close.

Pure, like leasing.py, and read by an audit in the same way. A round goes

    open-round -> update ... update -> close-round -> (lease -> ... close)* lease -> release

or ends with a close that is void, as soon as no model can come of it any more; each step is one
entry, made once. The log decides who counts: an update that it has counts, one that it does not
have does not, whatever the host says. One release a round, and nothing is taken out of it
afterwards.
"""

from placet.governance.account import Times
from placet.governance.codec import to_plain
from placet.governance.documents import (
    UNBOUNDED,
    Cost,
    Federate,
    ModelRequest,
    Proposal,
    Update,
)
from placet.governance.documents.federation import LIMIT
from placet.governance.documents.work.federate import organisations
from placet.governance.entries.federations import CLOSE_ROUND, LIFT, OPEN_ROUND, UPDATE
from placet.governance.entries.kind import Entry
from placet.governance.envelope import Signed, inspect, parse_envelope, verify_signed
from placet.governance.evaluate import check_charter
from placet.governance.federation_state import FederationState, LoggedUpdate
from placet.governance.jobs import round_job
from placet.governance.judgements.admission import (
    Admission,
    in_log,
    readmit,
)
from placet.governance.judgements.standing import check_stands
from placet.governance.ledger import Ledger
from placet.governance.privacy import check_budget, gaussian_cost
from placet.governance.state import use_of
from placet.refusals import (
    ClientQuarantined,
    DocumentNotFound,
    FederationEnded,
    GrantMissing,
    ModelNotReleased,
    NotOnRoster,
    Refusal,
    RoundNotOpen,
    RoundOpen,
    UpdateDuplicate,
    UpdateMalformed,
)


def next_job(ledger: Ledger, proposal: Signed[Proposal]) -> str:
    """The job for which a ticket has to be admitted so that its next round opens.

    Raises `RoundOpen`, `FederationEnded`, or `DocumentMalformed` for no federation.
    """
    return round_job(proposal.digest, _next_round(ledger, proposal))


def open_entries(ledger: Ledger, admission: Admission, key: str, times: Times) -> tuple[Entry, ...]:
    """The entries by which the next round of an admitted ticket opens: who may take part again,
    then the round.

    Append them together, after the ticket's documents. Raises what `next_job` and
    `readmit` raise.
    """
    proposal = admission.ticket.proposal
    if in_log(ledger, admission):
        admission = readmit(ledger, proposal, next_job(ledger, proposal), times)
    opened = _judge_opening(ledger, admission, key, times)
    due = _due(ledger.state.federations.get(proposal.digest))
    return *(judge_lift(ledger, proposal.digest, client, times) for client in due), opened


def judge_open_round(ledger: Ledger, proposal: Signed[Proposal], key: str, times: Times) -> Entry:
    """The next round opens, under a ticket that is admitted over the log, now that nobody is left
    to be let in again."""
    job = round_job(proposal.digest, ledger.state.next_round(proposal.digest))
    admission = readmit(ledger, proposal, job, times)
    due = _due(ledger.state.federations.get(proposal.digest))
    if due:
        raise ClientQuarantined(
            "These clients may take part again first.", claim="client", actual=due[0]
        )
    return _judge_opening(ledger, admission, key, times)


def _judge_opening(ledger: Ledger, admission: Admission, key: str, times: Times) -> Entry:
    # From here on the roster is given the initial model, whether a round ever releases one or not:
    # so a use of its grant is taken, and its owner charged.
    proposal = admission.ticket.proposal
    return OPEN_ROUND.new(
        times,
        {
            "proposal": proposal.digest,
            "round": _next_round(ledger, proposal),
            "key": key,
            "closes": times.at_most + proposal.document.federate.round_seconds,
            "grants": list(admission.grants),
            "charges": to_plain(proposal.document.federate.charges),
        },
    )


def _next_round(ledger: Ledger, proposal: Signed[Proposal]) -> int:
    terms = proposal.document.federate
    federation = ledger.state.federations.get(proposal.digest)
    if federation is not None:
        _check_over(federation)
    number = ledger.state.next_round(proposal.digest)
    if number > terms.rounds:
        raise FederationEnded(
            f"All {terms.rounds} rounds of the federation are over. Propose another one.",
            claim="round",
            expected=f"at most {terms.rounds}",
            actual=str(number),
        )
    return number


def _check_over(federation: FederationState) -> None:
    """The newest round is released or void. Raises `RoundOpen`."""
    current = federation.current
    if current.over:
        return
    raise RoundOpen(
        f"Round {current.number} is {current.status}, and one round is under way at a time.",
        claim="round",
        expected="a round that is over",
        actual=f"{current.number}, {current.status}",
    )


def judge_lift(ledger: Ledger, proposal: str, client: str, times: Times) -> Entry:
    """A client has sat out its rounds."""
    federation = ledger.state.federation(proposal)
    _check_over(federation)
    quarantine = federation.quarantined.get(client)
    number = ledger.state.next_round(proposal)
    if quarantine is None or quarantine.until > number:
        raise ClientQuarantined(
            "The client sits out longer.",
            claim="client",
            expected=str(quarantine.until if quarantine else 0),
            actual=str(number),
        )
    return LIFT.new(times, {"proposal": proposal, "client": client, "round": number})


def _due(federation: FederationState | None) -> list[str]:
    if federation is None:
        return []
    number = len(federation.rounds) + 1
    return sorted(c for c, sits_out in federation.quarantined.items() if sits_out.until <= number)


def logged_update(ledger: Ledger, envelope: bytes) -> LoggedUpdate | None:
    """The entry of this very update, if the log has it: whoever sends it again gets the same
    receipt."""
    update, digest = inspect(envelope, Update), parse_envelope(envelope).digest
    federation = ledger.state.federations.get(update.federation)
    if federation is None or update.round > len(federation.rounds):
        return None
    logged = federation.rounds[update.round - 1].updates.get(update.client)
    return logged if logged is not None and logged.digest == digest else None


def judge_update(ledger: Ledger, envelope: bytes, times: Times) -> tuple[Signed[Update], Entry]:
    """An update of a client of the roster for the round that is open. Its sealed part is not looked
    at here."""
    named = inspect(envelope, Update)
    federation = ledger.state.federation(named.federation)
    proposal = ledger.proposal(named.federation)
    terms = proposal.document.federate
    _check_roster(ledger, terms, named.client)
    constitution = ledger.in_force().constitution
    signed = verify_signed(envelope, Update, lambda update: constitution.keys_of(update.client))
    update = signed.document
    ledger.check_header(update.header)
    # An update that no lease could aggregate any more would cost its client for nothing.
    check_stands(ledger, proposal, round_job(proposal.digest, federation.current.number), times)
    _check_takes_part(federation, update, times)
    if update.layout != terms.layout.digest:
        raise UpdateMalformed(
            "The update is laid out otherwise than the federation's vectors. Make it by the "
            "proposal.",
            claim="layout",
            expected=terms.layout.digest,
            actual=update.layout,
        )
    cost = release_cost(terms)
    if update.budget is not None:
        charged = ledger.state.charged(update.client)
        check_budget(update.client, update.budget, charged, cost)
    entry = UPDATE.new(
        times,
        {
            "update": signed.digest,
            "nonce": update.header.nonce,
            "proposal": update.federation,
            "round": update.round,
            "client": update.client,
            "charge": cost.to_dict(),
        },
    )
    return signed, entry


def release_cost(terms: Federate) -> Cost:
    """The cost of the release of a round's model to a client whose update counts: without bound
    where a part of it has no noise, whatever the rest has."""
    return gaussian_cost(LIMIT, terms.sigma) if terms.sigma and not terms.spared else UNBOUNDED


def _check_roster(ledger: Ledger, terms: Federate, client: str) -> None:
    """A client of the roster. A revoked seat takes part in nothing: another may have its key."""
    if client not in terms.roster or client in ledger.state.revoked_seats:
        raise NotOnRoster(
            f"{client} is not on the federation's roster, or its seat was revoked. "
            "Only who is named there takes part.",
            claim="client",
            expected="a client of the roster that was not revoked",
            actual=client,
        )


def _check_takes_part(federation: FederationState, update: Update, times: Times) -> None:
    """The round is open, and the client may send, and has not sent."""
    current = federation.current
    if update.round != current.number or current.status != "open" or times.at_most > current.closes:
        raise RoundNotOpen(
            f"The update is for round {update.round}; round {current.number} is "
            + (f"open until {current.closes}." if current.status == "open" else "closed."),
            claim="round",
            expected=f"{current.number}, at or before {current.closes}",
            actual=f"{update.round}, at {times.at_most}",
        )
    quarantine = federation.quarantined.get(update.client)
    if quarantine is not None:
        raise ClientQuarantined(
            f"An update of {update.client} broke the terms ({quarantine.reason}). "
            f"It may take part again from round {quarantine.until} on.",
            claim="client",
            expected=f"round {quarantine.until} or later",
            actual=quarantine.reason,
        )
    if update.client in current.updates:
        raise UpdateDuplicate(
            f"The log has an update of {update.client} for this round, and the first one counts.",
            claim="client",
            expected=current.updates[update.client].digest,
        )


def judge_close_round(ledger: Ledger, proposal: str, number: int, times: Times) -> Entry:
    """A round takes in no more: everybody who may has sent, or its time is over, or all is in vain.

    It is void with too few, and as soon as no model can come of it any more, closed or not.
    """
    federation = ledger.state.federation(proposal)
    proposed = ledger.proposal(proposal)
    terms = proposed.document.federate
    current, vain = federation.current, _is_vain(ledger, federation, times)
    if number != current.number or not (vain or current.status == "open"):
        raise RoundNotOpen(
            f"Round {number} is not open; round {current.number} is {current.status}.",
            claim="round",
            expected=f"{current.number}, open",
            actual=str(number),
        )
    out = federation.quarantined.keys() | ledger.state.revoked_seats
    waiting = set(terms.roster) - out - current.updates.keys()
    if waiting and times.at_least <= current.closes and not vain:
        raise RoundOpen(
            f"{len(waiting)} client(s) may still send until {current.closes}.",
            claim="closes",
            expected=f"after {current.closes}",
            actual=str(times.at_least),
        )
    counted = organisations(ledger.constitution(proposed.document.constitution), current.updates)
    enough = not vain and counted >= terms.smallest_cohort
    return CLOSE_ROUND.new(
        times,
        {
            "proposal": proposal,
            "round": number,
            "standing": "closed" if enough else "void",
            "counted": [update.digest for update in current.updates.values()],
        },
    )


def judge_vain(ledger: Ledger, proposal: str, times: Times) -> Entry | None:
    """The entry that ends the newest round where no model can come of it any more."""
    federation = ledger.state.federation(proposal)
    if not _is_vain(ledger, federation, times):
        return None
    return judge_close_round(ledger, proposal, federation.current.number, times)


def _is_vain(ledger: Ledger, federation: FederationState, times: Times) -> bool:
    """Whether no model can come any more of a round that is not over.

    Its attempts are used up, or its ticket would not be let through now: it is stopped, its window
    is over, an approval has expired, a grant is gone. A release that an open lease may still bring
    is waited for. Raises `DocumentNotFound` where that cannot be judged.
    """
    current, known = federation.current, ledger.state.proposals[federation.proposal]
    if current.status not in ("open", "closed"):
        return False
    proposal, job = ledger.proposal(known.digest), round_job(known.digest, current.number)
    leases = [ledger.state.leases[lease] for lease in known.jobs[job]]
    if any(lease.status == "open" for lease in leases) and not known.stopped:
        return False
    if len(leases) >= proposal.document.federate.attempts:
        return True
    try:
        readmit(ledger, proposal, job, times)
    except DocumentNotFound:
        raise
    except Refusal:
        return True
    return False


def verify_model_request(ledger: Ledger, envelope: bytes) -> Signed[ModelRequest]:
    """A request for a round's model by a client of the roster; round 0 is the initial model.

    Its key is one that the client had when the federation was approved and has still: under the
    same name an amendment may have put somebody else. Raises what `verify_signed` raises,
    `FederationNotFound`, `NotOnRoster`, `SignerUnknown`, `OtherLog` or `ModelNotReleased`.
    """
    named = inspect(envelope, ModelRequest)
    federation = ledger.state.federation(named.federation)
    proposal = ledger.proposal(named.federation).document
    terms = proposal.federate
    _check_roster(ledger, terms, named.client)
    before = ledger.constitution(proposal.constitution).keys_of(named.client)
    keys = [k for k in ledger.in_force().constitution.keys_of(named.client) if k in before]
    signed = verify_signed(envelope, ModelRequest, lambda _: keys)
    check_charter(named.header.charter, ledger.state.charter)
    there = terms.model is not None if named.round == 0 else named.round in federation.models
    if not there:
        raise ModelNotReleased(
            "No model of this round was released.",
            claim="round",
            expected=f"one of {sorted(federation.models)}"
            if federation.models
            else "a later round",
            actual=str(named.round),
        )
    return signed


def judge_initial(ledger: Ledger, proposal: Signed[Proposal], times: Times) -> str:
    """The grant by which the newest round hands the initial model out, which counts it as a use.

    Raises what an admission raises, and `GrantMissing`.
    """
    current = ledger.state.federation(proposal.digest).current
    job = round_job(proposal.digest, current.number)
    grant = readmit(ledger, proposal, job, times).grants[0]
    if use_of(proposal.digest, job) not in ledger.state.grants[grant].jobs:
        raise GrantMissing(
            "The grant by which the round was opened does not allow it any more. "
            "Ask again once the next round is open.",
            claim="model",
            expected="the grant that counts the round as a use",
            actual=grant,
        )
    return grant
