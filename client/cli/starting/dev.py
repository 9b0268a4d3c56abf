# SPDX-License-Identifier: Apache-2.0
"""dev: a council on this machine alone, its host, and the way of a program through them."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from placet.client.cli._frame import answered, command, say
from placet.client.cli.starting._council import DevCouncil
from placet.client.cli.starting._host import answering, host_in, wait_for_authority
from placet.client.cli.starting._job import JobWords, run_job
from placet.client.cli.starting._steps import near
from placet.client.errors import UsageRefused

app = typer.Typer()

_LOUD = "SIMULATED: no hardware protects anything here. Only data that may be public belong here."
Folder = Annotated[Path, typer.Option(help="Where host, keys, home and runs are kept.")]
CouncilFile = Annotated[
    Path | None,
    typer.Option(
        "--council",
        help="Seats, parties, rules and labels (TOML), as in constitution.toml; else one seat, "
        "`me`, decides alone.",
    ),
]


@app.callback(invoke_without_command=True)
@answered
def dev(
    context: typer.Context,
    folder: Folder = Path("placet-dev"),
    council: CouncilFile = None,
    listen: Annotated[
        str, typer.Option(help="Address and port; port 0 takes any.")
    ] = "127.0.0.1:0",
) -> None:
    """A SIMULATED council on this machine alone. Without `run`: found one, if the folder has none
    yet, and run its host until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    made = DevCouncil(folder)
    if answering(made.home):
        raise UsageRefused(f"The host of {near(folder)} runs already, at {made.home.host()[0]}.")
    with _hosted(made, council, listen):
        say("", f"Ready, at {made.home.host()[0]}. In another shell:")
        say(f"  export PLACET_HOME={made.home.folder} PLACET_KEY={made.key_of(made.submitter)}")
        say("  placet propose job.toml    (placet init --templates templates writes one)")
        say("Ctrl-C ends the host; the folder keeps everything.")
        _until_interrupted()


@command(app, "run")
def run(
    program: Annotated[Path, typer.Argument(help="A folder with main.py, or one file.")],
    output: Annotated[list[str], typer.Option(help="NAME=MAX_BYTES")],
    input: Annotated[list[str] | None, typer.Option(help="NAME=PATH, in the clear.")] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE")] = None,
    purpose: Annotated[str, typer.Option(help="What it is for; a rule has to allow it.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where outputs are written; else in FOLDER.")
    ] = None,
    folder: Folder = Path("placet-dev"),
    council: CouncilFile = None,
) -> None:
    """Take a program the whole way in a SIMULATED council: found, seal, put, grant, propose, vote,
    start, result; each step with its command."""
    words = JobWords.of(program, input or [], parameter or [], output, purpose)
    made = DevCouncil(folder)
    with _hosted(made, council, "127.0.0.1:0"):
        outputs = run_job(made, words, out)
    typer.echo("")
    for path in outputs:
        typer.echo(f"Result: {path}")


@contextmanager
def _hosted(made: DevCouncil, council: Path | None, listen: str) -> Generator[None]:
    """The council, founded, at its host while the block runs: one that runs already, or a child."""
    say(_LOUD)
    if council is not None and made.begun:
        raise UsageRefused(
            f"{near(made.folder)} has a council already. Leave --council out, or name another "
            "folder (--folder)."
        )
    if answering(made.home):
        yield
        return
    made.prepare(council)
    with host_in(made.folder, listen) as (address, pin):
        made.found(address, pin, lambda: wait_for_authority(made.home))
        yield


def _until_interrupted() -> None:
    forever = threading.Event()
    try:
        while not forever.wait(3600):
            time.sleep(0)
    except KeyboardInterrupt:
        return
