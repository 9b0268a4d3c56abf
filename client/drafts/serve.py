# SPDX-License-Identifier: Apache-2.0
"""Services drafted in TOML; `placet init` writes a commented template."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from placet.client.data.objects import SealedObject
from placet.client.drafts.toml import load_toml, nothing_left, take, take_action, take_window
from placet.client.errors import FileRefused
from placet.client.files import read_file
from placet.client.trust.artifacts import MAX_ARTIFACT, ReceiptFile
from placet.governance.codec import Json, from_plain
from placet.governance.documents import Serve
from placet.governance.documents.serving import USUAL_QUESTION
from placet.governance.envelope import parse_envelope
from placet.sealing import ObjectDescriptor

_ACTION = "serve"
_DAY = 86400
# What is usual, where a file does not say it. Who may ask, how much and what they see has to be
# said.
_DEFAULTS: Json = {
    "not_finite": "refuse",
    "largest_request": 1024,
    "largest_question": USUAL_QUESTION,
    "batch": "shared",
    "batch_rows": 64,
    "deadline_seconds": 7 * _DAY,
}
_USES = 100  # workers


@dataclass(frozen=True, slots=True)
class ServeDraft:
    """What a service's file says: what a proposal is made from. Times are Unix seconds."""

    body: Serve
    purpose: str
    reason: str
    not_before: int
    not_after: int
    uses: int


def load_serve(path: Path, now: int, unsealed: ObjectDescriptor | None = None) -> ServeDraft:
    """A service from a TOML file, its window from `now` on unless the file names a start.

    unsealed: what stands for the model where it is not sealed yet. Raises `FileRefused` or
    `DocumentMalformed`, naming the field.
    """
    values = load_toml(path)
    take_action(values, path, _ACTION)
    not_before, not_after = take_window(values, path, now)
    purpose, reason = take(values, path, "purpose", str), take(values, path, "reason", str)
    uses = take(values, path, "uses", int, _USES)
    review = _date(values, path, "review", not_before, not_after)
    plain: Json = {
        "model": _model(values, path, unsealed),
        "card": _card(values, path, not_before, not_after),
        "users": take(values, path, "users", dict),
        "rations": _rations(values, path),
        "answers": {
            name: {"show": shown} if isinstance(shown, str) else shown
            for name, shown in take(values, path, "answers", dict).items()
        },
        "samples": _samples(values, path),
        "privacy": take(values, path, "privacy", dict, None),
        "review": review,
    }
    plain |= {name: values.pop(name, usual) for name, usual in _DEFAULTS.items()}
    nothing_left(values, path)
    body = from_plain(Serve, plain)
    return ServeDraft(body, purpose, reason, not_before, not_after, uses)


def object_file(path: Path) -> Path:
    """Where the object file of the model that a service's file names would be. Raises
    `FileRefused`."""
    table = take(load_toml(path), path, "model", dict)
    return path.parent / str(take(table, path, "object", str))


def _model(values: Json, path: Path, unsealed: ObjectDescriptor | None) -> Json:
    table = take(values, path, "model", dict)
    file = path.parent / take(table, path, "object", str)
    known = unsealed if unsealed and not file.exists() else SealedObject.load(file).descriptor
    return {"object": known.to_dict(), **table}


def _card(values: Json, path: Path, not_before: int, not_after: int) -> Json:
    table: Json = take(values, path, "card", dict)
    receipt: str = take(table, path, "receipt", str, "")
    if receipt and not receipt.startswith("sha256:"):
        file = ReceiptFile.from_bytes(read_file(path.parent / receipt, MAX_ARTIFACT))
        receipt = parse_envelope(file.receipt).digest
    retire_by = _date(table, path, "retire_by", not_before, not_after)
    return {"privacy": None, "labels": [], **table, "receipt": receipt, "retire_by": retire_by}


def _rations(values: Json, path: Path) -> Json:
    table: Json = take(values, path, "rations", dict)
    user: Any = table.get("user")
    if type(user) is int:
        # A tenth at a time: as much is lost with a worker.
        table = {"minute": user, "tranche": max(1, user // 10), **table}
    return table


def _samples(values: Json, path: Path) -> Json:
    """Numbers of samples as documents hold them: as text."""
    samples: Json = take(values, path, "samples", dict, {})
    for sample in samples.values():
        numbers: Any = cast("Json", sample).get("values") if type(sample) is dict else None
        if type(numbers) is list:
            sample["values"] = [_as_text(number) for number in cast("Any", numbers)]
    return samples


def _as_text(value: Any) -> Any:
    """A number as decimal text in its shortest form, which stands for the same number; anything
    else is refused by the document."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        return repr(value).removesuffix(".0").replace("e-0", "e-").replace("e+", "e")
    return value


def _date(values: Json, path: Path, name: str, start: int, usual: int) -> int:
    """A time, or NAME_after_seconds from the window's start on; as a rule the window's end."""
    after = f"{name}_after_seconds"
    if name in values and after in values:
        raise FileRefused(f"In {path} give either {name} or {after}.", claim=name)
    if after in values:
        return start + cast("int", take(values, path, after, int))
    return cast("int", take(values, path, name, int, usual))
