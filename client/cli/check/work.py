# SPDX-License-Identifier: Apache-2.0
"""check job, check federation: what the authority will judge of a draft, judged now."""

import time
from pathlib import Path
from typing import Annotated

import typer

from placet.auditing.foresight.forecast import Forecast
from placet.client.blocking import Client
from placet.client.cli._frame import AsJSON, command
from placet.client.cli.check._found import by_the_log, proposer, show_found
from placet.client.cli.check._rounds import Initial, Updates, Weights, as_plain, told, tried
from placet.client.cli.starting._known import KnownHere
from placet.client.council.forecasts import forecast_of, forecast_of_terms
from placet.client.drafts.federation import FederationDraft
from placet.client.drafts.job import Known
from placet.client.drafts.work import WorkDraft, load_work
from placet.client.errors import FileRefused, StateRefused
from placet.governance.account import Times
from placet.governance.codec import Json
from placet.governance.ledger import Ledger

app = typer.Typer()

DraftFile = Annotated[Path, typer.Argument(metavar="FILE", help="The draft, a TOML file.")]
Proposer = Annotated[
    str, typer.Option("--as", help="The seat or party that would propose it; else the home's key.")
]


@command(app)
def job(source: DraftFile, by: Proposer = "", as_json: AsJSON = False) -> None:
    """Judge the draft of a job: rules, labels, window, uses, grants and their budgets, evidence."""
    _, found = _check(source, "job", by)
    show_found(found, as_json)


@command(app)
def federation(
    source: DraftFile,
    update: Updates = None,
    weight: Weights = None,
    model: Initial = None,
    by: Proposer = "",
    as_json: AsJSON = False,
) -> None:
    """Judge the draft of a federation: the same, its roster, and terms that make no sense; with
    updates also a round of them, in the worker's code."""
    draft, found = _check(source, "federate", by)
    facts: list[str] = []
    more: Json = {}
    if update and isinstance(draft, FederationDraft):
        try:
            result = tried(draft.body, update, weight or [], model)
        except StateRefused as refusal:
            found = found.and_final([refusal])
        else:
            facts, more = told(draft.body, result), {"round": as_plain(result)}
    show_found(found, as_json, facts, more)


def _check(source: Path, action: str, by: str) -> tuple[WorkDraft, Forecast]:
    now = int(time.time())

    def ask(connected: Client) -> tuple[WorkDraft, Forecast]:
        draft = _load(source, action, now, KnownHere(connected))
        return draft, connected.council.foresee(draft, proposer(by))

    def kept(ledger: Ledger) -> tuple[WorkDraft, Forecast]:
        draft = _load(source, action, now)
        return draft, forecast_of(ledger, draft, proposer(by), Times(now, now))

    def without() -> tuple[WorkDraft, Forecast]:
        draft = _load(source, action, now)
        return draft, forecast_of_terms(draft)

    return by_the_log(ask, kept, without)


def _load(source: Path, action: str, now: int, known: Known | None = None) -> WorkDraft:
    draft = load_work(source, now, known)
    if draft.body.ACTION == action:
        return draft
    raise FileRefused(
        f"{source} asks for the action {draft.body.ACTION}; another check is for that.",
        claim="action",
        expected=action,
        actual=draft.body.ACTION,
    )
