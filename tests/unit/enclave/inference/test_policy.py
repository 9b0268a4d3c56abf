# SPDX-License-Identifier: Apache-2.0
"""What users see of outputs."""

import numpy as np
import pytest

from placet.enclave.worker.inference.policy import show, shown_field
from placet.governance.documents.serving import Field, Raw, Rounded, Shown, TopClass
from placet.refusals import ModelInvalid

SCORES = np.array([[0.125, 0.5, 0.375], [0.4, 0.4, 0.2]], np.float32)


def test_raw_is_the_output_itself() -> None:
    assert show(Raw("raw"), SCORES) is SCORES


def test_the_top_class_is_the_first_of_equals() -> None:
    shown = show(TopClass("top-class"), SCORES)
    assert shown.dtype == np.int64
    np.testing.assert_array_equal(shown, [1, 0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_that_are_none_have_no_top_class(dtype: str) -> None:
    scores = np.array([[0, np.nan, 2], [np.nan] * 3, [0, np.inf, 2], [0, 1, 2]], dtype)
    assert show(TopClass("top-class"), scores).tolist() == [-1, -1, 1, 2]
    assert show(TopClass("top-class"), scores[0]).tolist() == -1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rounding(dtype: str) -> None:
    """Half to even, at every size that the dtype has; nothing is told of what was rounded away, not
    its sign either."""
    values = np.array([0.125, 0.375, -0.001, 1.5, -2.5, 60000.0, np.inf, np.nan], dtype)
    shown = show(Rounded("rounded", 2), values)
    assert shown.dtype == values.dtype
    expected = np.array([0.12, 0.38, 0.0, 1.5, -2.5, 60000.0, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(shown, expected)
    assert not np.signbit(shown[2])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_nan_says_only_that_it_is_none(dtype: str) -> None:
    """Of its bits half could be somebody's data."""
    values = np.array([np.nan, -np.nan, np.nan], dtype)
    values.view(np.uint8)[2 * values.itemsize] = 7
    assert len({value.tobytes() for value in values}) == 3
    shown = show(Rounded("rounded", 2), values)
    assert {value.tobytes() for value in shown} == {np.array(np.nan, dtype).tobytes()}
    assert show(Rounded("rounded", 2), values[2].reshape(())).tobytes() == shown[0].tobytes()


def test_the_largest_numbers_survive_rounding() -> None:
    values = np.array([np.finfo(np.float64).max, -(2.0**53) - 2], np.float64)
    np.testing.assert_array_equal(show(Rounded("rounded", 6), values), values)


def test_the_offer_says_what_is_shown() -> None:
    scores = Field("p", "float32", (0, 3))
    assert shown_field(Raw("raw"), scores, (1, 3)) == scores
    assert shown_field(Rounded("rounded", 1), scores, (1, 3)) == scores
    assert shown_field(TopClass("top-class"), scores, (1, 3)) == Field("p", "int64", (0,))


@pytest.mark.parametrize(
    ("shown", "field"),
    [
        (Rounded("rounded", 1), Field("y", "int64", (0, 3))),
        (TopClass("top-class"), Field("y", "float32", (0,))),
        (TopClass("top-class"), Field("y", "bool", (0, 3))),
        (TopClass("top-class"), Field("y", "float32", (0, 1))),  # it would always be class 0
    ],
)
def test_what_makes_no_sense_is_refused(shown: Shown, field: Field) -> None:
    with pytest.raises(ModelInvalid) as refused:
        shown_field(shown, field, tuple(size or 1 for size in field.shape))
    assert refused.value.details["claim"] == "answers.y"
