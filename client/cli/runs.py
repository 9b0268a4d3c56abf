# SPDX-License-Identifier: Apache-2.0
"""Runs: start, runs, watch, cancel, and a job's result. A job, a federation and a service are
started, listed, followed and stopped by the same commands."""

from pathlib import Path
from typing import Annotated

import typer

from placet.auditing.explain import explain_charged
from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    Force,
    KeyFile,
    Wide,
    client,
    command,
    lines,
    load_keys,
    say,
    show,
)
from placet.client.cli._runs import (
    follow,
    is_job,
    proposals_of,
    run_table,
    runs_json,
    tell,
)
from placet.client.cli._words import about_proposal, choose_proposal, find_ticket, transfer
from placet.client.errors import UsageRefused
from placet.client.runs.runs import Action
from placet.governance.jobs import JOB_DIGITS

app = typer.Typer()

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="The name of a job; of a federation or a service the digest of its proposal; or "
        "enough of its beginning, as `placet runs` shows it.",
    ),
]
_ACTIONS: tuple[Action, ...] = ("job", "federate", "serve")


@command(app)
def start(
    ticket: Annotated[str, typer.Argument(help="A ticket file, or a proposal's digest.")],
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, max=1000, help="Of a service: how many from now on, else 1; 0 drains it."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Follow it until it has ended, or a service's workers serve."),
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Start what a ticket lets happen: a job, a federation, a service."""
    with client() as connected:
        run = connected.runs.start(find_ticket(connected, ticket), workers=workers)
        if watch and not run.settled:
            say(f"Started {run.id}. Should this be interrupted, go on with: placet watch {run.id}")
            run = follow(connected, run.id, as_json, settled=True)
        known = proposals_of(connected, (run.id,))
    tell(run, as_json, known)


@command(app)
def runs(
    name: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="One run in full, by its name or its beginning."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    action: Annotated[str, typer.Option(help=f"Only these: {', '.join(_ACTIONS)}.")] = "",
    wide: Wide = False,
    as_json: AsJSON = False,
) -> None:
    """List the newest jobs, federations and services, or show one of them."""
    wanted = _action(action)
    with client() as connected:
        if name is not None:
            run = connected.runs.get(connected.runs.id(name))
            tell(run, as_json, proposals_of(connected, (run.id,)))
            return
        found = connected.runs.list(limit, action=wanted)
        known = proposals_of(connected, [run.id for run in found])
    show(runs_json(found, known), as_json, run_table(found, known, wide=wide))


@command(app)
def watch(name: RunName, as_json: AsJSON = False) -> None:
    """Follow a run until it has ended; exits with 1 if it failed or was stopped."""
    with client() as connected:
        run = follow(connected, connected.runs.id(name), as_json)
        known = proposals_of(connected, (run.id,))
    tell(run, as_json, known)


@command(app)
def cancel(
    name: RunName,
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    acting_as: ActingAs = "",
    as_json: AsJSON = False,
) -> None:
    """Cancel a run's proposal: takes its proposer or a seat."""
    keys = load_keys(key, acting_as)
    with client() as connected:
        if is_job(name) and len(name.partition("-")[0]) == JOB_DIGITS:
            proposal = connected.runs.proposal(name)
            if not as_json:
                say("\n".join(about_proposal(proposal)))
        else:
            proposal = choose_proposal(connected, name.partition("-")[0], "Cancel", quiet=as_json)
        recorded = connected.council.stop(keys, "cancel", proposal.digest, reason=reason)
    value = {"stop": recorded.digest, "index": recorded.index}
    show(value, as_json, lines([f"Cancelled: entry {recorded.index}."]))


@command(app)
def result(
    id: Annotated[str, typer.Argument(metavar="JOB", help="The job's name, or its beginning.")],
    key: KeyFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write into.")],
    recipient: Annotated[
        str, typer.Option(help="Your name in the proposal, if not the key's id.")
    ] = "",
    force: Force = False,
    as_json: AsJSON = False,
) -> None:
    """Fetch what a job released: verify the receipt, then fetch, verify and open the outputs."""
    keys = load_keys(key)
    with client() as connected, transfer("fetching", as_json) as progress:
        found = connected.jobs.result(
            connected.runs.id(id),
            keys,
            out,
            recipient=recipient or None,
            progress=progress,
            force=force,
        )
    said = found.receipt.receipt.predicate
    value = {
        "receipt": found.receipt.digest,
        "receipt_file": str(found.receipt_file),
        "marks": list(said.marks),
        "privacy": said.privacy,
        "outputs": {name: str(path) for name, path in found.outputs.items()},
    }
    told = [
        (
            f"Receipt {found.receipt.digest} (entry {said.entry}), "
            f"{' '.join(said.marks) or 'no marks'}."
        ),
        *explain_charged(said.privacy),
        *(f"Wrote {path}." for path in found.outputs.values()),
    ]
    show(value, as_json, lines(told))


def _action(text: str) -> Action:
    for action in ("", *_ACTIONS):
        if action == text:
            return action
    expected = ", ".join(_ACTIONS)
    raise UsageRefused(f"An action is one of: {expected}.", claim="action", actual=text)
