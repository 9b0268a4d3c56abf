# SPDX-License-Identifier: Apache-2.0
"""Services: model. Asking is in predict.py."""

import time
from typing import Annotated

import typer
from rich.console import Console

from placet.auditing.explain_serving import explain_serving
from placet.client.blocking import Client
from placet.client.cli._frame import (
    AsJSON,
    client,
    command,
    lines,
    say,
    show,
    table,
)
from placet.client.cli._words import when
from placet.client.services.arrays import shape_text
from placet.client.services.chain import ServedWorker
from placet.client.services.services import Origin
from placet.governance.codec import Json, to_plain
from placet.governance.documents.serving import Field, Rations, RowsAre
from placet.governance.documents.work.serve import Serve
from placet.governance.judgements.draws import rations_left
from placet.governance.state import ServiceState
from placet.governance.text import plain
from placet.refusals import Refusal, Refused

app = typer.Typer()

ServiceName = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE", help="The digest of its proposal, or enough of its beginning."
    ),
]
ROWS = {
    "independent": "Each row is answered by itself.",
    "fixed": "Rows are answered so many at a time as the model takes.",
    "dependent": "A question is answered as a whole: its rows depend on one another, or are none.",
}
_NOBODY = ("WORKER_UNAVAILABLE", "RUN_NOT_FOUND", "SERVICE_ENDED")


@command(app)
def model(name: ServiceName, as_json: AsJSON = False) -> None:
    """Show what a service serves: its card, inputs and answers, rations, where the model came from,
    and until when."""
    with client() as connected:
        found = connected.council.find(name)
        id, terms = found.digest, found.document.serve
        worker, missing = _worker(connected, id)
        origin = _origin_lines(connected, terms)
        service = connected.log.judged(lambda ledger: ledger.state.services.get(id))
    inputs = worker.offer.document.inputs if worker else ()
    answers = worker.offer.document.answers if worker else ()
    rows: RowsAre = worker.offer.document.rows if worker else "independent"
    value: Json = {
        "service": id,
        "terms": to_plain(terms),
        "inputs": to_plain(inputs),
        "answers": to_plain(answers),
        "rows": rows if worker else None,
        "largest": {"bytes": terms.largest_question, "rows": terms.most_rows},
        "simulated": worker.simulated if worker else None,
        "left": (left := _left(terms.rations, service)),
        "origin": origin,
        "warnings": warnings_of(terms),
    }

    def text(console: Console) -> None:
        lines([*explain_serving(terms), *_left_lines(terms.rations, left), *origin])(console)
        fields = [
            *(("input", *field_row(f, rows)) for f in inputs),
            *(("answer", *field_row(f, rows)) for f in answers),
        ]
        table(("", "name", "dtype", "shape"), fields, missing)(console)
        if worker:
            lines([ROWS[rows]])(console)

    show(value, as_json, text)
    for warning in warnings_of(terms):
        say(warning)


def warnings_of(terms: Serve) -> list[str]:
    """What users should know before they ask on."""
    now, told = time.time(), list[str]()
    if now > terms.card.retire_by:
        told.append(f"Warning: nobody should use this model after {when(terms.card.retire_by)}.")
    if now > terms.review:
        told.append(
            f"Warning: the council wanted to review this service at {when(terms.review)}; "
            "it goes on only by votes that were given anew."
        )
    return told


def _left(rations: Rations, service: ServiceState | None) -> Json:
    """Rows that can still be drawn: for everybody, and by who has drawn any."""
    drawn = service.drawn if service is not None else {}
    users = {user: rations_left(rations, service, user)[0] for user in sorted(drawn)}
    return {"total": rations_left(rations, service, "")[1], "users": users}


def _left_lines(rations: Rations, left: Json) -> list[str]:
    users = [f"  {plain(user)}: {rows} of {rations.user}" for user, rows in left["users"].items()]
    return [
        f"Left to be drawn: {left['total']} of {rations.total} rows for everybody.",
        *users,
        "Workers draw rows ahead, a tranche at a time, so a user may have some left beside these.",
    ]


def _worker(connected: Client, id: str) -> tuple[ServedWorker | None, str]:
    """A verified worker, or why there is none to tell the model's inputs and answers."""
    try:
        return connected.services.verify(id), ""
    except Refused as refused:
        if refused.reason not in _NOBODY:
            raise
        return None, f"No worker is ready to tell inputs and answers ({refused.reason})."


def _origin_lines(connected: Client, terms: Serve) -> list[str]:
    """Where the model came from, as far as the log shows it."""
    try:
        origin: Origin | None = connected.services.origin(terms)
    except Refusal as error:
        return [f"That receipt does not hold ({error.reason}): {error}"]
    if origin is None:
        return []
    said = origin.receipt.receipt.predicate
    if origin.output:
        return [
            f"The model is the output {origin.output} of the job {said.job}: the receipt says so."
        ]
    told = f"The owner says that it was made from what the job {said.job} released;"
    return [f"{told} it is none of the outputs that the receipt names."]


def field_row(field: Field, rows: RowsAre) -> tuple[str, str, str]:
    """An input or answer of a model as a line of a table."""
    return plain(field.name), field.dtype, shape_text(field, rows)
