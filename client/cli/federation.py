# SPDX-License-Identifier: Apache-2.0
"""Federations: start, list, show, watch, model, vector. Taking part is in federate.py."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from placet.auditing.explain import explain_refusal
from placet.client.blocking import Client
from placet.client.cli._frame import (
    EXIT_REFUSED,
    ActingAs,
    AsJSON,
    KeyFile,
    OutFile,
    client,
    command,
    lines,
    load_keys,
    say,
    say_json,
    show,
    table,
)
from placet.client.cli._words import (
    find_proposal,
    find_ticket,
    refusal_json,
    short,
    transfer,
    when,
    write_artifact,
)
from placet.client.federations.adapters import layout_of, load_state, save_state
from placet.client.federations.status import FederationStatus
from placet.client.federations.vectors import flatten
from placet.governance.codec import Json

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
_LISTED = ("federation", "round", "state", "newest model")
_ROUNDS = ("round", "model", "updates", "left out")
_MEMBERS = ("client", "update", "quarantined until round", "why")


@command(app)
def start(
    ticket: Annotated[str, typer.Argument(help="A ticket file, or a proposal's digest.")],
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until it has ended.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Start a federation under a ticket; started again it is shown as it stands."""
    with client() as connected:
        status = connected.federations.start(find_ticket(connected, ticket))
        if watch:
            status = _follow(connected, status.id, as_json)
    _tell(status, as_json)


@command(app, "list")
def list_federations(as_json: AsJSON = False) -> None:
    """List the federations that have had a round, as the log has them."""
    with client() as connected:
        found = connected.federations.list()
    rows = [
        (short(f.proposal), f.current.number, f.current.status, max(f.models, default=0) or "")
        for f in found
    ]
    value = [
        {
            "id": f.proposal,
            "round": f.current.number,
            "state": f.current.status,
            "model_round": max(f.models, default=0),
        }
        for f in found
    ]
    show(value, as_json, table(_LISTED, rows, "No federations."))


@command(app, "show")
def show_federation(name: FederationName, as_json: AsJSON = False) -> None:
    """Show a federation: its round, who has sent, who sits out and why, and what became of earlier
    rounds."""
    with client() as connected:
        status = connected.federations.get(find_proposal(connected, name))
    _tell(status, as_json)


@command(app)
def watch(name: FederationName, as_json: AsJSON = False) -> None:
    """Follow a federation until it has ended; exits with 1 if it failed or was stopped."""
    with client() as connected:
        status = _follow(connected, find_proposal(connected, name), as_json)
    _tell(status, as_json)


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
    acting_as: ActingAs = "",
    as_json: AsJSON = False,
) -> None:
    """Fetch a round's model into a .safetensors or .npz file: verify its receipt, then fetch,
    verify and open it."""
    keys = load_keys(key, acting_as)
    with client() as connected, transfer("fetching", as_json) as progress:
        id = find_proposal(connected, name)
        found = connected.federations.model(id, keys, round, progress=progress)
    save_state(out, found.state)
    if receipt is not None and found.receipt_file is not None:
        write_artifact(receipt, found.receipt_file.to_bytes())
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
    as_json: AsJSON = False,
) -> None:
    """Write a model as the bare vector that a federation starts from, to be sealed and granted like
    data."""
    state = load_state(source)
    layout = layout_of(state)
    write_artifact(out, flatten(state, layout).astype(np.dtype("<f4")).tobytes())
    value = {"file": str(out), "elements": layout.elements, "tensors": len(layout.tensors)}
    show(value, as_json, lines([f"Wrote {out}: {layout.elements} numbers, not sealed."]))


def status_line(status: FederationStatus) -> str:
    """A federation in one line."""
    where = f"round {status.round}/{status.rounds} {status.state}"
    if status.state == "open":
        sent = sum(member.updated for member in status.members)
        waiting = sum(not member.quarantined_until for member in status.members)
        where += f", {sent} of {waiting} update(s), until {when(status.closes)}"
    if status.state == "aggregating":
        where += f" {status.progress}%"
    return f"{where}; newest model: {status.model_round or 'none'}"


def _follow(connected: Client, id: str, as_json: bool) -> FederationStatus:
    """A line a change; with --json a JSON line a change."""
    last: FederationStatus | None = None
    for last in connected.federations.watch(id):
        say_json(_json(last)) if as_json else say(status_line(last))
    assert last is not None, "watch ends with a federation that has ended"
    return last


def _json(status: FederationStatus) -> Json:
    return {
        "id": status.id,
        "state": status.state,
        "round": status.round,
        "rounds": status.rounds,
        "closes": when(status.closes) if status.closes else None,
        "model_round": status.model_round,
        "progress": status.progress,
        "members": [
            {
                "client": m.client,
                "updated": m.updated,
                "quarantined_until": m.quarantined_until,
                "why": m.why,
            }
            for m in status.members
        ],
        "outcomes": [
            {"round": o.round, "released": o.released, "updates": o.updates, "left": o.left}
            for o in status.outcomes
        ],
        "refusal": refusal_json(status.refusal),
    }


def _tell(status: FederationStatus, as_json: bool) -> None:
    members = [
        (m.client, "sent" if m.updated else "", m.quarantined_until or "", m.why)
        for m in status.members
    ]
    outcomes = [
        (
            o.round,
            "released" if o.released else "none",
            o.updates,
            ", ".join(f"{client} ({why})" for client, why in sorted(o.left.items())),
        )
        for o in status.outcomes
    ]
    show(_json(status), as_json, lines([f"{status.id}: {status_line(status)}"]))
    if not as_json:
        show(None, False, table(_MEMBERS, members, "No clients."))
        show(None, False, table(_ROUNDS, outcomes, "No round is over yet."))
    if status.refusal is not None:
        if not as_json:
            refusal = status.refusal
            say(*explain_refusal(refusal.reason, str(refusal), refusal.details))
        raise typer.Exit(EXIT_REFUSED)
