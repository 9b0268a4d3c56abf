# SPDX-License-Identifier: Apache-2.0
"""Arrays in the clear, and what a federation's round would make of them: for `run --local` and
`check federation`."""

from pathlib import Path
from typing import Annotated

import typer

from placet.client.cli._frame import home
from placet.client.council.forecasts import kept_ledger
from placet.client.errors import UsageRefused
from placet.client.federations.adapters import load_state
from placet.client.federations.trial import Trained, TriedRound, try_round
from placet.governance.codec import Json
from placet.governance.documents import Federate
from placet.refusals import SignerUnknown

Updates = Annotated[
    list[str] | None,
    typer.Option(
        "--update",
        metavar="[CLIENT=]FILE",
        help="Of a federation: the arrays that a client's training made, .safetensors or .npz; "
        "one a client, in the roster's order or by name.",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option("--weight", metavar="CLIENT=NUMBER", help="How much its update counts; else 1."),
]
Initial = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="Of a federation: the arrays that it starts from, else zeros. Of a service: its file.",
    ),
]


def tried(
    terms: Federate, updates: list[str], weights: list[str], initial: Path | None
) -> TriedRound:
    """A round of these files. Raises what reading and sending them would."""
    counts = {client: _weight(text) for client, text in map(_pair, weights)}
    files = _files(terms, updates)
    if unknown := sorted(counts.keys() - files.keys()):
        raise UsageRefused(f"There is a weight and no update of {', '.join(unknown)}.")
    trained = [
        Trained(client, _organisation(client), load_state(path), counts.get(client, 1))
        for client, path in files.items()
    ]
    return try_round(terms, trained, None if initial is None else load_state(initial))


def told(terms: Federate, found: TriedRound) -> list[str]:
    """How long each update was, who was left out, and what came of it."""
    lines = [
        f"The update of {client} is {length:.3g} long"
        + (f", and was cut to {terms.clip}." if length > terms.clipping_bound else ".")
        for client, length in found.lengths.items()
    ]
    lines.append(f"Changes of a coordinate below {terms.step:.1e} count as none.")
    lines += [f"{client} was left out: {reason}." for client, reason in found.left.items()]
    if found.model is None:
        lines.append(
            f"No model came of it: updates of {terms.smallest_cohort} organisations have to count."
        )
    return lines


def as_plain(found: TriedRound) -> Json:
    return {
        "lengths": {client: repr(length) for client, length in found.lengths.items()},
        "left": dict(found.left),
        "released": found.model is not None,
    }


def _files(terms: Federate, updates: list[str]) -> dict[str, Path]:
    """Each client's file; those without a name go to the roster in its order."""
    found: dict[str, Path] = {}
    for text in updates:
        client, sign, path = text.partition("=")
        if not sign:
            client, path = next((c for c in terms.roster if c not in found), ""), text
        if client not in terms.roster or client in found:
            raise UsageRefused(
                f"{text!r} is of no client of the roster, or of one twice. The roster is "
                f"{', '.join(terms.roster)}."
            )
        found[client] = Path(path)
    return found


def _organisation(client: str) -> str:
    """By the constitution that this home knows; else each client is of its own."""
    ledger = kept_ledger(home().memory())
    if not ledger.state.constitution:
        return client
    try:
        return ledger.in_force().constitution.principal(client).organisation
    except SignerUnknown:
        return client


def _pair(text: str) -> tuple[str, str]:
    client, sign, number = text.partition("=")
    if not sign:
        raise UsageRefused(f"{text!r} is not CLIENT=NUMBER.")
    return client, number


def _weight(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 10:
        raise UsageRefused(f"{text!r} is no weight. Give a whole number.")
    return int(text)
