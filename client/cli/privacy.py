# SPDX-License-Identifier: Apache-2.0
"""privacy: what a data owner has been charged, from the log judged again."""

import math
from fractions import Fraction
from typing import Annotated

import typer

from placet.auditing.explain import explain_cost
from placet.client.cli._frame import EXIT_NOT_CHECKED, AsJSON, client, command, say, show, table
from placet.client.errors import UsageRefused
from placet.governance.codec import Json
from placet.governance.documents import Budget, Cost
from placet.governance.privacy import describe_cost, epsilon_at
from placet.governance.state import PrivacyState

app = typer.Typer()


@command(app)
def privacy(
    owner: Annotated[str, typer.Argument(help="The owner's id.")],
    delta: Annotated[str, typer.Option(help="At which delta to show epsilon.")] = "1e-6",
    as_json: AsJSON = False,
) -> None:
    """Show what an owner has been charged: replays the whole log, and exits with 4 if parts were
    not checked."""
    Budget("1", delta)  # refuses what is no delta
    with client() as connected:
        report = connected.log.audit()
        principals = {p.id for p in connected.council.verify().newest.document.principals}
    if owner not in principals | report.privacy.keys():
        raise UsageRefused(
            f"The log knows no {owner}. It knows {', '.join(sorted(principals))}.", claim="owner"
        )
    found = report.privacy.get(owner, PrivacyState())
    costs = {
        "spent": found.spent,
        "reserved": sum(found.reserved.values(), Cost()),
        "charged": found.charged,
    }
    rows = [(name, describe_cost(c, delta), explain_cost(c)) for name, c in costs.items()]
    value: Json = {"owner": owner, "delta": delta, "complete": report.complete}
    value |= {name: {"cost": c, "epsilon": _epsilon(c, delta)} for name, c in costs.items()}
    show(value, as_json, table(("", f"at delta {delta}", "made of"), rows, ""))
    if not report.complete:
        say("Not all of the log could be checked; `placet audit` lists what was not.")
        raise typer.Exit(EXIT_NOT_CHECKED)


def _epsilon(cost: Cost, delta: str) -> float | None:
    """For JSON, which has no infinity."""
    epsilon = epsilon_at(cost, Fraction(delta))
    return None if math.isinf(epsilon) else epsilon
