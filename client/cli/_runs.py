# SPDX-License-Identifier: Apache-2.0
"""How runs are shown: a line each, one in full, or each change of one."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from placet.auditing.explain import explain_refusal
from placet.client.blocking import Client
from placet.client.cli._frame import EXIT_REFUSED, lines, say, say_json, show, table
from placet.client.cli._words import refusal_json, short, shortened, when
from placet.client.connection.access import where_shown
from placet.client.council.records import ProposalItem, ProposalRecord
from placet.client.errors import SettingMissing
from placet.client.runs.runs import STOPPED
from placet.client.runs.status import FederationStatus, JobStatus, RunStatus
from placet.governance.codec import Json
from placet.governance.jobs import proposal_digits
from placet.refusals import NotFounded

_COLUMNS = ("run", "action", "state", "how far", "purpose", "by", "why")
_ALL = 1_000_000
_ROUNDS = ("round", "model", "updates", "left out")
_MEMBERS = ("client", "update", "quarantined until round", "why")


def is_job(name: str) -> bool:
    """Whether a run's name is that of a job; all others are digests."""
    return "-" in name


def proposals_of(connected: Client, ids: Sequence[str]) -> dict[str, ProposalRecord]:
    """The proposals of runs, by the runs' ids, in this client's own log; of those that it has."""
    if not ids:
        return {}
    try:
        known = {proposal_digits(item.digest): item for item in connected.council.proposals(_ALL)}
    except (NotFounded, SettingMissing):  # nothing is known of any council
        return {}
    found = {id: known.get(proposal_digits(id.partition("-")[0])) for id in ids}
    records = {id: _record(connected, item) for id, item in found.items() if item}
    return {id: record for id, record in records.items() if record}


def _record(connected: Client, item: ProposalItem) -> ProposalRecord | None:
    """A proposal of the log; None where the host does not show it to this caller."""
    with where_shown():
        return connected.council.find(item)
    return None


def run_json(run: RunStatus, record: ProposalRecord | None) -> Json:
    """A run with its refusal in words, what is particular to it under its action, and what the log
    says of its proposal."""
    name, own = _particular(run)
    return {
        "id": run.id,
        "proposal": run.proposal.text,
        "purpose": record.document.purpose if record else None,
        "proposer": record.document.proposer if record else None,
        "program": (record.document.body.program or None) if record else None,
        "action": name,
        "state": run.state,
        "progress": run.progress,
        "started": when(run.started),
        "refusal": refusal_json(run.refusal),
        name: own,
    }


def runs_json(runs: Sequence[RunStatus], known: Mapping[str, ProposalRecord]) -> list[Json]:
    """The same of several."""
    return [run_json(run, known.get(run.id)) for run in runs]


def run_table(
    runs: Sequence[RunStatus], known: Mapping[str, ProposalRecord], *, wide: bool = False
) -> Callable[[Console], None]:
    """Runs as a table: a line each."""
    names = shortened([run.id for run in runs])
    rows: list[tuple[object, ...]] = []
    for run in runs:
        record = known.get(run.id)
        more = (when(run.started), _program(record)) if wide else ()
        rows.append((run.id if wide else names[run.id], *_cells(run, record), *more))
    return table(
        _COLUMNS + ("started", "program") * wide,
        rows,
        "No runs.",
        whole=("run", "state"),
        wide=wide,
    )


def _program(record: ProposalRecord | None) -> str:
    return (record and record.document.body.program) or ""


def _cells(run: RunStatus, record: ProposalRecord | None) -> tuple[object, ...]:
    said = (record.document.purpose, record.document.proposer) if record else ("", "")
    why = run.refusal.reason if run.refusal else ""
    return _particular(run)[0], run.state, _how_far(run), *said, why


def tell(run: RunStatus, as_json: bool, known: Mapping[str, ProposalRecord]) -> None:
    """A run in full; exits with 1 where it failed or was stopped."""
    show(run_json(run, known.get(run.id)), as_json, lines([_line(run)]))
    if isinstance(run.work, FederationStatus) and not as_json:
        _tell_rounds(run.work)
    if run.ended and run.refusal is not None:
        if not as_json:
            say(*explain_refusal(run.refusal.reason, str(run.refusal), run.refusal.details))
            if run.refusal.reason in STOPPED and (record := known.get(run.id)):
                say(f"Who stopped it, and why: placet proposals {short(record.digest)}")
        raise typer.Exit(EXIT_REFUSED)


def follow(connected: Client, id: str, as_json: bool, *, settled: bool = False) -> RunStatus:
    """Tell each change until the run has ended, or until it has settled: a line each, with --json
    a JSON line each, and a bar for a job on a terminal."""
    console, last = Console(stderr=True), None
    drawn = console.is_terminal and not as_json and is_job(id)
    known = proposals_of(connected, (id,)) if as_json else {}
    plain = partial(_say_json, record=known.get(id)) if as_json else _say
    with _bar(console) if drawn else nullcontext(plain) as told:
        for last in connected.runs.watch(id):
            told(last)
            if settled and last.settled:
                break
    assert last is not None, "watch tells how a run stands, or raises"
    return last


@contextmanager
def _bar(console: Console) -> Generator[Callable[[RunStatus], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=100)
        yield lambda run: bar.update(task, completed=run.progress, description=run.state)


def _say_json(run: RunStatus, record: ProposalRecord | None) -> None:
    say_json(run_json(run, record))


def _say(run: RunStatus) -> None:
    say(_line(run))


def _particular(run: RunStatus) -> tuple[str, Json]:
    work = run.work
    if isinstance(work, JobStatus):
        return "job", {"attempt": work.attempt, "changed": when(work.changed)}
    if isinstance(work, FederationStatus):
        return "federate", _federation_json(work)
    until = when(work.not_after)
    return "serve", {"workers": work.workers, "ready": work.ready, "not_after": until}


def _federation_json(work: FederationStatus) -> Json:
    return {
        "round": work.round,
        "rounds": work.rounds,
        "closes": when(work.closes) if work.closes else None,
        "aggregating": work.aggregating,
        "model_round": work.model_round,
        "members": [
            {
                "client": m.client,
                "updated": m.updated,
                "quarantined_until": m.quarantined_until,
                "why": m.why,
            }
            for m in work.members
        ],
        "outcomes": [
            {"round": o.round, "released": o.released, "updates": o.updates, "left": o.left}
            for o in work.outcomes
        ],
    }


def _how_far(run: RunStatus) -> str:
    work = run.work
    if isinstance(work, JobStatus):
        return f"{run.progress}%, attempt {work.attempt}"
    if isinstance(work, FederationStatus):
        sent = sum(member.updated for member in work.members)
        waiting = sum(not member.quarantined_until for member in work.members)
        so_far = f"{run.progress}%" if work.aggregating else f"{sent} of {waiting} update(s)"
        return f"round {work.round}/{work.rounds}" + ("" if run.ended else f", {so_far}")
    return f"{work.ready} of {work.workers} worker(s) ready"


def _until(run: RunStatus) -> str:
    """What a line alone has no room for."""
    work = run.work
    if isinstance(work, JobStatus):
        return ""
    if isinstance(work, FederationStatus):
        closes = "" if run.ended or work.aggregating else f" until {when(work.closes)}"
        return f"{closes}; newest model: {work.model_round or 'none'}"
    return f", until {when(work.not_after)}"


def _line(run: RunStatus) -> str:
    """A run in a line."""
    why = f" ({run.refusal.reason})" if run.refusal and not run.ended else ""
    return f"{run.id}: {run.state}, {_how_far(run)}{_until(run)}{why}"


def _tell_rounds(work: FederationStatus) -> None:
    members = [
        (m.client, "sent" if m.updated else "", m.quarantined_until or "", m.why)
        for m in work.members
    ]
    outcomes = [
        (
            o.round,
            "released" if o.released else "none",
            o.updates,
            ", ".join(f"{client} ({why})" for client, why in sorted(o.left.items())),
        )
        for o in work.outcomes
    ]
    show(None, False, table(_MEMBERS, members, "No clients."))
    show(None, False, table(_ROUNDS, outcomes, "No round is over yet."))
