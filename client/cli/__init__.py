# SPDX-License-Identifier: Apache-2.0
"""The `placet` command; one file a group of commands. Exit codes are listed in `_frame.py` and in
`placet --help`."""

from pathlib import Path
from typing import Annotated

import typer

from placet.client.cli import (
    audit,
    charter,
    check,
    collateral,
    council,
    explain,
    federate,
    federation,
    objects,
    predict,
    privacy,
    program,
    runs,
    service,
    setup,
    verify,
)
from placet.client.cli._frame import choose_home
from placet.client.cli.lookup import diff, grants, inbox, log, timeline, what_if
from placet.client.cli.operating import doctor, top
from placet.client.cli.starting import dev, invite, share

app = typer.Typer(
    name="placet",
    help="Nothing decrypts without the council's placet.",
    epilog="Exit codes: 0 done, 1 refused, 2 usage, 3 host unreachable, 4 audit with parts not "
    "checked.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
_GROUPS = (setup, objects, council, program, runs, service, predict, audit, privacy)
_MORE = (invite, share, doctor, top, grants, inbox, timeline, diff, what_if)
for group in (*_GROUPS, *_MORE):
    app.registered_commands += group.app.registered_commands
app.add_typer(charter.charter, name="charter")
app.add_typer(charter.constitution, name="constitution")
app.add_typer(dev.app, name="dev")
app.add_typer(federation.app, name="federation")
app.add_typer(federate.app, name="federate")
app.add_typer(predict.token, name="token")
app.add_typer(verify.app, name="verify")
app.add_typer(collateral.app, name="collateral")
app.add_typer(explain.app, name="explain")
app.add_typer(check.app, name="check")
app.add_typer(log.app, name="log")


@app.callback()
def _settings(  # pyright: ignore[reportUnusedFunction]
    home: Annotated[
        Path | None, typer.Option(help="The home folder (PLACET_HOME, else ~/.placet).")
    ] = None,
) -> None:
    choose_home(home)


def main() -> None:
    """Run the command line."""
    app()
