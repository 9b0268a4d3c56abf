# SPDX-License-Identifier: Apache-2.0
"""federate join: train at home, round after round."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from placet.client._sync_federations import Federation, Round
from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    KeyFile,
    client,
    command,
    lines,
    load_keys,
    say,
    show,
)
from placet.client.cli._words import find_proposal, transfer, when, write_artifact
from placet.client.cli.federation import FederationName
from placet.client.errors import Refused, UsageRefused
from placet.client.federated.receipts import VerifiedUpdate
from placet.client.federated.updates import Bound
from placet.client.federated.vectors import State
from placet.governance.errors import ClientQuarantined

app = typer.Typer(help="Take part in a federation.", no_args_is_help=True)

# What the user's function is: the arrays and the round's number to new arrays and the number of examples.
Train = Callable[[State, int], tuple[State, int]]
_LATE = ("ROUND_NOT_OPEN", "UPDATE_DUPLICATE")


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """Take part in a federation."""


@command(app)
def join(
    name: FederationName,
    key: KeyFile,
    train: Annotated[
        str,
        typer.Option(
            metavar="FILE.py:FUNCTION",
            help="FUNCTION(state, round) -> (state, examples); state: float32 arrays by name.",
        ),
    ],
    rounds: Annotated[int | None, typer.Option(min=1, help="Leave after so many rounds.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Leave after one round.")] = False,
    weight: Annotated[
        str, typer.Option(help="examples: what FUNCTION says; or a whole number.")
    ] = "examples",
    noise: Annotated[
        float, typer.Option(min=0, help="Noise of your own on each number; not accounted.")
    ] = 0.0,
    epsilon: Annotated[
        str, typer.Option(help="With --delta: the most that your privacy ledger may come to.")
    ] = "any",
    delta: Annotated[str, typer.Option(help="See --epsilon.")] = "any",
    receipts: Annotated[Path | None, typer.Option(help="Keep the updates' receipts there.")] = None,
    acting_as: ActingAs = "",
    as_json: AsJSON = False,
) -> None:
    """Train and send an update, round after round, until the federation ends; Ctrl-C leaves."""
    function, keys = load_function(train), load_keys(key, acting_as)
    left = 1 if once else rounds
    sent: list[VerifiedUpdate] = []
    with client() as connected:
        id = find_proposal(connected, name)
        federation = connected.federation(id, keys, bound=Bound(epsilon, delta))

        def told(refusal: ClientQuarantined) -> None:
            if once:
                raise refusal
            value = {"state": "suspended", "why": refusal.details["actual"]}
            say(json.dumps(value) if as_json else f"{refusal.reason}: {refusal} Waiting.")

        for round in federation.rounds(told=told):
            update = _take_part(federation, round, function, weight, noise, as_json)
            if update is not None:
                sent.append(update)
                _keep(receipts, round.number, update)
            if left is not None and len(sent) >= left:
                break
    value = {"federation": id, "rounds": [update.update.round for update in sent]}
    show(value, as_json, lines([f"Sent {len(sent)} update(s)."]))


def load_function(text: str) -> Train:
    """The function that FILE.py:FUNCTION names; the file's folder can be imported from. Raises `UsageRefused`."""
    file, _, function = text.rpartition(":")
    path = Path(file)
    if not function.isidentifier() or not path.is_file():
        raise UsageRefused(
            f"{text!r} is not FILE.py:FUNCTION with a file that is there.", claim="train"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageRefused(f"{path} is no Python file. Name one that ends with .py.", claim="train")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    spec.loader.exec_module(module)
    found: Any = getattr(module, function, None)
    if not callable(found):
        raise UsageRefused(f"{path} has no function {function!r}.", claim="train")
    return cast("Train", found)


def _take_part(
    federation: Federation,
    round: Round,
    train: Train,
    weight: str,
    noise: float,
    as_json: bool,
) -> VerifiedUpdate | None:
    """One round: what was sealed before a crash is sent, else a new update. None where the round was over first."""

    def tell(state: str, text: str, **more: object) -> None:
        value = {"round": round.number, "state": state, **more}
        where = f"Round {round.number}/{federation.terms.rounds}"
        say(json.dumps(value) if as_json else f"{where}: {text}")

    until = when(round.closes)
    tell("open", f"open until {until}.", closes=until)
    try:
        if round.pending:
            tell("resumed", "an update was sealed before; sending that one.")
            with transfer("sending", as_json) as progress:
                update = round.resume(progress=progress)
        else:
            state, examples = train(round.model(), round.number)
            counts = examples if weight == "examples" else _number(weight)
            with transfer("sending", as_json) as progress:
                update = round.send(state, counts, noise=noise, progress=progress)
    except Refused as refused:
        if refused.reason not in _LATE:
            raise
        tell("late", f"not sent ({refused.reason}). {refused}", why=refused.reason)
        return None
    entry = update.index
    tell("sent", f"sent, entry {entry} of the log.", update=update.digest, entry=entry)
    return update


def _number(text: str) -> int:
    if not text.isdecimal():
        raise UsageRefused(f'{text!r} is no weight. Give "examples" or a whole number.')
    return int(text)


def _keep(folder: Path | None, number: int, update: VerifiedUpdate) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_artifact(folder / f"round-{number}.update.json", update.file.to_bytes())
