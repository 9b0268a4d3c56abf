# SPDX-License-Identifier: Apache-2.0
"""check model: a model file under the terms that it would be served by, in the worker's own code.
`propose` does the same before anything is signed."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from placet.client.cli._frame import EXIT_REFUSED, AsJSON, command, lines, say, show, table
from placet.client.cli.service import ROWS, field_row
from placet.client.drafts.serve import load_serve, object_file
from placet.client.errors import FileRefused, UsageRefused
from placet.client.files import reading
from placet.client.services.checking import Asked, ModelCheck, check_model
from placet.governance.codec import Json, to_plain
from placet.governance.documents.lease import RESULT_KIND
from placet.governance.documents.work.serve import Serve
from placet.governance.sentences import count
from placet.refusals import Refusal
from placet.sealing import ObjectDescriptor, StreamKey, seal_stream

app = typer.Typer()
_SUFFIX = ".object.json"
_LONG = 60  # seconds of a question, after which a worker ends it


@command(app)
def model(
    file: Annotated[Path, typer.Argument(help="The model, an ONNX file in the clear.")],
    terms: Annotated[Path, typer.Option(help="serve.toml: by which terms it would be served.")],
    as_json: AsJSON = False,
) -> None:
    """Do at home what a worker will do with a model: look through it, load it, try its rows, cut
    its answers, ask it a question; and show what users will be told."""
    body = load_serve(terms, int(time.time()), _unsealed(file)).body
    _check_same(file, body)
    found = check_model(file, body)
    tell(found, file, body, as_json)


def try_before(source: Path, body: Serve, file: Path | None) -> None:
    """Before a service is proposed: try its model, where the file is at hand, and exit with 1 if no
    worker would serve it; else say that it was not tried."""
    file = file or _beside(source)
    if file is None:
        say(
            "The model was not tried: it does not lie beside its object file. Try it with: placet "
            f"check model FILE --terms {source}"
        )
        return
    try:
        _check_same(file, body)
        found = check_model(file, body)
    except UsageRefused as error:
        say(f"The model was not tried. {error}")
        return
    if found.refusal is not None:
        say("Nothing was proposed.", *_refused(found.refusal, found))
        raise typer.Exit(EXIT_REFUSED)
    say(f"A worker would serve {file}: it was tried here.")


def tell(found: ModelCheck, file: Path, body: Serve, as_json: bool) -> None:
    """What was found; exits with 1 where a worker would refuse the model."""

    def text(console: Console) -> None:
        if found.refusal is not None:
            lines(_refused(found.refusal, found))(console)
        rows = found.rows or "independent"
        fields = [
            *(("input", *field_row(f, rows)) for f in found.inputs),
            *(("answer", *field_row(f, rows)) for f in found.answers),
        ]
        if fields:
            table(("", "name", "dtype", "shape"), fields, "")(console)
            lines([ROWS[rows]])(console)
        if found.question is not None:
            lines([*_measured(found, found.question, body), f"A worker would serve {file}."])(
                console
            )

    show(_json(found, file, body), as_json, text)
    if found.refusal is not None:
        raise typer.Exit(EXIT_REFUSED)


def _refused(refusal: Refusal, found: ModelCheck) -> list[str]:
    details = refusal.details
    compared = [f"  {name}: {details[name]}" for name in ("expected", "actual") if name in details]
    what = f" about {details['claim']}" if "claim" in details else ""
    return [
        f"A worker would refuse the model ({refusal.reason}{what}).",
        *compared,
        *(f"  {note}" for note in found.notes if note),
        found.remedy or str(refusal),
    ]


def _measured(found: ModelCheck, one: Asked, body: Serve) -> list[str]:
    best = found.batch or one
    told = [
        (
            f"The smallest question has {count(one.rows, 'row')} and {_size(one.question)}, sealed "
            f"{_size(one.sealed)}; its answer has {_size(one.answer)}. A question has at most "
            f"{count(found.most_rows(body), 'row')}; it and its answer have at most "
            f"{_size(body.largest_question)} each."
        ),
        (
            f"Loading took {found.load_seconds:.1f} s here and the question {one.seconds:.3f} s; "
            f"that is up to {best.rows / max(best.seconds, 1e-6):.0f} rows a second, "
            f"{count(best.rows, 'row')} at a time, with {_size(found.memory)} of memory."
        ),
    ]
    if best.seconds > _LONG / 2:
        told.append(f"A worker ends questions after {_LONG} s. Lower batch_rows.")
    return told


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**19 else count(size, "byte")


def _json(found: ModelCheck, file: Path, body: Serve) -> Json:
    refusal = found.refusal
    told: Json | None = None
    if refusal is not None:
        told = {
            "reason": refusal.reason,
            "message": str(refusal),
            "details": refusal.details,
            "notes": list(found.notes),
            "remedy": found.remedy,
        }
    one = found.question
    return {
        "file": str(file),
        "served": refusal is None,
        "refusal": told,
        "inputs": to_plain(found.inputs),
        "answers": to_plain(found.answers),
        "rows": found.rows,
        "largest": {"bytes": body.largest_question, "rows": found.most_rows(body)},
        "question": one and {**to_plain(one), "sealed": one.sealed},
        "batch": to_plain(found.batch),
        "load_seconds": found.load_seconds,
        "memory": found.memory,
    }


def _unsealed(file: Path) -> ObjectDescriptor:
    """The description of the model, sealed here to nobody: it may not have been sealed yet."""
    with reading(file) as plain:
        return seal_stream(plain, _Nowhere(), StreamKey.generate(), kind="model", labels=())


class _Nowhere:
    def write(self, data: memoryview, /) -> int:
        return len(data)


def _check_same(file: Path, body: Serve) -> None:
    """Raises `FileRefused` where the terms are for a file of another length."""
    sealed, size = body.model.object, file.stat().st_size if file.is_file() else -1
    if sealed.kind != RESULT_KIND and size >= 0 and sealed.length != size:
        raise FileRefused(
            f"{file} has {size} bytes, and the model that the terms name has {sealed.length}. Name "
            "the file that was sealed.",
            claim=str(file),
            expected=str(sealed.length),
            actual=str(size),
        )


def _beside(source: Path) -> Path | None:
    """The file that `placet seal` has read, where it still lies beside what that wrote."""
    file = object_file(source)
    name = file.name.removesuffix(_SUFFIX)
    places = [file.with_name(name), file.with_name(f"{name}.onnx")] if name != file.name else []
    return next((place for place in places if place.is_file()), None)
