# SPDX-License-Identifier: Apache-2.0
"""grants: everything that an owner has granted, and what has become of it."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from placet.auditing.grants import (
    GrantRecord,
    GrantStanding,
    UsedBy,
    grant_records,
    grant_standing,
    used_by,
)
from placet.client.blocking import Client
from placet.client.cli._frame import AsJSON, client, command, show, table
from placet.client.cli._words import short, when
from placet.client.cli.lookup._reading import check_known, judged_or, now, own_name
from placet.client.council.records import named
from placet.governance.codec import Json
from placet.governance.sentences import count, listed
from placet.sealing import ObjectDescriptor

app = typer.Typer()


@command(app)
def grants(
    owner: Annotated[str, typer.Argument(help="Whose grants; else those of your key.")] = "",
    everybody: Annotated[bool, typer.Option("--all", help="Those of every owner.")] = False,
    as_json: AsJSON = False,
) -> None:
    """List what an owner has granted: what is left of it, who used it, and when it ends or was
    withdrawn."""
    whose = "" if everybody else own_name(owner)
    with client() as connected:
        connected.log.ledger()
        if whose:
            check_known(connected, whose)
        found = [
            (record, _standing(connected, record), users_of(connected, record))
            for record in grant_records(connected.log.entries()).values()
            if whose in ("", record.owner)
        ]
    columns = ("grant", "data", "stands", "used", "by", "until")
    drawn = table(columns, [_row(*one) for one in found], "Nothing was granted.")
    show([_value(*one) for one in found], as_json, drawn)


def find_grant(connected: Client, name: str) -> GrantStanding:
    """How a grant of the log stands, by its digest or the start of it. Raises `UsageRefused`, or
    `DocumentNotFound`."""
    connected.log.ledger()
    records = grant_records(connected.log.entries())
    record = records[named("grant", name, records)]
    return connected.log.judged(lambda ledger: grant_standing(ledger, record, now()))


def earlier_grants(
    connected: Client, owner: str, described: ObjectDescriptor
) -> list[GrantStanding]:
    """Those of an owner's grants of this object that still allow something."""
    connected.log.ledger()
    records = grant_records(connected.log.entries()).values()
    found = [_standing(connected, record) for record in records if record.owner == owner]
    return [
        one
        for one in found
        if one is not None
        and one.grant.object.digest == described.digest
        and one.stands in ("live", "suspended")
    ]


def earlier_told(earlier: Sequence[GrantStanding]) -> list[str]:
    """What they allow still: a later grant takes nothing back."""
    if not earlier:
        return []
    return [
        "These earlier grants of the same object go on beside it, until they are withdrawn:",
        *(
            f"{short(one.record.digest)}, {one.stands}: "
            f"{'any number of uses' if one.left is None else count(one.left, 'use')} left, for "
            f"{_any(one.grant.purposes)}, until {when(one.record.expires)}."
            for one in earlier
        ),
    ]


def _any(values: Sequence[str] | str) -> str:
    return "any purpose" if isinstance(values, str) else listed(values)


def users_of(connected: Client, record: GrantRecord) -> list[UsedBy]:
    """Who has used a grant, by each proposal that did."""
    return [
        judged_or(connected, partial(used_by, uses=uses), UsedBy(uses))
        for uses in record.uses.values()
    ]


def _standing(connected: Client, record: GrantRecord) -> GrantStanding | None:
    """None where the host withholds the grant."""
    return judged_or(connected, lambda ledger: grant_standing(ledger, record, now()), None)


def _row(
    record: GrantRecord, standing: GrantStanding | None, users: list[UsedBy]
) -> tuple[object, ...]:
    names = sorted({user.proposer or "?" for user in users})
    stands, most, data = "withheld", "?", "?"
    if standing:
        described = standing.grant.object
        stands, most = standing.stands, str(standing.grant.uses)
        data = ", ".join(described.labels) or described.id[:12]
    return (
        short(record.digest),
        data,
        stands,
        f"{record.used} of {most}",
        ", ".join(names) or "nobody",
        when(record.expires if record.withdrawn is None else record.withdrawn),
    )


def _value(record: GrantRecord, standing: GrantStanding | None, users: list[UsedBy]) -> Json:
    withdrawn = None
    if record.withdrawn is not None:
        withdrawn = {"at": when(record.withdrawn), "index": record.withdrawn_at}
    value: Json = {
        "digest": record.digest,
        "owner": record.owner,
        "index": record.index,
        "entered": when(record.entered),
        "expires": when(record.expires),
        "withdrawn": withdrawn,
        "used": record.used,
        "used_by": [_user(user) for user in users],
        "stands": standing.stands if standing else None,
    }
    if standing:
        value |= {
            "why": standing.why,
            "left": standing.left,
            "charged": standing.charged,
            "terms": standing.grant,
        }
    return value


def _user(user: UsedBy) -> Json:
    uses = user.uses
    return {
        "proposal": uses.proposal,
        "proposer": user.proposer,
        "action": user.action,
        "purpose": user.purpose,
        "program": user.program,
        "jobs": len(uses.jobs),
        "first": when(uses.first),
        "last": when(uses.last),
    }
