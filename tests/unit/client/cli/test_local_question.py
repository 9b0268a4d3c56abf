# SPDX-License-Identifier: Apache-2.0
"""A question to a service at home, in the worker's own code: the answers are those that users would
see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.client import seal_file
from placet.client.drafts.templates import template
from placet.client.keys import PublicKeys
from tests.support.nets import linear

Run = Callable[..., Any]
ROWS = np.arange(40, dtype="f4").reshape(10, 4)
WEIGHTS = np.arange(12, dtype="f4").reshape(4, 3)
LINE = ["run", "serve.toml", "--local", "--model", "model.onnx", "--input", "rows.npy"]


@pytest.fixture
def draft(folder: Path) -> Path:
    """serve.toml as `placet init` writes it, a model, and rows."""
    (folder / "model.onnx").write_bytes(linear())
    owner = PublicKeys.load(folder / "owner.pub.json").hpke
    plain, sealed = folder / "model.onnx", folder / "model.sealed"
    made = seal_file(plain, sealed, owner, kind="model", labels=())
    (folder / "model.object.json").write_bytes(made.to_bytes())
    (folder / "serve.toml").write_text(template("serve").replace('"hospital-a"', '"owner"'))
    np.save(folder / "rows.npy", ROWS)
    return folder / "serve.toml"


def test_answers_are_cut_as_the_terms_say(run: Run, draft: Path) -> None:
    answers = draft.parent / "out" / "answers.npy"
    assert run(*LINE)["files"] == ["out/answers.npy"]
    assert np.load(answers).tolist() == (ROWS @ WEIGHTS).argmax(axis=1).tolist()
    draft.write_text(draft.read_text().replace('"top-class"', '"raw"'))
    run(*LINE, text=True)
    assert np.array_equal(np.load(answers), ROWS @ WEIGHTS)
    (draft.parent / "rows.csv").write_text("0,1,2,3\n0,1,2,3\n")
    run(*LINE[:-1], "rows.csv", "--no-heading")
    assert (draft.parent / "out" / "answers.csv").read_text() == "42.0,48.0,54.0\n" * 2


def test_what_a_worker_would_refuse_is_refused_at_home(run: Run, draft: Path) -> None:
    np.save(draft.parent / "rows.npy", ROWS[:, :3])
    assert "of shape" in run(*LINE, code=2)["error"]["message"]
    assert run(*LINE[:-2], code=2)["error"]["reason"] == "USAGE"
    (draft.parent / "model.onnx").write_bytes(b"no model")
    assert run(*LINE, code=1)["error"]["reason"] == "MODEL_INVALID"
