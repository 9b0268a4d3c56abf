# SPDX-License-Identifier: Apache-2.0
"""audit: the whole log, judged again."""

from pathlib import Path
from typing import Annotated

import typer

from placet.client.cli._frame import (
    EXIT_NOT_CHECKED,
    AsJSON,
    charter_of,
    client,
    command,
    home,
    lines,
    show,
)
from placet.client.cli._words import short
from placet.client.errors import UsageRefused
from placet.client.log.places import open_place
from placet.client.log.published import audit_published

app = typer.Typer()


@command(app)
def audit(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="FOLDER|URL",
            help="Audit a published log instead (`placet log export`): no host is asked.",
        ),
    ] = "",
    charter: Annotated[
        str, typer.Option("--charter", help="With --from: the council's charter; else the home's.")
    ] = "",
    ca: Annotated[
        Path | None, typer.Option("--ca", help="With --from: who vouches for the web server, PEM.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Replay the whole log: every decision is made again; exits with 4 if something could not be
    checked."""
    if source:
        memory = home().memory()
        report = audit_published(open_place(source, ca), charter_of(charter), memory)
    elif charter or ca:
        raise UsageRefused("--charter and --ca go with --from.")
    else:
        with client() as connected:
            report = connected.log.audit()
    told = [
        f"The log {report.log} has {report.size} entries, root {report.root}.",
        f"{report.checked} were judged again and came out as the log has them.",
    ]
    if report.complete:
        told.append("Nothing was left unchecked.")
    for one in report.not_checked:
        missing = ", ".join(map(short, one.missing))
        told.append(
            f"NOT CHECKED: entry {one.index} ({one.kind}); these were not given: {missing}."
        )
    told.append(
        "No replay shows that nothing was done without an entry; that rests on attestation."
    )
    show({"complete": report.complete, "report": report}, as_json, lines(told))
    if not report.complete:
        raise typer.Exit(EXIT_NOT_CHECKED)
