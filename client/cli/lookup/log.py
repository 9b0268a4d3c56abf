# SPDX-License-Identifier: Apache-2.0
"""log export: the log as files that others read."""

from pathlib import Path
from typing import Annotated

import typer

from placet.client.cli._frame import EXIT_NOT_CHECKED, AsJSON, client, command, lines, show

app = typer.Typer(help="The council's log as others read it.", no_args_is_help=True)


@app.callback()
def _log() -> None:  # pyright: ignore[reportUnusedFunction]
    """Makes a group of the one command."""


@command(app)
def export(
    folder: Annotated[
        Path, typer.Argument(help="The folder to write to, or one that an earlier export wrote.")
    ],
    as_json: AsJSON = False,
) -> None:
    """Write the verified log for monitors and auditors: tiles, bundles and checkpoint (C2SP
    tlog-tiles), and documents; exits with 4 if the host did not give all of them."""
    with client() as connected:
        done = connected.log.export(folder)
    told = [
        f"{folder} has the log: {done.size} entries, root {done.root}.",
        f"New: {done.files} files of the log, {done.documents} documents.",
        f"Audit it anywhere: placet audit --from {folder}",
    ]
    if done.missing:
        told.append(f"NOT GIVEN by the host: {len(done.missing)} documents.")
    show(done, as_json, lines(told))
    if done.missing:
        raise typer.Exit(EXIT_NOT_CHECKED)
