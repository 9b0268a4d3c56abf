# SPDX-License-Identifier: Apache-2.0
"""A question that nobody has asked, answered as those of users are: before a service is ready, and
at home before it is proposed.

A model whose smallest question or its answer is larger than the terms allow would be ready, and
could never be asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from placet.enclave.worker.inference.model import Model
from placet.enclave.worker.inference.modelfile import invalid
from placet.enclave.worker.inference.probing import random_feeds, sample_arrays
from placet.enclave.worker.inference.questions import Question, Reader
from placet.enclave.worker.inference.runs import Batch
from placet.governance.documents.work.serve import Serve
from placet.proto.questions import answer_size
from placet.proto.tensors import Tensor, pack
from placet.refusals import ModelFailed, ModelInvalid, QuestionTooLarge

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Rows of the question, bytes of it and of its answer, and how long the answer took."""

    rows: int
    question: int
    answer: int
    seconds: float


def rehearse(model: Model, terms: Serve, rows: int | None = None) -> Rehearsal:
    """Ask the smallest question that the model has answered when it was tried, or so many rows of
    it. Raises ModelInvalid where the terms do not let it be asked, MemoryError."""
    content = pack(
        [
            Tensor(name, array.dtype.name, array.shape, array.reshape(-1).view(np.uint8).data)
            for name, array in _made_up(model, terms, rows).items()
        ]
    )
    size = len(content)
    if size > terms.largest_question:
        raise _too_large("largest_question", size, terms.largest_question)
    question = Question("", content)
    try:
        Reader(model, terms).read(question)
    except QuestionTooLarge as refusal:
        found = int(refusal.details["actual"])
        raise _too_large("largest_request", found, terms.largest_request) from None
    return _asked(model, terms, question, size)


def _asked(model: Model, terms: Serve, question: Question, size: int) -> Rehearsal:
    if question.rows > terms.most_rows:
        raise _too_large("rations", question.rows, terms.most_rows)
    batch = Batch(model, [question])
    batch.run()
    try:
        (answer,) = batch.answers
        if isinstance(answer, ModelFailed):
            raise invalid("model", "one that runs", "it fails on a question of its own shapes")
        if (given := answer_size(answer)) > terms.largest_question:
            refused = _too_large("largest_question", given, terms.largest_question)
            refused.add_note("That is the size of an answer.")
            raise refused
        return Rehearsal(question.rows, size, given, batch.seconds)
    finally:
        batch.wipe()


def _made_up(model: Model, terms: Serve, rows: int | None) -> Mapping[str, Array]:
    shapes = {
        name: shape if rows is None else (rows, *shape[1:]) for name, shape in model.asked.items()
    }
    given = {
        name: np.resize(array, shapes[name])
        for name, array in sample_arrays(model.inputs, terms.samples).items()
    }
    others = [field for field in model.inputs if field.name not in given]
    return {**random_feeds(others, shapes), **given}


def _too_large(claim: str, found: int, most: int) -> ModelInvalid:
    """What the terms would have to say: `found` or more."""
    return invalid(claim, f"at least {found}, as its smallest question takes", str(most))
