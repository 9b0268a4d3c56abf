# SPDX-License-Identifier: Apache-2.0
"""Answers cost a ration: a call that breaks off keeps them, and the same call goes on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from placet.client import Client, FileRefused, Keys, ServedModel
from placet.refusals import Refused
from tests.support.inside.questions import Questions

WEIGHTS = np.arange(12, dtype="f4").reshape(4, 3)
ROWS = np.arange(400, dtype="f4").reshape(100, 4)
QUESTIONS = 25  # of four rows


@pytest.fixture
def model(
    founded: Client, serve: Callable[..., str], people: dict[str, Keys], questions: Questions
) -> ServedModel:
    return founded.services.open(serve(), user=people["analyst"], patience=5)


def broken_off(model: ServedModel, questions: Questions, keep: Path) -> int:
    """How many questions were answered before the ration was over."""
    told = [0]
    questions.refusals = [*[None] * 9, "ANSWERS_USED_UP"]
    with pytest.raises(Refused):
        model.predict(ROWS, keep=keep, progress=lambda done, _: told.append(done // 4))
    assert 0 < told[-1] < QUESTIONS
    return told[-1]


def again(model: ServedModel, questions: Questions, keep: Path) -> int:
    """How many questions are asked to have all answers, which are right."""
    before = len(questions.asked)
    assert np.array_equal(model.predict(ROWS, keep=keep), ROWS @ WEIGHTS)
    return len(questions.asked) - before


def test_the_same_call_goes_on_and_pays_for_nothing_twice(
    model: ServedModel, questions: Questions, tmp_path: Path
) -> None:
    keep = tmp_path / "answers.part"
    answered = broken_off(model, questions, keep)
    assert keep.stat().st_mode & 0o777 == 0o600
    assert again(model, questions, keep) == QUESTIONS - answered
    assert again(model, questions, keep) == 0  # until the caller removes the file


@pytest.mark.parametrize("cut", [1, 40, 100])
def test_an_answer_that_a_crash_cut_off_is_asked_for_again(
    model: ServedModel, questions: Questions, tmp_path: Path, cut: int
) -> None:
    keep = tmp_path / "answers.part"
    answered = broken_off(model, questions, keep)
    whole = keep.read_bytes()
    keep.write_bytes(whole[:-cut])
    assert QUESTIONS - answered < again(model, questions, keep) <= QUESTIONS - answered + 2
    changed = bytearray(whole)
    changed[-1] ^= 1
    keep.write_bytes(changed)
    assert again(model, questions, keep) == QUESTIONS - answered + 1


def test_answers_to_other_rows_are_not_taken_and_not_lost(
    model: ServedModel, questions: Questions, tmp_path: Path
) -> None:
    keep = tmp_path / "answers.part"
    broken_off(model, questions, keep)
    kept = keep.read_bytes()
    for rows in (ROWS + 1, ROWS[:-4]):
        with pytest.raises(FileRefused):
            model.predict(rows, keep=keep)
    assert keep.read_bytes() == kept
    keep.write_bytes(b"notes of mine")
    with pytest.raises(FileRefused):
        model.predict(ROWS, keep=keep)
    assert keep.read_bytes() == b"notes of mine"


def test_a_file_without_answers_does_not_stay(
    model: ServedModel, questions: Questions, tmp_path: Path
) -> None:
    questions.refusals = ["ANSWERS_USED_UP"] * QUESTIONS
    with pytest.raises(Refused):
        model.predict(ROWS, keep=tmp_path / "answers.part")
    assert not (tmp_path / "answers.part").exists()
