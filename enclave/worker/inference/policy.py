# SPDX-License-Identifier: Apache-2.0
"""The outputs of a model as users see them. docs/inference.md says what that does and does not
prevent."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from placet.enclave.worker.inference.modelfile import invalid
from placet.governance.documents.serving import Field, Raw, Rounded, Shown, TopClass

NO_CLASS = -1
# From here on a float64 has no decimals to round.
_WHOLE = 2.0**52


def shown_field(shown: Shown, field: Field, found: tuple[int, ...]) -> Field:
    """The output as users see it. found: the shape that it had. Raises ModelInvalid where the
    policy makes no sense for it."""
    floating = field.dtype.startswith("float")
    if isinstance(shown, Rounded) and not floating:
        raise invalid("answers." + field.name, "floats, which can be rounded", field.dtype)
    if isinstance(shown, TopClass):
        # Of one dimension it would be the largest of the rows.
        if len(field.shape) < 2 or field.dtype == "bool":
            expected, actual = "numbers of each class on the last axis", _described(field)
            raise invalid("answers." + field.name, expected, actual)
        if found[-1] == 1:
            expected = "several classes on the last axis (one number: raw, or rounded)"
            raise invalid("answers." + field.name, expected, "one, which would always be shown")
        return replace(field, dtype="int64", shape=field.shape[:-1])
    return field


def show(shown: Shown, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An output as users see it: `output` itself only where it is shown as it is."""
    match shown:
        case Raw():
            return output
        case Rounded():
            return _rounded(output, shown.decimals)
        case TopClass():
            return _top_class(output)


def _top_class(output: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The place of the largest number; of numbers of which one is NaN, NO_CLASS."""
    top = np.asarray(np.argmax(output, axis=-1), np.int64)
    if output.dtype.kind == "f":
        top[np.isnan(output).any(axis=-1)] = NO_CLASS
    return top


def _rounded(output: npt.NDArray[Any], decimals: int) -> npt.NDArray[Any]:
    wide = output.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.where(np.abs(wide) < _WHOLE, np.round(wide, decimals), wide)
    # There are as many NaN as fractions, and only one is shown: the others would tell what is
    # rounded away of numbers.
    near[np.isnan(near)] = np.nan
    # Adding zero makes -0.0 to 0.0: it would tell the sign of what was rounded away.
    rounded: npt.NDArray[Any] = (near + 0.0).astype(output.dtype)
    return rounded


def _described(field: Field) -> str:
    return f"{field.dtype} of rank {len(field.shape)}"
