# SPDX-License-Identifier: Apache-2.0
"""What members do: propose, terms, vote, veto, pause, revoke, proposals, ticket."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer

from placet.auditing.explain import explain_demands, explain_proposal
from placet.auditing.explain_standing import explain_standing
from placet.auditing.foresight.forecast import Forecast
from placet.auditing.standing import ProposalStanding
from placet.client.blocking import Client
from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    KeyFile,
    OutFile,
    Wide,
    Yes,
    client,
    command,
    confirm,
    lines,
    load_keys,
    say,
    show,
    table,
)
from placet.client.cli._terms import parse_time
from placet.client.cli._words import (
    choose_proposal,
    day,
    short,
    shortened,
    standing_json,
    transfer,
    when,
    write_artifact,
)
from placet.client.cli.charter import read_constitution
from placet.client.cli.check._ballots import ballot_forecast, voted_on
from placet.client.cli.check._found import told
from placet.client.cli.check.model import try_before
from placet.client.cli.starting._drafts import put_draft
from placet.client.cli.starting._known import KnownHere
from placet.client.council.records import ProposalItem, ProposalRecord, ticket_of
from placet.client.drafts.job import JobDraft
from placet.client.drafts.serve import ServeDraft
from placet.client.drafts.work import WorkDraft, load_terms, load_work
from placet.client.errors import UsageRefused
from placet.client.keys import Keys
from placet.client.log.reader import Recorded
from placet.client.trust.artifacts import ticket_to_bytes
from placet.governance.checks import check_measurement
from placet.governance.codec import Json, encode
from placet.governance.documents import Amendment, StopAction, Vote
from placet.governance.envelope import digest_of
from placet.refusals import Refusal

app = typer.Typer()

REVOCABLE = ("seat", "program", "measurement")
VOTES: tuple[Vote, ...] = ("placet", "non placet", "abstain", "recuse")
_LISTED = 20
_COLUMNS = ("proposal", "state", "action", "purpose", "by", "votes", "until")

ProposalName = Annotated[
    str, typer.Argument(help="The proposal's digest, or enough of its beginning.")
]


@command(app)
def propose(
    key: KeyFile,
    source: Annotated[
        Path | None, typer.Argument(help="job.toml, federation.toml or serve.toml")
    ] = None,
    amend: Annotated[
        Path | None, typer.Option(help="Propose this drafted constitution instead of a job.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="With --amend: the purpose.")] = "amendment",
    reason: Annotated[str, typer.Option(help="With --amend: why, in plain words.")] = "",
    not_after: Annotated[str, typer.Option(help="With --amend: until when (ISO 8601).")] = "",
    model: Annotated[
        Path | None,
        typer.Option(help="Of a service: the model file, where it is not beside its object file."),
    ] = None,
    untried: Annotated[
        bool, typer.Option("--untried", help="Propose a service without trying its model here.")
    ] = False,
    acting_as: ActingAs = "",
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Propose a job (its program is put to the host), a federation, a service or an amendment to
    the council. What is known to be refused, whatever anybody votes, is not proposed without
    --yes."""
    keys = load_keys(key, acting_as)
    if (source is None) == (amend is None):
        raise UsageRefused(
            "Give either a file (job.toml, federation.toml, serve.toml) or --amend CONSTITUTION."
        )
    if amend is not None and not not_after:
        raise UsageRefused("An amendment takes --not-after: until when it may be put in force.")
    now = int(time.time())
    with client() as connected:
        if amend is not None:
            constitution, until = read_constitution(amend), parse_time(not_after)
            body = Amendment(digest_of(encode(constitution)))
            draft: WorkDraft | _Amending = _Amending(body, purpose, reason, now, until)
            follows = partial(connected.council.foresee_constitution, constitution, keys.id)
            found = _ask(follows(purpose=purpose), yes, as_json)
            put_draft(connected, keys, constitution)
        else:
            draft = load_work(path := cast("Path", source), now, KnownHere(connected))
            if isinstance(draft, ServeDraft) and not untried:
                try_before(path, draft.body, model)
            found = _ask(connected.council.foresee(draft, keys.id), yes, as_json)
        if isinstance(draft, JobDraft):
            _put_program(connected, keys, draft, as_json)
        recorded = _propose(connected, keys, draft)
    sentences = [
        f"Proposed: {recorded.digest} (entry {recorded.index}).",
        f"What it still needs: placet proposals {short(recorded.digest)}",
    ]
    value = {"proposal": recorded.digest, "index": recorded.index, **found.to_dict()}
    show(value, as_json, lines(sentences))
    if not as_json:  # whose value has it
        say(*told(found))


@dataclass(frozen=True, slots=True)
class _Amending:
    """An amendment as it is proposed. Times are Unix seconds."""

    body: Amendment
    purpose: str
    reason: str
    not_before: int
    not_after: int
    uses: int = 1


def _ask(found: Forecast, yes: bool, as_json: bool) -> Forecast:
    """What is known already: final refusals are raised, and data without a label is asked about,
    unless `yes`."""
    if found.final and not yes:
        if not as_json:
            say(*told(found))
        raise found.final[0]
    if found.unlabelled:
        confirm(f"{found.unlabelled} Propose it all the same?", yes)
    return found


def _put_program(connected: Client, keys: Keys, draft: JobDraft, as_json: bool) -> None:
    bundle, owner = draft.bundle, keys.signing.public
    if not as_json:
        files = bundle.files()
        listed = ", ".join(f"{name} ({len(data)} bytes)" for name, data in sorted(files.items()))
        say(f"The host and the council can read the program's files: {listed}.")
    with transfer("putting the program", as_json) as progress:
        connected.blobs.put(bundle.blob, bundle.data, owner=owner, progress=progress)


def _propose(connected: Client, keys: Keys, draft: WorkDraft | _Amending) -> Recorded:
    return connected.council.propose(
        keys,
        draft.body,
        purpose=draft.purpose,
        reason=draft.reason,
        not_before=draft.not_before,
        not_after=draft.not_after,
        uses=draft.uses,
    )


@command(app)
def terms(
    source: Annotated[Path, typer.Argument(help="federation.toml or serve.toml")],
    out: OutFile = Path("terms.json"),
    as_json: AsJSON = False,
) -> None:
    """Write the terms of a federation or a service before they are proposed: what its workers are
    launched for."""
    payload = encode(load_terms(source, int(time.time())))
    write_artifact(out, payload)
    value = {"terms": digest_of(payload), "file": str(out)}
    show(value, as_json, lines([f"Wrote {out}: terms {digest_of(payload)}."]))


@command(app)
def vote(
    proposal: ProposalName,
    choice: Annotated[str, typer.Argument(metavar="VOTE", help=", ".join(VOTES))],
    key: KeyFile,
    rationale: Annotated[str, typer.Option(help="Your reasons; some rules demand them.")] = "",
    interests: Annotated[str, typer.Option(help="Your conflicts of interest.")] = "",
    expires: Annotated[
        str,
        typer.Option(
            help="Until when a placet counts, ISO 8601; else 30 days, or a service's review."
        ),
    ] = "",
    constitution: Annotated[
        Path | None,
        typer.Option(help="Of an amendment: the draft that it names, to be shown what changes."),
    ] = None,
    acting_as: ActingAs = "",
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Sign your seat's ballot on a proposal, once you have seen what it is and whether the rules
    count your ballot."""
    wanted, until = vote_named(choice), parse_time(expires) if expires else None
    keys = load_keys(key, acting_as)
    with client() as connected:
        found = choose_proposal(connected, proposal, f"Vote {choice} on", quiet=as_json)
        told = ballot_forecast(connected, found, keys.id, wanted, rationale, until)
        if not yes:
            say(
                *explain_proposal(found.document, found.rules),
                *voted_on(connected, found, constitution),
            )
        if not (yes and as_json):
            say(*told.sentences(keys.id))
        confirm(f"Vote {choice} on {found.digest} as {keys.id}?", yes)
        recorded = connected.council.vote(
            keys, found, wanted, interests=interests, rationale=rationale, expires=until
        )
    value = {
        "ballot": recorded.digest,
        "proposal": found.digest,
        "index": recorded.index,
        "not_counted": told.not_counted,
    }
    show(value, as_json, lines([f"Recorded as entry {recorded.index}: {keys.id} says {choice}."]))


def vote_named(text: str) -> Vote:
    """Raises `UsageRefused`."""
    for vote in VOTES:
        if vote == text:
            return vote
    raise UsageRefused(f"A vote is one of: {', '.join(VOTES)}.", claim="vote", actual=text)


@command(app)
def veto(
    proposal: ProposalName,
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    acting_as: ActingAs = "",
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Veto a proposal, also one whose job runs; takes a seat whose role has a veto."""
    _stop("veto", proposal, load_keys(key, acting_as), reason, yes, as_json)


@command(app)
def pause(
    proposal: ProposalName,
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    acting_as: ActingAs = "",
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Pause a proposal and its jobs, for good as long as resuming is not built; any seat may."""
    _stop("pause", proposal, load_keys(key, acting_as), reason, yes, as_json)


@command(app)
def revoke(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=", ".join(REVOCABLE))],
    target: Annotated[str, typer.Argument(help="A seat's id, a program's digest, a measurement.")],
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    acting_as: ActingAs = "",
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Revoke a seat, a program or a measurement, at once and for good; any seat may."""
    if what not in REVOCABLE:
        raise UsageRefused(
            f"What can be revoked: {', '.join(REVOCABLE)}.", claim="what", actual=what
        )
    keys, action = load_keys(key, acting_as), cast("StopAction", f"revoke-{what}")
    if what == "measurement":
        # As a policy or another tool may write it: `<measurement>=sha256:<program>`, or in
        # capitals.
        target = target.partition("=")[0].lower()
        check_measurement("target", target)
    confirm(f"Revoke the {what} {target}? Nothing takes it back.", yes)
    with client() as connected:
        recorded = connected.council.stop(keys, action, target, reason=reason)
    value = {"stop": recorded.digest, "action": action, "target": target, "index": recorded.index}
    show(value, as_json, lines([f"Recorded as entry {recorded.index}: {what} {target} revoked."]))


def _stop(
    action: StopAction, proposal: str, keys: Keys, reason: str, yes: bool, as_json: bool
) -> None:
    with client() as connected:
        found = choose_proposal(connected, proposal, action.capitalize(), quiet=as_json)
        target = found.digest
        if found.item.stopped and not as_json:
            say(f"It is stopped already ({found.item.stopped}), for good: this changes nothing.")
        if target in (proposal, "sha256:" + proposal):  # else it was asked just now
            confirm(f"{action.capitalize()} {target} for good? Nothing takes it back.", yes)
        recorded = connected.council.stop(keys, action, target, reason=reason)
    value = {"stop": recorded.digest, "action": action, "target": target, "index": recorded.index}
    told = f"Recorded as entry {recorded.index}: from here on nothing of {short(target)} happens."
    show(value, as_json, lines([told]))


@command(app)
def proposals(
    proposal: Annotated[
        str | None, typer.Argument(help="One proposal in full, by its digest.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = _LISTED,
    wide: Wide = False,
    as_json: AsJSON = False,
) -> None:
    """List the newest proposals with how each stands, or show one in plain sentences."""
    with client() as connected:
        if proposal is not None:
            _show_proposal(connected, proposal, as_json)
            return
        read = [_read(connected, item) for item in connected.council.proposals(limit)]
    known = [found for found in read if not isinstance(found, str)]
    for found in read:
        if isinstance(found, str):
            say(found)
    names = shortened([record.digest for record, _ in known])
    rows = [_row(record, how, names, wide) for record, how in known]
    columns = _COLUMNS + ("entry", "opens") * wide
    show(
        [_listed(record, how) for record, how in known],
        as_json,
        table(columns, rows, "No proposals.", whole=("proposal",), wide=wide),
    )


def _read(connected: Client, item: ProposalItem) -> tuple[ProposalRecord, ProposalStanding] | str:
    try:
        record = connected.council.find(item)
        return record, connected.council.standing(record)
    except Refusal as error:
        return f"{short(item.digest)}: {error}"


def _listed(record: ProposalRecord, how: ProposalStanding) -> Json:
    return {
        "digest": record.digest,
        "index": record.item.index,
        "action": record.document.action,
        "purpose": record.document.purpose,
        "proposer": record.document.proposer,
        "ballots": len(record.item.ballots),
        "not_after": when(record.document.not_after),
        "standing": standing_json(how),
    }


def _row(
    record: ProposalRecord, how: ProposalStanding, names: Mapping[str, str], wide: bool
) -> tuple[object, ...]:
    document = record.document
    cells = (
        record.digest if wide else names[record.digest],
        how.brief,
        document.action,
        document.purpose,
        document.proposer,
        len(record.item.ballots),
        day(document.not_after),
    )
    return cells + (record.item.index, day(document.not_before)) * wide


def _show_proposal(connected: Client, name: str, as_json: bool) -> None:
    record = connected.council.find(name)
    ballots = connected.council.ballots(record)
    how = connected.council.standing(record, whole=True)
    value = {
        "digest": record.digest,
        "index": record.item.index,
        "standing": standing_json(how),
        "proposal": record.document,
        "ballots": [{"digest": b.digest, "ballot": b.document} for b in ballots],
        "refusals": [{"reason": r.reason, "message": str(r)} for r in how.refusals],
    }
    sentences = [*explain_standing(how), "", *explain_proposal(record.document, record.rules)]
    if how.voting:  # else votes decide nothing any more, and demands that are met would mislead
        account = connected.council.account(ticket_of(record.proposal, ballots))
        sentences += ["", *explain_demands(account)]
    show(value, as_json, lines(sentences))


@command(app)
def ticket(proposal: ProposalName, out: OutFile, as_json: AsJSON = False) -> None:
    """Collect a proposal and its ballots into a ticket file."""
    with client() as connected:
        found = connected.council.find(proposal)
        bundle = connected.council.ticket(found)
    write_artifact(out, ticket_to_bytes(bundle))
    value = {"file": str(out), "proposal": found.digest, "ballots": len(bundle.ballots)}
    show(value, as_json, lines([f"Wrote {out}: {len(bundle.ballots)} ballot(s)."]))
