# SPDX-License-Identifier: Apache-2.0
"""inbox: what waits for a seat or a party."""

from functools import partial
from typing import Annotated

import typer

from placet.auditing.grants import GrantStanding, grant_records, grant_standing
from placet.auditing.inbox import (
    Viewer,
    Waiting,
    open_proposals,
    waits_at_grants,
    waits_at_proposal,
)
from placet.client.blocking import Client
from placet.client.cli._frame import AsJSON, client, command, lines, say, show
from placet.client.cli._words import short, when
from placet.client.cli.lookup._reading import check_known, judged_or, now, own_name
from placet.governance.state import State

app = typer.Typer()
_DAY = 86400


@command(app)
def inbox(
    who: Annotated[str, typer.Argument(help="A seat or party; else whom your key is of.")] = "",
    soon: Annotated[int, typer.Option(min=0, max=3650, help="Days ahead that count as soon.")] = 14,
    as_json: AsJSON = False,
) -> None:
    """List what waits: proposals for a ballot, your own that can be started, services whose review
    is near, grants to give again."""
    viewer = Viewer(own_name(who), now(), soon * _DAY)
    with client() as connected:
        state = connected.log.ledger().state
        check_known(connected, viewer.who)
        found = [*_at_proposals(connected, state, viewer), *_at_grants(connected, viewer)]
    sentences = [_line(one) for one in found] or [f"Nothing waits for {viewer.who}."]
    value = [
        {
            "waits": one.waits,
            "digest": one.digest,
            "until": when(one.until),
            "sentence": one.sentence,
        }
        for one in found
    ]
    show(value, as_json, lines(sentences))


def _at_proposals(connected: Client, state: State, viewer: Viewer) -> list[Waiting]:
    found: list[Waiting] = []
    for digest in open_proposals(state):
        waiting = judged_or(
            connected, partial(waits_at_proposal, digest=digest, viewer=viewer), None
        )
        if waiting is None:
            say(f"The host withholds the proposal {digest}, or a ballot for it: ask its operator.")
        found += waiting or []
    return found


def _at_grants(connected: Client, viewer: Viewer) -> list[Waiting]:
    own = [
        record
        for record in grant_records(connected.log.entries()).values()
        if record.owner == viewer.who
    ]
    standings: list[GrantStanding] = []
    for record in own:
        standing = judged_or(
            connected, partial(grant_standing, record=record, times=viewer.times), None
        )
        if standing is None:
            say(f"The host withholds the grant {record.digest}: ask its operator.")
        else:
            standings.append(standing)
    return waits_at_grants(standings, viewer)


def _line(one: Waiting) -> str:
    return f"{one.waits} {short(one.digest)} (until {when(one.until)}): {one.sentence}"
