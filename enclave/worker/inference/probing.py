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
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from placet.enclave.worker.inference.modelfile import invalid
from placet.governance.documents.serving import Field, RowsAre

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
    """rows: how they hang together. shapes: of the outputs, for one row, or as many as are
    fixed."""

    rows: RowsAre
    shapes: tuple[tuple[int, ...], ...]


def probe(compute: Compute, inputs: Sequence[Field]) -> Probe:
    """Run the model. Raises ModelInvalid if it runs on nothing that is tried, MemoryError."""
    free = rows_are_free(inputs)
    for length in _LENGTHS:
        shapes = {field.name: _shape(field, length) for field in inputs}
        if sum(map(math.prod, shapes.values())) > _MAX_ELEMENTS:
            continue
        feeds = _random(inputs, shapes)
        first = {name: array[:1] for name, array in feeds.items()} if free else feeds
        try:
            alone = compute(first)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S112 - the runtime's classes have no common base
            continue
        outputs = tuple(output.shape for output in alone)
        if free:
            rows: RowsAre = "independent" if _independent(compute, feeds) else "dependent"
        else:
            rows = "fixed" if _are_fixed(inputs, outputs) else "dependent"
        return Probe(rows, outputs)
    raise invalid("model", "one that runs", "it fails on every probe")


def _are_fixed(inputs: Sequence[Field], outputs: Sequence[tuple[int, ...]]) -> bool:
    """Whether everything has as many rows, on its first axis, as the model says."""
    counts = {shape[:1] for shape in (*(field.shape for field in inputs), *outputs)}
    return len(counts) == 1 and counts.pop() not in ((), (0,))


def rows_are_free(inputs: Sequence[Field]) -> bool:
    """Whether each input can have any number of rows."""
    return all(field.shape and not field.shape[0] for field in inputs)


def _independent(compute: Compute, feeds: Mapping[str, Array]) -> bool:
    try:
        together = compute(feeds)
        turned = compute({name: np.roll(array, 1, axis=0) for name, array in feeds.items()})
        alone = [
            compute({name: array[row : row + 1] for name, array in feeds.items()})
            for row in range(_ROWS)
        ]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the runtime's classes have no common base
        return False
    return all(
        joined.ndim > 0
        and joined.shape[0] == _ROWS
        and _agree(joined, np.roll(turned[place], -1, axis=0))
        and all(_agree(joined[row : row + 1], alone[row][place]) for row in range(_ROWS))
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


def _shape(field: Field, length: int) -> tuple[int, ...]:
    first, rest = field.shape[:1], field.shape[1:]
    return (*(size or _ROWS for size in first), *(size or length for size in rest))


def _random(inputs: Sequence[Field], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
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
        feeds[field.name] = values.astype(field.dtype)
    return feeds
