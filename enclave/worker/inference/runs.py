# SPDX-License-Identifier: Apache-2.0
"""A batch on its way through the runtime.

What is copied together here is wiped here. Beyond reach are the runtime's own buffers, which it
frees as it goes.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from placet.enclave.worker.inference.model import Model
from placet.enclave.worker.inference.questions import Question
from placet.proto.tensors import Tensor
from placet.refusals import ModelFailed

Array = npt.NDArray[Any]
Answer = tuple[Tensor, ...] | ModelFailed


class Batch:
    """Questions that are run together; all have the same shapes but for their rows, or there is
    only one."""

    def __init__(self, model: Model, questions: Sequence[Question]) -> None:
        self.questions = questions
        self.rows = sum(question.rows for question in questions)
        self.seconds = 0.0
        self.answers: list[Answer] = []
        self._model = model
        self._feeds: dict[str, Array] = {}
        self._outputs: list[Array] = []
        self._stopped = False

    def run(self) -> None:
        """Fill `answers`, one a question. It can run in any thread, and raises nothing.

        Where the batch fails, each question is run by itself: only whose own question fails gets to
        know of it.
        """
        start = time.perf_counter()
        self.answers = self._join() or self._answers(0, self.rows, self.questions)
        if len(self.questions) > 1 and self._feeds and isinstance(self.answers[0], ModelFailed):
            self.answers, first = [], 0
            for question in self.questions:
                last = first + question.rows
                self.answers += (
                    [_failed()] if self._stopped else self._answers(first, last, [question])
                )
                first = last
        self.seconds = time.perf_counter() - start
        for feed in self._feeds.values():
            feed.fill(0)

    def stop(self) -> None:
        """It has taken too long: what is not answered yet fails. From any thread."""
        self._stopped = True
        self._model.stop()

    def wipe(self) -> None:
        self.answers = []
        for output in self._outputs:
            output.fill(0)

    def _join(self) -> list[Answer]:
        """Copy the questions together, and wipe them; returns refusals if there is no memory for
        it."""
        try:
            for place, field in enumerate(self._model.inputs):
                parts = [question.arrays[place] for question in self.questions]
                self._feeds[field.name] = (
                    np.concatenate(parts) if parts[0].ndim else parts[0].copy()
                )
        except MemoryError:
            return [_failed() for _ in self.questions]
        finally:
            for question in self.questions:
                question.wipe()
        return []

    def _answers(self, first: int, last: int, questions: Sequence[Question]) -> list[Answer]:
        """Run the rows from `first` to `last`, which are those of `questions`."""
        whole = last - first == self.rows
        try:
            outputs = self._model.run(
                self._feeds
                if whole
                else {name: feed[first:last] for name, feed in self._feeds.items()}
            )
        # The runtime's classes have no common base, and their texts quote the question.
        except Exception:  # noqa: BLE001
            return [_failed() for _ in questions]
        self._outputs += outputs
        if len(questions) == 1:
            return [self._tensors(outputs)]
        # What gives other than a row for a row can be told apart only if it is run apart.
        if any(not output.ndim or len(output) != self.rows for output in outputs):
            return [_failed() for _ in questions]
        answers: list[Answer] = []
        start = 0
        for question in questions:
            end = start + question.rows
            answers.append(self._tensors([output[start:end] for output in outputs]))
            start = end
        return answers

    def _tensors(self, arrays: Sequence[Array]) -> tuple[Tensor, ...]:
        return tuple(
            Tensor(field.name, field.dtype, array.shape, array.reshape(-1).view(np.uint8).data)
            for field, array in zip(self._model.answers, arrays, strict=True)
        )


def _failed() -> ModelFailed:
    return ModelFailed(
        "The model cannot answer this question. Its values may be outside of what the model was "
        "made for.",
        claim="values",
    )
