# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays as questions, and answers as arrays.

Nothing is converted on the way: what does not fit the model's inputs is refused by its name, before
anything is sent. The first axis of every array counts rows, and many rows become several questions.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from placet.client.errors import AnswerMalformed, QuestionRefused
from placet.governance.documents.serving import Field
from placet.governance.documents.work.serve import Serve
from placet.proto.limits import KIB
from placet.proto.tensors import DTYPES, Tensor, pack, unpack
from placet.refusals import QuestionInvalid

Array = NDArray[Any]
Arrays = dict[str, Array]

# Large enough that what is spent on each question does not count, small enough that many are under
# way.
QUESTION_BYTES = 256 * KIB


@dataclass(frozen=True, slots=True)
class Rows:
    """What is asked, checked against the model's inputs: contiguous arrays, little-endian, of
    `count` rows each.

    at_once: how many of the rows go into one question.
    """

    arrays: Arrays
    count: int
    at_once: int

    @property
    def questions(self) -> int:
        """Into how many questions the rows are split."""
        return math.ceil(self.count / self.at_once)

    def packed(self, but: Container[int] = ()) -> Iterator[tuple[int, bytearray]]:
        """The number and the content of each question but some, in the order of the rows; the
        caller wipes it."""
        for number in range(self.questions):
            start = number * self.at_once
            end = start + self.at_once
            if number not in but:
                yield number, pack([_tensor(n, a[start:end]) for n, a in self.arrays.items()])


def judge_rows(
    given: Array | Mapping[str, Array],
    terms: Serve,
    inputs: Sequence[Field],
    answers: Sequence[Field],
) -> Rows:
    """Arrays that the model takes. A model of one input takes the array alone. Raises
    `QuestionRefused`."""
    named = _named(given, inputs)
    arrays = {field.name: _checked(field, named[field.name], terms) for field in inputs}
    counts = {name: len(array) for name, array in arrays.items()}
    count = next(iter(counts.values()))
    if len(set(counts.values())) != 1:
        raise _refused("rows", "as many in each input", str(counts))
    if not count:
        raise _refused("rows", "at least 1", "0")
    row = max(sum(array.nbytes for array in arrays.values()) // count, _bytes_of_row(answers), 1)
    rations = terms.rations
    if count > (allowed := min(rations.user, rations.total)):
        # What was answered before the refusal would be spent, and the caller would have none of it.
        raise QuestionRefused(
            f"The terms let a user be answered {allowed} rows in all, and these are {count}. Ask "
            "about fewer; nothing was spent.",
            claim="rations",
            expected=f"at most {allowed}",
            actual=str(count),
        )
    # A worker never answers more at once than a tranche, or than a minute allows.
    most = min(terms.largest_request, rations.tranche, rations.minute)
    at_once = max(1, min(most, QUESTION_BYTES // row))
    for field in inputs:
        if field.shape and field.shape[0]:  # the model itself takes so many rows and no others
            at_once = field.shape[0]
            if count % at_once:
                raise _refused("rows", f"a multiple of {at_once}", str(count))
    return Rows(arrays, count, at_once)


def read_answer(content: memoryview, answers: Sequence[Field]) -> Arrays:
    """The arrays of an answer, as copies. Raises `AnswerMalformed` for others than the offer
    names."""
    try:
        tensors = unpack(content)
    except QuestionInvalid as error:
        raise AnswerMalformed("The worker's answer has no form.", **error.details) from None
    found = {tensor.name: tensor.dtype for tensor in tensors}
    if found != {field.name: field.dtype for field in answers}:
        raise AnswerMalformed(
            "The worker answered with other outputs than its offer names.", claim="answers"
        )
    return {tensor.name: _array(tensor) for tensor in tensors}


def joined(parts: Sequence[Arrays]) -> Array | Arrays:
    """The answers to all questions as one, in their order; of a model of one output the array
    alone."""
    first = parts[0]
    whole = (
        first
        if len(parts) == 1
        else {name: np.concatenate([part[name] for part in parts]) for name in first}
    )
    return next(iter(whole.values())) if len(whole) == 1 else whole


def _named(given: Array | Mapping[str, Array], inputs: Sequence[Field]) -> Mapping[str, Array]:
    names = [field.name for field in inputs]
    if not isinstance(given, Mapping):
        if len(names) != 1:
            raise _refused("inputs", "a dict of arrays: " + ", ".join(names), "one array")
        return {names[0]: given}
    if set(given) != set(names):
        raise _refused("inputs", ", ".join(names), ", ".join(sorted(map(str, given))) or "none")
    return given


def _checked(field: Field, array: Array, terms: Serve) -> Array:
    found = str(getattr(array, "dtype", type(array).__name__))
    if not isinstance(cast("object", array), np.ndarray) or found != field.dtype:
        raise _refused(
            field.name,
            f"an array of {field.dtype}",
            found,
            f"Convert it: array.astype(numpy.{field.dtype}).",
        )
    wanted, shape = field.shape[1:], array.shape[1:]
    fits = len(array.shape) == len(field.shape) > 0 and all(
        w in (0, s) for w, s in zip(wanted, shape, strict=True)
    )
    if not fits:
        text = ", ".join(["rows", *(str(n) if n else "any" for n in wanted)])
        raise _refused(field.name, f"of shape ({text})", str(array.shape), "Reshape it.")
    if terms.not_finite == "refuse" and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _refused(field.name, "finite throughout", "NaN or infinity")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _bytes_of_row(answers: Sequence[Field]) -> int:
    """Of an answer, as far as the offer fixes its shape: answers are bounded as questions are."""
    return sum(DTYPES[a.dtype] * math.prod(n for n in a.shape[1:] if n) for a in answers)


def _tensor(name: str, array: Array) -> Tensor:
    # memoryview casts no 16-bit floats, and no arrays without elements.
    return Tensor(name, str(array.dtype), array.shape, array.reshape(-1).view(np.uint8).data)


def _array(tensor: Tensor) -> Array:
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    return np.frombuffer(tensor.data, dtype).reshape(tensor.shape).astype(tensor.dtype)


def _refused(claim: str, expected: str, actual: str, remedy: str = "") -> QuestionRefused:
    details = {"claim": claim, "expected": expected[:500], "actual": actual[:500]}
    more = " " + remedy if remedy else ""
    return QuestionRefused(
        f"The model takes for {claim!r} what is {expected}, and was given {actual}.{more}"[:1000],
        **details,
    )
