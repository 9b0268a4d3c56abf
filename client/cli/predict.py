# SPDX-License-Identifier: Apache-2.0
"""Asking a served model: predict, and token new."""

from pathlib import Path
from typing import Annotated, Any

import typer

from placet.auditing.explain_serving import explain_card
from placet.client.blocking import ServedModel
from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    Force,
    Simulated,
    Yes,
    client,
    command,
    confirm,
    home,
    lines,
    load_keys,
    say,
    show,
)
from placet.client.cli._words import counting, find_proposal
from placet.client.cli.service import ServiceName, warnings_of
from placet.client.errors import UsageRefused
from placet.client.files import check_free
from placet.client.keys import Keys
from placet.client.services.arrays import Array, Arrays
from placet.client.services.files import files_of, format_of, load_rows, save_answers
from placet.client.services.users import Token

app = typer.Typer()
token = typer.Typer(
    help="Tokens: whoever holds one may ask where a proposal lists it.", no_args_is_help=True
)


@token.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """Tokens: whoever holds one may ask where a proposal lists it."""


@command(app)
def predict(
    name: ServiceName,
    source: Annotated[
        Path, typer.Option("--input", "-i", help="Rows: .csv, .json, .npy; several arrays: .npz.")
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="The answers, in such a file.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", "-k", envvar="PLACET_KEY", help="Your .key file (PLACET_KEY)."),
    ] = None,
    token: Annotated[
        Path | None, typer.Option("--token", help="Or a token's file, by which you may ask.")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", help="csv, json, npy or npz, whatever the files' suffixes.")
    ] = "",
    heading: Annotated[
        bool | None,
        typer.Option(
            "--heading/--no-heading", help="Whether the first line of a .csv names columns."
        ),
    ] = None,
    force: Force = False,
    deadline: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds that all of it may take.")
    ] = None,
    acting_as: ActingAs = "",
    simulated: Simulated = False,
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Ask a served model about the rows of a file; the model's card is shown before the first
    time."""
    reading, writing = format_of(source, format), format_of(out, format)
    user = _user(key, token, acting_as)
    with client(simulated=simulated) as connected:
        service = find_proposal(connected, name)
        with connected.services.open(service, user=user) as model:
            rows = load_rows(source, reading, model.inputs, heading, model.rows)
            files = files_of(out, writing, [answer.name for answer in model.answers])
            if not force:
                check_free(*files.values())
            _meet(model, service, yes)
            part = out.with_name(f"{out.name}.part")
            answers = _ask(model, rows, part, deadline, as_json)
            save_answers(out, writing, answers)
            part.unlink(missing_ok=True)
            marks = ["SIMULATED"] if model.worker.simulated else []
    arrays = rows.values() if isinstance(rows, dict) else [rows]
    count = max(len(array) if array.ndim else 1 for array in arrays)
    names = [str(file) for file in dict.fromkeys(files.values())]
    told = f"Wrote {', '.join(names)}: the answers to {count} row(s){_marked(marks)}."
    value = {"service": service, "files": names, "rows": count, "marks": marks}
    show(value, as_json, lines([told]))


@command(token)
def new(
    name: Annotated[str, typer.Argument(help="For whom; the proposal knows the holder by it.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file (NAME.token).")] = None,
    as_json: AsJSON = False,
) -> None:
    """Make a token: its file is for whoever may ask, its digest for the proposal."""
    path, made = out or Path(f"{name}.token"), Token.generate()
    made.save(path)
    told = [
        f"Wrote {path}; whoever has it may ask. The proposal takes its digest:",
        f'{name} = "{made.digest}"',
    ]
    show({"name": name, "file": str(path), "digest": made.digest}, as_json, lines(told))


def _ask(
    model: ServedModel, rows: Array | Arrays, part: Path, deadline: float | None, as_json: bool
) -> Any:
    """The answers, which are kept in a file as they come: they cost a ration."""
    try:
        with counting("asking", as_json) as progress:
            return model.predict(rows, deadline=deadline, progress=progress, keep=part)
    except BaseException:
        if part.exists():
            say(f"{part} has the answers so far: the same command goes on where this one stopped.")
        raise


def _marked(marks: list[str]) -> str:
    return "".join(f", {mark}" for mark in marks)


def _user(key: Path | None, token: Path | None, acting_as: str) -> Keys | Token:
    if token is not None:
        return Token.load(token)
    if key is None:
        raise UsageRefused("Say as whom you ask: --key FILE or --token FILE.", claim="user")
    return load_keys(key, acting_as)


def _meet(model: ServedModel, service: str, yes: bool) -> None:
    """Show the card the first time, and what is wrong with using the model every time."""
    for warning in warnings_of(model.terms):
        say(warning)
    if home().knows_card(service):
        return
    say(*explain_card(model.card))
    confirm("Ask this model?", yes)
    home().remember_card(service)
