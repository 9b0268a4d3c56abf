# SPDX-License-Identifier: Apache-2.0
"""Services: serve, services, model. Asking is in predict.py."""

import time
from typing import Annotated

import typer
from rich.console import Console

from placet.auditing.explain import explain_refusal
from placet.auditing.explain_serving import explain_serving
from placet.client.blocking import Client
from placet.client.cli._frame import (
    EXIT_REFUSED,
    AsJSON,
    client,
    command,
    lines,
    say,
    say_json,
    show,
    table,
)
from placet.client.cli._words import find_ticket, refusal_json, short, when
from placet.client.services.chain import ServedWorker
from placet.client.services.services import Origin
from placet.client.services.status import ServiceStatus
from placet.governance.codec import Json, to_plain
from placet.governance.documents.serving import Field
from placet.governance.documents.work.serve import Serve
from placet.governance.text import plain
from placet.refusals import Refusal, Refused

app = typer.Typer()

ServiceName = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE", help="The digest of its proposal, or enough of its beginning."
    ),
]
SERVICE_COLUMNS = ("service", "state", "ready", "workers", "until", "why")
_NOBODY = ("WORKER_UNAVAILABLE", "SERVICE_NOT_FOUND", "SERVICE_ENDED")


@command(app)
def serve(
    ticket: Annotated[str, typer.Argument(help="A ticket file, or a proposal's digest.")],
    workers: Annotated[
        int, typer.Option(min=0, max=1000, help="How many; 0 drains the service.")
    ] = 1,
    wait: Annotated[bool, typer.Option(help="Wait until they are ready.")] = True,
    as_json: AsJSON = False,
) -> None:
    """Serve a model under a ticket, or change by how many workers; Ctrl-C while waiting leaves it
    running."""
    with client() as connected:
        status = connected.services.start(find_ticket(connected, ticket), workers)
        if wait and not status.settled:
            status = _follow(connected, status.id, as_json)
    show(service_json(status), as_json, lines([f"{status.id}: {_line(status)}"]))
    if status.ended:
        if status.refusal is not None and not as_json:
            refusal = status.refusal
            say(*explain_refusal(refusal.reason, str(refusal), refusal.details))
        raise typer.Exit(EXIT_REFUSED)


@command(app)
def services(as_json: AsJSON = False) -> None:
    """List the services."""
    with client() as connected:
        found = connected.services.list()
    rows = [service_row(status) for status in found]
    told = [service_json(status) for status in found]
    show(told, as_json, table(SERVICE_COLUMNS, rows, "No services."))


@command(app)
def model(name: ServiceName, as_json: AsJSON = False) -> None:
    """Show what a service serves: its card, inputs and answers, rations, where the model came from,
    and until when."""
    with client() as connected:
        found = connected.council.find(name)
        id, terms = found.digest, found.document.serve
        worker, missing = _worker(connected, id)
        origin = _origin_lines(connected, terms)
    inputs = worker.offer.document.inputs if worker else ()
    answers = worker.offer.document.answers if worker else ()
    value: Json = {
        "service": id,
        "terms": to_plain(terms),
        "inputs": to_plain(inputs),
        "answers": to_plain(answers),
        "simulated": worker.simulated if worker else None,
        "origin": origin,
        "warnings": warnings_of(terms),
    }

    def text(console: Console) -> None:
        lines([*explain_serving(terms), *origin])(console)
        fields = [
            *(("input", *field_row(f)) for f in inputs),
            *(("answer", *field_row(f)) for f in answers),
        ]
        table(("", "name", "dtype", "shape"), fields, missing)(console)

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


def service_json(status: ServiceStatus) -> Json:
    """A service with its refusal in words."""
    return {
        "id": status.id,
        "state": status.state,
        "workers": status.workers,
        "ready": status.ready,
        "not_after": when(status.not_after),
        "refusal": refusal_json(status.refusal),
    }


def service_row(status: ServiceStatus) -> tuple[object, ...]:
    """A service as a line of a table."""
    why = status.refusal.reason if status.refusal else ""
    until = when(status.not_after)
    return short(status.id), status.state, status.ready, status.workers, until, why


def _line(status: ServiceStatus) -> str:
    why = f" ({status.refusal.reason})" if status.refusal else ""
    return f"{status.state}, {status.ready} of {status.workers} worker(s) ready{why}"


def _follow(connected: Client, id: str, as_json: bool) -> ServiceStatus:
    """A line a change, until as many workers are ready as were asked for; with --json a JSON
    line."""
    last: ServiceStatus | None = None
    for last in connected.services.watch(id):
        say_json(service_json(last)) if as_json else say(_line(last))
        if last.settled:
            break
    assert last is not None, "watch tells how it stands, or raises"
    return last


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


def field_row(field: Field) -> tuple[str, str, str]:
    """An input or answer of a model as a line of a table."""
    shape = ", ".join(str(n) if n else "any" for n in field.shape[1:])
    return plain(field.name), field.dtype, f"(rows{', ' + shape if shape else ''})"
