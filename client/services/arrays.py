# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays as questions, and answers as arrays.

Nothing is converted on the way: what does not fit the model's inputs is refused by its name, before
anything is sent. Many rows become several questions where the worker's offer says that rows are
answered one by one, or so many at a time; elsewhere a call is one question.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from placet.client.errors import AnswerMalformed, QuestionRefused
from placet.governance.documents.serving import Field, Offer, RowsAre
from placet.governance.documents.work.serve import Serve
from placet.proto.limits import KIB, MIB
from placet.proto.tensors import DTYPES, Tensor, pack, packed_size, unpack
from placet.refusals import QuestionInvalid

Array = NDArray[Any]
Arrays = dict[str, Array]

# Large enough that what is spent on each question does not count, small enough that many are under
# way.
QUESTION_BYTES = 256 * KIB
# And so many under way together: a worker keeps as many of a user's.
BYTES_UNDER_WAY = 16 * MIB


@dataclass(frozen=True, slots=True)
class Rows:
    """What is asked, checked against the model's inputs: contiguous arrays, little-endian, of
    `count` rows each.

    at_once: how many of the rows go into one question. row: bytes of one, or of its answer.
    """

    arrays: Arrays
    count: int
    at_once: int
    row: int

    @property
    def questions(self) -> int:
        """Into how many questions the rows are split."""
        return math.ceil(self.count / self.at_once)

    @property
    def largest(self) -> int:
        """Bytes of the largest question."""
        return packed_size([_tensor(n, self._cut(a, 0)) for n, a in self.arrays.items()])

    @property
    def under_way(self) -> int:
        """How many questions are worth having under way."""
        return max(1, BYTES_UNDER_WAY // max(1, self.at_once * self.row))

    def packed(self, but: Container[int] = ()) -> Iterator[tuple[int, bytearray]]:
        """The number and the content of each question but some, in the order of the rows; the
        caller wipes it."""
        for number in range(self.questions):
            if number not in but:
                yield (
                    number,
                    pack([_tensor(n, self._cut(a, number)) for n, a in self.arrays.items()]),
                )

    def _cut(self, array: Array, number: int) -> Array:
        """The rows of one question; of one alone everything, also where no axis counts rows."""
        if self.questions == 1:
            return array
        return array[number * self.at_once : (number + 1) * self.at_once]


def judge_rows(given: Array | Mapping[str, Array], terms: Serve, offer: Offer) -> Rows:
    """Arrays that the model takes. A model of one input takes the array alone. Raises
    `QuestionRefused`."""
    named = _named(given, offer.inputs)
    arrays = {
        field.name: _checked(field, named[field.name], terms, offer.rows) for field in offer.inputs
    }
    counts = {name: len(array) if array.ndim else 1 for name, array in arrays.items()}
    count = max(counts.values())
    if offer.rows != "dependent" and len(set(counts.values())) != 1:
        raise _refused("rows", "as many in each input", str(counts))
    if not min(counts.values()):
        raise _refused("rows", "at least 1", "0")
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
    row = max(sum(a.nbytes for a in arrays.values()) // count, _bytes_of_row(offer.answers), 1)
    rows = Rows(arrays, count, _at_once(row, count, terms, offer), row)
    if (size := rows.largest) > terms.largest_question:
        raise QuestionRefused(
            f"A question to this service has at most {terms.largest_question} bytes, and this one "
            f"would have {size}. Ask about fewer rows, or smaller ones; nothing was spent.",
            claim="largest_question",
            expected=f"at most {terms.largest_question}",
            actual=str(size),
        )
    return rows


def _at_once(row: int, count: int, terms: Serve, offer: Offer) -> int:
    """How many rows go into one question."""
    most = terms.most_rows
    if offer.rows == "independent":
        room = min(QUESTION_BYTES, terms.largest_question - _around(offer))
        return max(1, min(most, room // row))
    if offer.rows == "fixed":
        if count % (fixed := offer.inputs[0].shape[0]):
            raise _refused("rows", f"a multiple of {fixed}", str(count))
        return fixed
    if count > most:
        raise QuestionRefused(
            f"The model answers a question as a whole, so it is not asked in parts. The terms let "
            f"{most} rows be asked about at once, and these are {count}. Ask about fewer.",
            claim="rows",
            expected=f"at most {most}",
            actual=str(count),
        )
    return count


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


def _checked(field: Field, array: Array, terms: Serve, rows: RowsAre) -> Array:
    found = str(getattr(array, "dtype", type(array).__name__))
    if not isinstance(cast("object", array), np.ndarray) or found != field.dtype:
        raise _refused(
            field.name,
            f"an array of {field.dtype}",
            found,
            f"Convert it: array.astype(numpy.{field.dtype}).",
        )
    first = rows == "fixed"  # and then as many of them as one likes, in questions of so many
    fits = len(array.shape) == len(field.shape) and all(
        wanted in (0, size)
        for wanted, size in zip(field.shape[first:], array.shape[first:], strict=True)
    )
    if not fits:
        text = shape_text(field, rows)
        raise _refused(field.name, f"of shape {text}", str(array.shape), "Reshape it.")
    if terms.not_finite == "refuse" and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _refused(field.name, "finite throughout", "NaN or infinity")
    # `ascontiguousarray` gives an array without dimensions one.
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def shape_text(field: Field, rows: RowsAre) -> str:
    """An input or output's shape in words: (rows, 3, any)."""
    sizes = [str(size) if size else "any" for size in field.shape]
    if rows != "dependent":
        sizes[:1] = ["rows"]
    return f"({', '.join(sizes)})"


def _bytes_of_row(answers: Sequence[Field]) -> int:
    """Of an answer, as far as the offer fixes its shape: answers are bounded as questions are."""
    return sum(DTYPES[a.dtype] * math.prod(n for n in a.shape[1:] if n) for a in answers)


def _around(offer: Offer) -> int:
    """Bytes of a question or an answer besides those of its rows."""
    return 2 + max(
        sum(4 + len(field.name.encode()) + 4 * len(field.shape) for field in fields)
        for fields in (offer.inputs, offer.answers)
    )


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
