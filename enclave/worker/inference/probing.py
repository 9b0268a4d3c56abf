# SPDX-License-Identifier: Apache-2.0
"""Whether a model can be given rows together is found out by asking it random ones.

Rows can be run together if each gets the same answer in company and alone, whatever its place. A
model that mixes rows (a mean over the batch, quantisation by the largest value of the batch) does
not, and is run question by question. This says nothing of a model that was made to mix rows only
now and then: its author is whom the council approved. Where that is not enough, the terms can keep
users apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from placet.enclave.worker.inference.modelfile import invalid
from placet.governance.documents.serving import Field, RowsAre, Sample

Array = npt.NDArray[Any]
Compute = Callable[[Mapping[str, Array]], Sequence[Array]]

_ROWS: Final = 8
# What free dimensions besides that of the rows are tried with, until the model runs.
_LENGTHS: Final = (8, 1, 32, 224)
_MAX_ELEMENTS: Final = 1 << 25  # of all tensors that are tried together
# The same sums in another order: so much of the largest value may differ. Whole numbers may not.
_TOLERANCE: Final = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-10}


@dataclass(frozen=True, slots=True)
class Probe:
    """rows: how they hang together. asked: the shapes of the inputs that were tried, and given:
    those of the outputs, for the smallest question that the model has answered."""

    rows: RowsAre
    asked: dict[str, tuple[int, ...]]
    given: tuple[tuple[int, ...], ...]


def probe(compute: Compute, inputs: Sequence[Field], samples: Mapping[str, Sample]) -> Probe:
    """Run the model. Raises ModelInvalid if it runs on nothing that is tried, MemoryError."""
    given = sample_arrays(inputs, samples)
    why = ""
    for length in _LENGTHS:
        feeds = _feeds(inputs, length, given)
        if feeds is None:
            continue
        try:
            return _tried(compute, inputs, feeds)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the runtime's classes have no common base
            why = why or str(error)
    refused = invalid("model", "one that runs", "it fails on every probe")
    refused.add_note(why)
    raise refused


def sample_arrays(inputs: Sequence[Field], samples: Mapping[str, Sample]) -> dict[str, Array]:
    """Samples as the arrays that the inputs take. Raises ModelInvalid."""
    fields = {field.name: field for field in inputs}
    for name in samples:
        if name not in fields:
            refused = invalid(f"samples.{name}"[:200], "an input of the model", "no such input")
            refused.add_note(f"Its inputs are {', '.join(map(repr, fields))}.")
            raise refused
    return {name: _sampled(fields[name], sample) for name, sample in samples.items()}


def random_feeds(
    inputs: Sequence[Field], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """Floats around 0 of size 1; whole numbers 0 and 1, which are few enough to be ids and
    masks."""
    random = np.random.default_rng()
    feeds: dict[str, Array] = {}
    values: Array
    for field in inputs:
        if field.dtype.startswith("float"):
            values = random.standard_normal(shapes[field.name])
        else:
            values = random.integers(0, 2, shapes[field.name])
            if values.ndim:  # few numbers may be alike by chance
                values[:1], values[1:2] = 0, 1
        feeds[field.name] = np.asarray(values, field.dtype)
    return feeds


def _tried(compute: Compute, inputs: Sequence[Field], feeds: dict[str, Array]) -> Probe:
    """Raises whatever the runtime raises where the model does not run."""
    first = {
        field.name: feeds[field.name][:1] if field.shape[:1] == (0,) else feeds[field.name]
        for field in inputs
    }
    try:
        alone = compute(first)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - it may need more than one row
        return Probe("dependent", _named(feeds), _shapes(compute(feeds)))
    rows: RowsAre = "dependent"
    if rows_are_free(inputs):
        rows = "independent" if _independent(compute, feeds) else "dependent"
    elif _are_fixed(inputs, _shapes(alone)):
        rows = "fixed"
    return Probe(rows, _named(first), _shapes(alone))


def _are_fixed(inputs: Sequence[Field], outputs: Sequence[tuple[int, ...]]) -> bool:
    """Whether everything has as many rows, on its first axis, as the model says."""
    counts = {shape[:1] for shape in (*(field.shape for field in inputs), *outputs)}
    return len(counts) == 1 and counts.pop() not in ((), (0,))


def rows_are_free(inputs: Sequence[Field]) -> bool:
    """Whether each input can have any number of rows."""
    return all(field.shape and not field.shape[0] for field in inputs)


def _independent(compute: Compute, feeds: Mapping[str, Array]) -> bool:
    counts = {len(array) for array in feeds.values()}
    if len(counts) != 1 or not _differ(feeds):
        return False
    count = counts.pop()
    try:
        together = compute(feeds)
        turned = compute({name: np.roll(array, 1, axis=0) for name, array in feeds.items()})
        alone = [
            compute({name: array[row : row + 1] for name, array in feeds.items()})
            for row in range(count)
        ]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the runtime's classes have no common base
        return False
    return all(
        joined.ndim > 0
        and joined.shape[0] == count
        and _agree(joined, np.roll(turned[place], -1, axis=0))
        and all(_agree(joined[row : row + 1], alone[row][place]) for row in range(count))
        for place, joined in enumerate(together)
    )


def _agree(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    scale = float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one)))
    tolerance = _TOLERANCE[one.dtype.name] * scale
    return bool(np.allclose(one, other, rtol=0.0, atol=tolerance, equal_nan=True))


def _differ(feeds: Mapping[str, Array]) -> bool:
    """Rows that are alike, or one alone, would show nothing."""
    return any((array[1:] != array[:1]).any() for array in feeds.values())


def _shapes(arrays: Sequence[Array]) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape for array in arrays)


def _named(feeds: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in feeds.items()}


def _feeds(
    inputs: Sequence[Field], length: int, given: Mapping[str, Array]
) -> dict[str, Array] | None:
    """Samples, and random numbers where there are none; None where these would be too many."""
    rows = max((len(array) for array in given.values() if array.ndim), default=_ROWS)
    made_up = [field for field in inputs if field.name not in given]
    shapes = {field.name: _shape(field, rows, length) for field in made_up}
    if sum(map(math.prod, shapes.values())) > _MAX_ELEMENTS:
        return None
    return {**given, **random_feeds(made_up, shapes)}


def _shape(field: Field, rows: int, length: int) -> tuple[int, ...]:
    first, rest = field.shape[:1], field.shape[1:]
    return (*(size or rows for size in first), *(size or length for size in rest))


def _sampled(field: Field, sample: Sample) -> Array:
    fits = len(sample.shape) == len(field.shape) and all(
        declared in (0, size) for size, declared in zip(sample.shape, field.shape, strict=True)
    )
    if not fits:
        expected = "x".join(str(size or "any") for size in field.shape) or "one number"
        raise invalid(f"samples.{field.name}"[:200], f"of shape {expected}"[:500], "another shape")
    values = np.array([_value(field, text) for text in sample.values], field.dtype)
    return np.resize(values, sample.shape)


def _value(field: Field, text: str) -> float | int:
    """A value that the type has. Raises ModelInvalid."""
    number = Fraction(text)
    if field.dtype.startswith("float"):
        fits = abs(number) <= Fraction(float(np.finfo(field.dtype).max))
        value: float | int = float(number) if fits else 0.0
    else:
        low, high = (0, 1) if field.dtype == "bool" else _limits(field.dtype)
        fits, value = number.denominator == 1 and low <= number <= high, int(number)
    if not fits:
        raise invalid(f"samples.{field.name}"[:200], f"values of {field.dtype}", text)
    return value


def _limits(dtype: str) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
