# SPDX-License-Identifier: Apache-2.0
"""How runs are shown: a line each, one in full, or each change of one."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from placet.auditing.explain import explain_refusal
from placet.client.blocking import Client
from placet.client.cli._frame import EXIT_REFUSED, lines, say, say_json, show, table
from placet.client.cli._words import refusal_json, short, when
from placet.client.runs.status import FederationStatus, JobStatus, RunStatus
from placet.governance.codec import Json

RUN_COLUMNS = ("run", "action", "state", "how far", "started", "why")
_ROUNDS = ("round", "model", "updates", "left out")
_MEMBERS = ("client", "update", "quarantined until round", "why")


def is_job(name: str) -> bool:
    """Whether a run's name is that of a job; all others are digests."""
    return "-" in name


def run_json(run: RunStatus) -> Json:
    """A run with its refusal in words, and what is particular to it under its action."""
    name, own = _particular(run)
    return {
        "id": run.id,
        "proposal": run.proposal.text,
        "action": name,
        "state": run.state,
        "progress": run.progress,
        "started": when(run.started),
        "refusal": refusal_json(run.refusal),
        name: own,
    }


def run_row(run: RunStatus) -> tuple[object, ...]:
    """A run as a line of a table."""
    name = run.id if isinstance(run.work, JobStatus) else short(run.id)
    why = run.refusal.reason if run.refusal else ""
    return name, _particular(run)[0], run.state, _how_far(run), when(run.started), why


def tell(run: RunStatus, as_json: bool) -> None:
    """A run in full; exits with 1 where it failed or was stopped."""
    show(run_json(run), as_json, lines([_line(run)]))
    if isinstance(run.work, FederationStatus) and not as_json:
        _tell_rounds(run.work)
    if run.ended and run.refusal is not None:
        if not as_json:
            say(*explain_refusal(run.refusal.reason, str(run.refusal), run.refusal.details))
        raise typer.Exit(EXIT_REFUSED)


def follow(connected: Client, id: str, as_json: bool, *, settled: bool = False) -> RunStatus:
    """Tell each change until the run has ended, or until it has settled: a line each, with --json
    a JSON line each, and a bar for a job on a terminal."""
    console, last = Console(stderr=True), None
    drawn = console.is_terminal and not as_json and is_job(id)
    with _bar(console) if drawn else nullcontext(_say_json if as_json else _say) as told:
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


def _say_json(run: RunStatus) -> None:
    say_json(run_json(run))


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
