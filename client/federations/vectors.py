# SPDX-License-Identifier: Apache-2.0
"""A model's arrays as one vector, and back.

A state is a `dict[str, ndarray]` of float32 arrays. Its vector has the arrays one after the other
in the order of the layout, each row by row (C order). Nothing is converted, broadcast or left out
on the way: whatever does not fit is refused by its name.
"""

from collections.abc import Collection, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from placet.client.errors import StateRefused
from placet.governance.documents import Layout, Tensor

Vector = NDArray[np.float32]
State = dict[str, Vector]


def flatten(
    state: Mapping[str, NDArray[Any]], layout: Layout, home: Collection[str] = ()
) -> Vector:
    """The vector of a state: float32 of shape (layout.elements,), a copy. home: arrays that the
    terms leave at home; they may be in the state, and go nowhere.

    Raises `StateRefused` for an array that is missing, unknown, of another type or shape, or not
    finite.
    """
    names = [tensor.name for tensor in layout.tensors]
    missing, unknown = sorted(set(names) - set(state)), sorted(set(state) - {*names, *home})
    if missing or unknown:
        raise StateRefused(
            "The state must have exactly the arrays of the layout. "
            f"Missing: {_listed(missing)}; not in the layout: {_listed(unknown)}. Terms can leave "
            'arrays at home: [buffers] with NAME = "home".',
            claim="state",
            expected=_listed(names),
            actual=_listed(sorted(state)),
        )
    arrays = [_array(tensor, state[tensor.name]) for tensor in layout.tensors]
    return np.concatenate([array.reshape(-1) for array in arrays])


def unflatten(vector: Vector, layout: Layout) -> State:
    """The state of a vector, as copies. Raises `StateRefused` for a vector of another length or
    type."""
    _check(Tensor("vector", (layout.elements,)), vector)
    state: State = {}
    start = 0
    for tensor in layout.tensors:
        end = start + tensor.elements
        state[tensor.name] = vector[start:end].reshape(tensor.shape).copy()
        start = end
    return state


def _array(tensor: Tensor, given: NDArray[Any]) -> Vector:
    # `new - old` of arrays without dimensions is, to NumPy, a number of their type.
    plain = tensor.shape == () and isinstance(cast("object", given), np.generic)
    array = np.asarray(given) if plain else given
    _check(tensor, array)
    return array


def _check(tensor: Tensor, array: NDArray[Any]) -> None:
    found = str(getattr(array, "dtype", type(array).__name__))
    if not isinstance(cast("object", array), np.ndarray) or found != "float32":
        raise _refused(
            tensor, "an array of float32", found, "Convert it: array.astype(numpy.float32)."
        )
    if array.shape != tensor.shape:
        raise _refused(tensor, f"of shape {tensor.shape}", str(array.shape), "Reshape it.")
    if not np.isfinite(array).all():
        raise _refused(
            tensor,
            "finite throughout",
            "NaN or infinity",
            "Nothing was sent. Look at the training, or train with a smaller step.",
            verb="holds",
        )


def _refused(
    tensor: Tensor, expected: str, actual: str, remedy: str, verb: str = "is"
) -> StateRefused:
    return StateRefused(
        f"The array {tensor.name!r} must be {expected}, and {verb} {actual}. {remedy}",
        claim=tensor.name,
        expected=expected,
        actual=actual,
        remedy=remedy,
    )


def _listed(names: list[str]) -> str:
    """Some of the names: a large model has thousands."""
    shown = ", ".join(names[:20])
    return (shown or "none") + (f" and {len(names) - 20} more" if len(names) > 20 else "")
