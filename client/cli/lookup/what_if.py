# SPDX-License-Identifier: Apache-2.0
"""what-if: whether a proposal would pass if seats voted so."""

from typing import Annotated

import typer

from placet.auditing.explain import explain_demands
from placet.auditing.foresight.what_if import suppose
from placet.client.cli._frame import EXIT_REFUSED, AsJSON, client, command, lines, show
from placet.client.cli._terms import parse_time
from placet.client.cli.council import ProposalName, vote_named
from placet.client.cli.lookup._reading import now
from placet.client.errors import UsageRefused
from placet.governance.account import Times
from placet.governance.documents import Vote

app = typer.Typer()


@command(app, name="what-if")
def what_if(
    proposal: ProposalName,
    votes: Annotated[
        list[str] | None,
        typer.Argument(metavar="SEAT[=VOTE]...", help="Seats that vote so; `placet` if unsaid."),
    ] = None,
    at: Annotated[str, typer.Option("--at", help="When, ISO 8601; else now.")] = "",
    as_json: AsJSON = False,
) -> None:
    """Say whether a proposal would be let through if these seats voted so, and what is missing.

    Votes of the log count too, and stops, uses and grants are those of the log. Nothing is signed.
    """
    wanted = _votes(votes or [])
    times = Times(parse_time(at), parse_time(at)) if at else now()
    with client() as connected:
        found = connected.council.find(proposal)
        told = connected.log.judged(lambda log: suppose(log, found.digest, wanted, times))
    told_lines = [
        *explain_demands(told.account),
        "It would be let through." if told.passes else "It would be refused:",
        *(str(refusal) for refusal in told.refusals),
    ]
    value = {
        "proposal": found.digest,
        "passes": told.passes,
        "ballots": told.account.ballots,
        "rules": told.account.rules,
        "refusals": [{"reason": r.reason, "message": str(r)} for r in told.refusals],
    }
    show(value, as_json, lines(told_lines))
    if not told.passes:
        raise typer.Exit(EXIT_REFUSED)


def _votes(given: list[str]) -> dict[str, Vote]:
    found: dict[str, Vote] = {}
    for one in given:
        seat, equals, vote = one.partition("=")
        if seat in found:
            raise UsageRefused(f"The seat {seat} is named twice.", claim="seat", actual=one)
        found[seat] = vote_named(vote) if equals else "placet"
    return found
