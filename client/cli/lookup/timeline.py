# SPDX-License-Identifier: Apache-2.0
"""timeline: who did what to which data, when, and for which purpose."""

from functools import partial
from typing import Annotated

import typer

from placet.auditing.timeline import (
    Event,
    involving,
    subject_of,
    subjects_in,
    timeline,
)
from placet.auditing.told import Subject
from placet.client.blocking import Client
from placet.client.cli._frame import AsJSON, client, command, lines, show
from placet.client.cli._terms import parse_time
from placet.client.cli._words import when
from placet.client.cli.lookup._reading import check_known, judged_or

app = typer.Typer()


@command(app, "timeline")
def tell(
    since: Annotated[str, typer.Option(help="From when on (ISO 8601); else all of it.")] = "",
    of: Annotated[
        str, typer.Option("--of", help="Only what this seat or party did, or what used its data.")
    ] = "",
    as_json: AsJSON = False,
) -> None:
    """Tell from the log who did what to which data, when and for which purpose; newest last."""
    first = parse_time(since) if since else 0
    with client() as connected:
        state = connected.log.ledger().state
        if of:
            check_known(connected, of)
        entries = connected.log.entries()
        # Times of a log never go back.
        start = next((i for i, e in enumerate(entries) if e["at"][1] >= first), len(entries))
        later = entries[start:]
        found = timeline(state, later, _subjects(connected, subjects_in(state, later)), start)
    if of:
        found = involving(found, of)
    sentences = [_line(event) for event in found] or ["Nothing happened."]
    show([_value(event) for event in found], as_json, lines(sentences))


def _subjects(connected: Client, digests: list[str]) -> dict[str, Subject]:
    """Those whose proposals the host gives."""
    found = {
        digest: judged_or(connected, partial(subject_of, digest=digest), None) for digest in digests
    }
    return {digest: subject for digest, subject in found.items() if subject is not None}


def _line(event: Event) -> str:
    return f"{when(event.at)} #{event.index} {event.sentence}"


def _value(event: Event) -> dict[str, object]:
    return {
        "index": event.index,
        "at": when(event.at),
        "who": event.who,
        "did": event.did,
        "data": [
            {"owner": one.owner, "object": one.object, "labels": one.labels} for one in event.data
        ],
        "purpose": event.purpose,
        "proposal": event.proposal,
        "sentence": event.sentence,
    }
