# SPDX-License-Identifier: Apache-2.0
"""federate join: train at home, round after round."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from placet.client.blocking import Federation, Round
from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    KeyFile,
    Simulated,
    client,
    command,
    lines,
    load_keys,
    say,
    say_json,
    show,
)
from placet.client.cli._words import transfer, when, write_artifact
from placet.client.cli.federation import FederationName
from placet.client.errors import UsageRefused
from placet.client.federations.receipts import VerifiedUpdate
from placet.client.federations.updates import Bound
from placet.client.federations.vectors import State
from placet.governance.documents import Budget
from placet.refusals import ClientQuarantined, Refused

app = typer.Typer(help="Take part in a federation.", no_args_is_help=True)

# What the user's function is: the arrays and the round's number to new arrays and the number of
# examples.
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
        str,
        typer.Option(
            help="examples: what FUNCTION says; or a whole number (1 where the terms have noise)."
        ),
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
    simulated: Simulated = False,
    as_json: AsJSON = False,
) -> None:
    """Train and send an update, round after round, until the federation ends; Ctrl-C leaves."""
    function, keys = load_function(train), load_keys(key, acting_as)
    fixed = None if weight == "examples" else _number(weight)
    bound = _bound(epsilon, delta)
    left = 1 if once else rounds
    sent: list[VerifiedUpdate] = []
    with client(simulated=simulated) as connected:
        federation = connected.federations.join(name, keys, bound=bound)

        def told(refusal: ClientQuarantined) -> None:
            if once:
                raise refusal
            value = {"state": "quarantined", "why": refusal.details["actual"]}
            say_json(value) if as_json else say(f"{refusal.reason}: {refusal} Waiting.")

        closing: list[str] = []
        for round in federation.rounds(told=told):
            update = _take_part(federation, round, function, fixed, noise, as_json)
            if update is not None:
                sent.append(update)
                _keep(receipts, round.number, update)
            if left is not None and len(sent) >= left:
                break
        else:
            closing.append("The federation has ended; `placet federation model` fetches its model.")
    value = {"federation": federation.id, "rounds": [update.update.round for update in sent]}
    show(value, as_json, lines([f"Sent {len(sent)} update(s).", *closing]))


def load_function(text: str) -> Train:
    """The function that FILE.py:FUNCTION names; the file's folder can be imported from. Raises
    `UsageRefused`."""
    file, _, function = text.rpartition(":")
    path = Path(file)
    if not function.isidentifier():
        raise UsageRefused(f"{text!r} is not FILE.py:FUNCTION, as train.py:train.", claim="train")
    if not path.is_file():
        raise UsageRefused(f"There is no file {file!r}. Check the path.", claim="train")
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
    weight: int | None,
    noise: float,
    as_json: bool,
) -> VerifiedUpdate | None:
    """One round: what was sealed before a crash is sent, else a new update. None where the round
    was over first."""

    def tell(state: str, text: str, **more: object) -> None:
        value = {"round": round.number, "state": state, **more}
        where = f"Round {round.number}/{federation.terms.rounds}"
        say_json(value) if as_json else say(f"{where}: {text}")

    until = when(round.closes)
    tell("open", f"open until {until}.", closes=until)
    try:
        if round.pending:
            tell("resumed", "an update was sealed before; sending that one.")
            with transfer("sending", as_json) as progress:
                update = round.resume(progress=progress)
        else:
            state, examples = _trained(train, round)
            counts = examples if weight is None else weight
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


def _trained(train: Train, round: Round) -> tuple[State, int]:
    """What the user's function returns. Raises `UsageRefused` where that is no pair; what it raises
    goes through."""
    found = cast("object", train(round.model(), round.number))
    kind = type(found).__name__
    pair = cast("tuple[object, ...]", found) if isinstance(found, tuple) else ()
    if len(pair) != 2:
        raise UsageRefused(
            f"The training function must return a pair, (state, examples), and returned {kind}.",
            claim="train",
        )
    return cast("tuple[State, int]", pair)


def _bound(epsilon: str, delta: str) -> Bound:
    """Refused here and not after the training. Raises `UsageRefused` or `DocumentMalformed`."""
    if (epsilon == "any") != (delta == "any"):
        raise UsageRefused("Give --epsilon and --delta together, or neither.", claim="privacy")
    if epsilon != "any":
        Budget(epsilon, delta)
    return Bound(epsilon, delta)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise UsageRefused(f'{text!r} is no weight. Give "examples" or a whole number.')
    return int(text)


def _keep(folder: Path | None, number: int, update: VerifiedUpdate) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"round-{number}.update.json"
        if path.exists():  # of another federation, or of this update under another checkpoint
            path = folder / f"round-{number}.{update.digest[7:15]}.update.json"
        write_artifact(path, update.file.to_bytes())
