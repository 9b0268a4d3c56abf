# SPDX-License-Identifier: Apache-2.0
"""A model at home, in the very code of a worker: what a worker will do with it, before anybody is
asked to vote.

    found = check_model(Path("model.onnx"), terms)
    if found.refusal is not None:
        print(found.refusal, *found.notes, found.remedy)

The code runs in a process of its own, which reads the file and talks to nobody.
"""

import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placet.client.errors import UsageRefused
from placet.client.services.remedies import remedy_for
from placet.client.services.trying import check_triable
from placet.governance.codec import encode, from_plain
from placet.governance.documents.serving import Field, RowsAre
from placet.governance.documents.work.serve import Serve
from placet.refusals import ModelTooLarge, Refusal, Refused
from placet.sealing import size_class

_LENGTH, _TAG = 4, 16  # what a sealed question has besides


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was tried: its rows, the bytes of it and of its answer, and the seconds that
    the answer took."""

    rows: int
    question: int
    answer: int
    seconds: float

    @property
    def sealed(self) -> int:
        """Bytes of the question as it is sent: everything of one size class looks alike."""
        return size_class(_LENGTH + self.question) + _TAG


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What a worker would do with a model.

    refusal: why it would not serve it; notes: which operator, node or output it is about; remedy:
    what to do. inputs, answers, rows: what its offers would tell users. question: the smallest one,
    and batch: as many rows as are run together, where they are.
    """

    refusal: Refusal | None
    notes: tuple[str, ...]
    remedy: str
    inputs: tuple[Field, ...]
    answers: tuple[Field, ...]
    rows: RowsAre | None
    question: Asked | None
    batch: Asked | None
    load_seconds: float
    memory: int

    def most_rows(self, terms: Serve) -> int:
        """Of one question, as far as the terms and the size of a row let it have."""
        one = self.question
        if one is None or self.rows == "fixed":
            return one.rows if one is not None else 0
        rows = terms.most_rows
        if self.rows == "dependent":
            return rows
        return max(1, min(rows, terms.largest_question // max(one.question, one.answer)))


def check_model(file: Path, terms: Serve) -> ModelCheck:
    """Load the model, and ask it. Raises `FileRefused`, or `UsageRefused` where it cannot be tried
    here."""
    check_triable(file)
    with tempfile.TemporaryDirectory(prefix="placet-") as folder:
        path = Path(folder, "terms.json")
        path.write_bytes(encode(terms))
        words = ("check", "--model", str(file), "--terms", str(path))
        done = subprocess.run(
            [sys.executable, "-I", "-m", "placet.enclave", *words], capture_output=True, check=False
        )
    return _read(_found(done), terms)


def _found(done: "subprocess.CompletedProcess[bytes]") -> dict[str, Any]:
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    if done.returncode in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
        name = signal.Signals(-done.returncode).name
        text = f"The runtime was ended by {name} here, and a worker's would be as well."
        notes = ["A model can need far more memory than its file has, or crash the runtime."]
        told: dict[str, Any] = {
            "reason": ModelTooLarge.reason,
            "message": text,
            "details": {},
            "notes": notes,
        }
        return {"refusal": told, "memory": 0}
    said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    raise UsageRefused(f"The model could not be tried here. {' '.join(said)}"[:1000])


def _read(found: dict[str, Any], terms: Serve) -> ModelCheck:
    told: dict[str, Any] | None = found["refusal"]
    notes: tuple[str, ...] = tuple(told["notes"]) if told else ()
    refusal = Refused(told["reason"], told["message"], told["details"]) if told else None
    return ModelCheck(
        refusal,
        notes,
        remedy_for(refusal.details, notes, terms) if refusal is not None else "",
        tuple(from_plain(Field, field) for field in found.get("inputs", ())),
        tuple(from_plain(Field, field) for field in found.get("answers", ())),
        found.get("rows"),
        _asked(found.get("question")),
        _asked(found.get("batch")),
        found.get("load_seconds", 0.0),
        found["memory"],
    )


def _asked(found: dict[str, Any] | None) -> Asked | None:
    return Asked(**found) if found else None
