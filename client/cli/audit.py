# SPDX-License-Identifier: Apache-2.0
"""audit: the whole log, judged again."""

import typer

from placet.client.cli._frame import EXIT_NOT_CHECKED, AsJSON, client, command, lines, show
from placet.client.cli._words import short

app = typer.Typer()


@command(app)
def audit(as_json: AsJSON = False) -> None:
    """Replay the whole log: every decision is made again; exits with 4 if something could not be
    checked."""
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
