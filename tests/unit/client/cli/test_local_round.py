# SPDX-License-Identifier: Apache-2.0
"""A federation's round at home, over arrays in the clear, in the worker's own code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.client.drafts.templates import template
from placet.client.federations import load_state, save_state

Run = Callable[..., Any]
ROSTER = ("hospital-a", "hospital-b", "hospital-c")


@pytest.fixture
def draft(folder: Path) -> Path:
    """federation.toml, three clients' arrays after training, and the model they began from."""
    save_state(folder / "model.npz", {"w": np.ones(4, np.float32), "b": np.ones(2, np.float32)})
    for number, client in enumerate(ROSTER, 1):
        arrays = {
            "w": np.ones(4, np.float32) + np.float32(0.1 * number),
            "b": np.ones(2, np.float32),
        }
        save_state(folder / f"{client}.npz", arrays)
    text = template("federation").replace("model.safetensors", "model.npz")
    (folder / "federation.toml").write_text(text)
    return folder / "federation.toml"


def updates(*clients: str) -> list[str]:
    return [word for client in clients for word in ("--update", f"{client}={client}.npz")]


def test_a_round_of_files_is_what_a_round_would_be(run: Run, draft: Path) -> None:
    line = ["run", "federation.toml", "--local", "--model", "model.npz", *updates(*ROSTER)]
    told = run(*line)
    assert (told["released"], told["left"]) == (True, {})
    assert [float(told["lengths"][c]) for c in ROSTER] == pytest.approx([0.2, 0.4, 0.6], abs=1e-6)
    made = load_state(draft.parent / "out" / "model.npz")
    assert np.allclose(made["w"], 1.2, atol=1e-6) and np.allclose(made["b"], 1)
    run(*line, "--weight", "hospital-c=4")  # (0.1 + 0.2 + 4 * 0.3) / 6
    assert np.allclose(load_state(draft.parent / "out" / "model.npz")["w"], 1.25, atol=1e-6)
    shown = run(*line, text=True)
    assert "hospital-b is 0.4 long" in shown and "count as none" in shown


def test_a_round_of_too_few_gives_no_model(run: Run, draft: Path) -> None:
    line = ["run", "federation.toml", "--local", "--model", "model.npz"]
    told = run(*line, *updates(*ROSTER[:2]), code=1)
    assert told["released"] is False
    assert not (draft.parent / "out").exists()
    for wrong in (["--update", "nobody=model.npz"], [*updates("hospital-a") * 2], []):
        assert run(*line, *wrong, code=2)["error"]["reason"] == "USAGE"


def test_a_clip_far_above_the_updates_is_found_at_home(run: Run, draft: Path) -> None:
    """The federation had finished with a model that was exactly zero."""
    draft.write_text(draft.read_text().replace('clip = "1" ', 'clip = "1e8" '))
    line = ["check", "federation", "federation.toml", "--model", "model.npz", *updates(*ROSTER)]
    told = run(*line, code=1)
    assert told["refused"][0]["details"]["claim"] == "clip"
    draft.write_text(draft.read_text().replace('clip = "1e8" ', 'clip = "0.3" '))
    shown = run(*line, text=True)
    assert "hospital-b is 0.4 long, and was cut to 0.3." in shown
    assert run(*line)["round"]["released"] is True


def test_a_round_keeps_what_its_terms_keep(run: Run, draft: Path) -> None:
    text = draft.read_text().replace("# [buffers]", '[buffers]\nb = "keep"')
    draft.write_text(text)
    arrays = {"w": np.ones(4, np.float32), "b": np.full(2, 9, np.float32)}
    save_state(draft.parent / "hospital-a.npz", arrays)
    line = ["run", "federation.toml", "--local", "--model", "model.npz", *updates(*ROSTER)]
    assert float(run(*line)["lengths"]["hospital-a"]) == 0
    assert (load_state(draft.parent / "out" / "model.npz")["b"] == 1).all()


def test_a_job_is_tried_by_its_draft(run: Run, folder: Path) -> None:
    """Parameters and outputs are those of the file; its inputs are given in the clear."""
    (folder / "program" / "main.py").write_text(PROGRAM)
    (folder / "rows").write_bytes(b"ab")
    run("seal", "rows", "--owner", "owner.pub.json", "--label", "health")
    (folder / "job.toml").write_text(JOB)
    line = ["run", "job.toml", "--local", "--output-dir", "out"]
    assert "takes the inputs rows" in run(*line, code=2)["error"]["message"]
    run(*line, "--input", "rows=rows", text=True)
    assert (folder / "out" / "copy").read_bytes() == b"ababab"
    run(*line, "--input", "rows=rows", "--parameter", "times=1", text=True)
    assert (folder / "out" / "copy").read_bytes() == b"ab"


PROGRAM = """
def main(job):
    with job.output("copy") as output:
        output.write(job.inputs["rows"].read() * job.parameters["times"])
"""
JOB = """
program = "program"
purpose = "research"
reason = "To learn."
valid_for_seconds = 3600
deadline_seconds = 60
parameters.times = 3
outputs.copy.max_bytes = 10
recipients = [{ id = "analyst", key = "analyst.pub.json" }]
[inputs.rows]
object = "rows.object.json"
owner = "owner"
"""
