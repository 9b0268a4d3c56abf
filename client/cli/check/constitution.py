# SPDX-License-Identifier: Apache-2.0
"""check constitution: a first one by itself, any other by the log of its council."""

import time
from pathlib import Path
from typing import Annotated

import typer

from placet.auditing.differences import explain_differences
from placet.auditing.foresight.amendment import constitution_remarks, foresee_amendment
from placet.auditing.foresight.forecast import Forecast
from placet.client.blocking import Client
from placet.client.cli._frame import AsJSON, command
from placet.client.cli.charter import read_constitution
from placet.client.cli.check._found import by_the_log, proposer, show_found
from placet.client.drafts.job import load_constitution
from placet.governance.account import Times
from placet.governance.documents import Constitution
from placet.governance.ledger import Ledger

app = typer.Typer()

_Found = tuple[Forecast, list[str]]


@command(app)
def constitution(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="TOML, or a drafted document.")],
    purpose: Annotated[
        str, typer.Option(help="For which it would be proposed, where it is an amendment.")
    ] = "amendment",
    by: Annotated[str, typer.Option("--as", help="The seat or party that would propose it.")] = "",
    as_json: AsJSON = False,
) -> None:
    """Judge the draft of a constitution; of an amendment also what it changes, and what it ends."""
    now = Times(int(time.time()), int(time.time()))
    found, changes = by_the_log(
        lambda connected: _by_the_host(connected, source, proposer(by), purpose),
        lambda ledger: _amendment(ledger, source, proposer(by), purpose, now),
        lambda: (_first(read_constitution(source), now), []),
    )
    show_found(found, as_json, changes, {"changes": changes})


def _by_the_host(connected: Client, source: Path, by: str, purpose: str) -> _Found:
    current = connected.council.verify().newest
    draft = _draft(source, current.document, current.digest)
    found = connected.council.foresee_constitution(draft, by, purpose=purpose)
    return found, explain_differences(current.document, draft)


def _amendment(ledger: Ledger, source: Path, by: str, purpose: str, now: Times) -> _Found:
    current = ledger.in_force()
    draft = _draft(source, current.constitution, current.digest)
    found = foresee_amendment(ledger, draft, by, purpose, now)
    return found, explain_differences(current.constitution, draft)


def _draft(source: Path, current: Constitution, digest: str) -> Constitution:
    """A document as it is; TOML as `constitution draft --amends` would make it one."""
    if source.suffix != ".toml":
        return read_constitution(source)
    return load_constitution(source, version=current.version + 1, predecessor=digest)


def _first(draft: Constitution, now: Times) -> Forecast:
    return Forecast((), (), tuple(constitution_remarks(draft, now)))
