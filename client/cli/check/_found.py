# SPDX-License-Identifier: Apache-2.0
"""How a check says what it found, and who would propose."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import typer

from placet.auditing.foresight.forecast import Forecast
from placet.client.blocking import Client
from placet.client.cli._frame import EXIT_REFUSED, client, home, lines, say, show
from placet.client.council.forecasts import kept_ledger
from placet.client.errors import SettingMissing, Unreachable, UsageRefused
from placet.client.keys import named_in
from placet.governance.codec import Json
from placet.governance.ledger import Ledger
from placet.refusals import DocumentNotFound, NotFounded

T = TypeVar("T")


def proposer(acting_as: str) -> str:
    """Who would propose: whom --as names, or else whom the home's key is of. Raises
    `UsageRefused`."""
    if acting_as:
        return acting_as
    path, by = home().key()
    if path is None:
        raise UsageRefused("It depends on who proposes it, and this home has no key. Give --as ID.")
    return by or named_in(path)


def by_the_log(
    ask: Callable[[Client], T], kept: Callable[[Ledger], T], without: Callable[[], T]
) -> T:
    """What a council's log says; where its host does not answer, what the log that this home keeps
    says; and without a council, what can be said without."""
    try:
        with client() as connected:
            return ask(connected)
    except (SettingMissing, NotFounded) as missing:
        say(f"Only the draft itself is looked at. {missing}")
        return without()
    except Unreachable as away:
        ledger = kept_ledger(home().memory())
        if not ledger.tree.size:
            raise
        try:
            found = kept(ledger)
        except DocumentNotFound:
            raise away from None
        say(f"{away} What follows is by the log as this home keeps it.")
        return found


def told(forecast: Forecast) -> list[str]:
    """Everything that a forecast says, in sentences."""
    return [
        *(f"It would be refused ({refusal.reason}): {refusal}" for refusal in forecast.final),
        *(
            f"As things stand, a start would be refused ({refusal.reason}): {refusal}"
            for refusal in forecast.lacking
        ),
        *(f"It may not be meant: {remark}" for remark in forecast.remarks),
    ]


def show_found(
    forecast: Forecast, as_json: bool, facts: Sequence[str] = (), more: Json | None = None
) -> None:
    """The result of a check; exits with 1 where something would be refused."""
    found = told(forecast)
    if not forecast.refusals:
        by = f", by the log's first {forecast.size} entries" if forecast.size else ""
        found.append(f"Nothing that is known now would be refused{by}, were every seat to approve.")
    show({**forecast.to_dict(), **(more or {})}, as_json, lines([*facts, *found]))
    if forecast.refusals:
        raise typer.Exit(EXIT_REFUSED)
