# SPDX-License-Identifier: Apache-2.0
"""Federations: model, vector. Taking part is in federate.py; they are started as any run."""

from pathlib import Path
from typing import Annotated

import typer

from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    Force,
    KeyFile,
    OutFile,
    client,
    command,
    lines,
    load_keys,
    show,
)
from placet.client.cli._words import (
    find_proposal,
    transfer,
    write_artifact,
)
from placet.client.errors import UsageRefused
from placet.client.federations.adapters import layout_of, load_state, save_state
from placet.client.federations.models import model_bytes
from placet.client.federations.vectors import flatten

app = typer.Typer(
    help="Federations: rounds in which updates become one model. Clients take part with `placet "
    "federate join`.",
    no_args_is_help=True,
)

FederationName = Annotated[
    str,
    typer.Argument(
        metavar="FEDERATION", help="The digest of its proposal, or enough of its beginning."
    ),
]


@command(app)
def model(
    name: FederationName,
    key: KeyFile,
    out: OutFile,
    round: Annotated[
        int | None,
        typer.Option(min=0, help="The round (0: the initial model); else the newest."),
    ] = None,
    receipt: Annotated[Path | None, typer.Option(help="Write the receipt there.")] = None,
    force: Force = False,
    acting_as: ActingAs = "",
    as_json: AsJSON = False,
) -> None:
    """Fetch a round's model into a .safetensors or .npz file: verify its receipt, then fetch,
    verify and open it."""
    keys = load_keys(key, acting_as)
    with client() as connected, transfer("fetching", as_json) as progress:
        id = find_proposal(connected, name)
        found = connected.federations.model(id, keys, round, progress=progress)
    if receipt is not None and found.receipt_file is not None:
        if not force:
            found.receipt_file.check_place(receipt)
        write_artifact(receipt, found.receipt_file.to_bytes())
    save_state(out, found.state, keep=not force)
    marks = found.receipt.receipt.predicate.marks if found.receipt else ()
    value = {
        "federation": id,
        "round": found.round,
        "file": str(out),
        "receipt": found.receipt.digest if found.receipt else None,
        "marks": list(marks),
    }
    why = (
        f"receipt {found.receipt.digest}, {' '.join(marks)}" if found.receipt else "the initial one"
    )
    show(value, as_json, lines([f"Wrote {out}: the model of round {found.round} ({why})."]))


@command(app)
def vector(
    source: Annotated[Path, typer.Argument(help="A .safetensors or .npz file.")],
    out: OutFile,
    without: Annotated[
        list[str] | None, typer.Option(help="An array that stays at home (repeatable).")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Write a model as the bare vector that a federation starts from, to be sealed and granted like
    data."""
    state = load_state(source)
    for name in without or ():
        if state.pop(name, None) is None:
            raise UsageRefused(f"{source} has no array {name!r}. It has: {', '.join(state)}.")
    layout = layout_of(state)
    write_artifact(out, model_bytes(flatten(state, layout)))
    value = {"file": str(out), "elements": layout.elements, "tensors": len(layout.tensors)}
    show(value, as_json, lines([f"Wrote {out}: {layout.elements} numbers, not sealed."]))
