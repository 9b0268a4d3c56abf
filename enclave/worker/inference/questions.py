# SPDX-License-Identifier: Apache-2.0
"""A question, and whether it is one that the model takes."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from placet.enclave import _kernel
from placet.enclave.worker.inference.model import Model
from placet.governance.documents.serving import Field
from placet.governance.documents.work.serve import Serve
from placet.proto.tensors import Tensor, unpack
from placet.refusals import QuestionInvalid, QuestionTooLarge

Array = npt.NDArray[Any]


@dataclass(slots=True, eq=False)
class Question:
    """One question of one user.

    content: packed tensors (proto/tensors.py), in a buffer that is the batcher's from `ask` on, and
    wiped by it, also where `ask` raises. until: by the event loop's clock, when it has to be in a
    batch. context: the caller's own. rows: set by `ask`.
    """

    user: str
    content: bytearray | memoryview
    until: float = math.inf
    context: Any = None
    rows: int = field(default=0, init=False)
    # Of the batcher: views of `content` in the order of the model's inputs, what it may be run
    # with, whether somebody waits.
    arrays: list[Array] = field(default_factory=list[Array], init=False, repr=False)
    company: Hashable = field(default=None, init=False, repr=False)
    wanted: bool = field(default=True, init=False)

    def wipe(self) -> None:
        self.arrays.clear()
        _kernel.wipe(self.content)


class Reader:
    """Holds questions against what the model takes and the terms allow, before the runtime sees
    them."""

    def __init__(self, model: Model, terms: Serve) -> None:
        self._inputs = model.inputs
        self._names = {field.name for field in model.inputs}
        self._batchable = model.batchable
        self._apart = terms.batch == "apart"
        self._finite = terms.not_finite == "refuse"
        self._largest = terms.largest_request

    def read(self, question: Question) -> None:
        """Set what the batcher has to know. Raises `QuestionInvalid` or `QuestionTooLarge`."""
        tensors = {tensor.name: tensor for tensor in unpack(question.content)}
        if tensors.keys() != self._names:
            raise _invalid("names", ", ".join(sorted(self._names)), f"{len(tensors)} others")
        arrays = [self._array(field, tensors[field.name]) for field in self._inputs]
        question.rows = self._rows(arrays)
        if question.rows > self._largest:
            raise QuestionTooLarge(
                "The question has too many rows. Ask in parts.",
                claim="rows",
                expected=f"at most {self._largest}",
                actual=str(question.rows),
            )
        question.arrays = arrays
        question.company = (
            tuple(array.shape[1:] for array in arrays) if self._batchable else id(question),
            self._apart and question.user,
        )

    def _array(self, field: Field, tensor: Tensor) -> Array:
        if tensor.dtype != field.dtype:
            raise _invalid(field.name, field.dtype, tensor.dtype)
        if len(tensor.shape) != len(field.shape):
            raise _invalid(field.name, f"rank {len(field.shape)}", f"rank {len(tensor.shape)}")
        for found, declared in zip(tensor.shape, field.shape, strict=True):
            if not found:
                raise _invalid(field.name, "elements", "an empty tensor")
            if declared and found != declared:
                raise _invalid(field.name, _text(field.shape), _text(tensor.shape))
        array: Array = np.frombuffer(tensor.data, np.dtype(field.dtype).newbyteorder("<"))
        if field.dtype == "bool":
            if array.view(np.uint8).max() > 1:
                raise _invalid(field.name, "0 or 1", "other bytes")
        elif self._finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _invalid(field.name, "finite numbers", "NaN or infinities")
        return array.reshape(tensor.shape)

    def _rows(self, arrays: list[Array]) -> int:
        """Where the first dimensions are not those of the rows, the largest counts: rather too many
        than too few."""
        rows = [len(array) if array.ndim else 1 for array in arrays]
        if self._batchable and min(rows) != max(rows):
            raise _invalid("rows", "as many in each tensor", f"{min(rows)} and {max(rows)}")
        return max(rows)


def _invalid(claim: str, expected: str, actual: str) -> QuestionInvalid:
    return QuestionInvalid(
        "The question is not what the model takes.",
        claim=claim,
        expected=expected[:500],
        actual=actual,
    )


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(str(length) if length else "any" for length in shape)
