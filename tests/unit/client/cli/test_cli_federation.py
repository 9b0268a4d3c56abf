# SPDX-License-Identifier: Apache-2.0
"""Federations on the command line: from a file to a model."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from placet.attestation import SIMULATION_SIGNER
from placet.client import Client, Home, Keys
from placet.client.cli import app
from placet.client.drafts.templates import constitution_template, template
from placet.client.federations import UpdateReceipt, load_state, save_state
from placet.governance.terms import decode_terms
from tests.support.inside.federating import faulty
from tests.support.policies import build

Run = Callable[..., Any]
TRAIN = """
import numpy
from beside import STEP

def train(state, round):
    return {name: array + numpy.float32(STEP * round) for name, array in state.items()}, 7

def broken(state, round):
    return {"w": state["w"] * numpy.float32("nan"), "b": state["b"]}, 7

def alone(state, round):
    return state
"""


@pytest.fixture
def run(
    home: Home, people: dict[str, Keys], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run a command line in a folder of its own, at the owner's home; checks the exit code and
    returns the JSON that it wrote."""
    own = home.folder / "owner.key"
    people["owner"].save(own)
    home.use_key(own)
    monkeypatch.chdir(tmp_path)
    for name in ("PLACET_HOME", "PLACET_KEY", "PLACET_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def line(*arguments: str, code: int = 0, text: bool = False) -> Any:
        given = ["--home", str(home.folder), *arguments, *([] if text else ["--json"])]
        result = CliRunner().invoke(app, given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return (
            result.output if text else json.loads(result.stdout or result.stderr.splitlines()[-1])
        )

    return line


@pytest.fixture
def federation(run: Run, tmp_path: Path, people: dict[str, Keys]) -> str:
    """A council, and a federation that it voted for, by commands; its id."""
    for id, keys in people.items():
        keys.save(tmp_path / f"{id}.key")
    text = constitution_template(build(), SIMULATION_SIGNER)
    party = '\n[[parties]]\nid = "owner"\norganisation = "hospital-b"\nkeys = ["owner.pub.json"]\n'
    text = text.replace("# Every rule that applies", party + "\n# Every rule that applies")
    text = text.replace('actions = ["job"]', 'actions = ["job", "federate"]')
    (tmp_path / "constitution.toml").write_text(text)
    run("charter", "draft", "constitution.toml", "-o", "charter.json")
    for seat in ("alice", "bob"):
        run("charter", "sign", "charter.json", "--key", f"{seat}.key", "--yes")
    run("charter", "submit", "charter.json")
    save_state(
        tmp_path / "model.safetensors",
        {"w": np.zeros((4, 2), np.float32), "b": np.zeros(2, np.float32)},
    )
    text = template("federation").replace(
        '["hospital-a", "hospital-b", "hospital-c"]', '["alice", "bob", "owner"]'
    )
    text = text.replace("rounds = 15", "rounds = 2").replace(
        "smallest_cohort = 3", "smallest_cohort = 2"
    )
    (tmp_path / "federation.toml").write_text(text)
    (tmp_path / "beside.py").write_text("STEP = 0.01\n")
    (tmp_path / "train.py").write_text(TRAIN)
    id = str(run("propose", "federation.toml", "--key", "analyst.key")["proposal"])
    for seat in ("alice", "bob"):
        run("vote", id, "placet", "--key", f"{seat}.key", "--yes")
    return id


def test_from_a_file_to_a_model(run: Run, federation: str, host: Any, tmp_path: Path) -> None:
    assert run("runs") == []
    terms = host.core.ledger.proposal(federation).document.federate
    written = run("terms", "federation.toml")
    assert written == {"terms": terms.launch_digest, "file": "terms.json"}
    assert decode_terms((tmp_path / "terms.json").read_bytes()) == terms
    host.hold_workers()
    started = run("start", federation)
    own = started["federate"]
    assert (started["state"], own["round"], own["rounds"]) == ("running", 1, 2)
    assert (own["aggregating"], own["model_round"]) == (False, 0)
    assert run("runs", "--action", "federate") == [started]
    assert federation[7:19] in run("runs", text=True)
    for name in ("alice", "bob", "owner"):
        if name == "owner":
            assert "2 of 3 update(s)" in run("runs", federation, text=True)
        told = run(
            "federate", "join", "--simulated", federation[7:19], "--key", f"{name}.key", "--train",
            "train.py:train", "--once", "--receipts", f"{name}-receipts",
        )  # fmt: skip
        assert told["rounds"] == [1]
    kept = UpdateReceipt.from_bytes((tmp_path / "alice-receipts/round-1.update.json").read_bytes())
    assert kept.verify(host.state.charter).update.client == "alice"
    verified = run("verify", "update", "alice-receipts/round-1.update.json")
    assert verified["update"]["round"] == 1
    run("verify", "update", "charter.json", code=2)
    shown = run("runs", federation)
    assert [m["updated"] for m in shown["federate"]["members"]] == [True] * 3
    assert shown["federate"]["aggregating"] and shown["federate"]["round"] == 1
    host.free_workers()
    until_model(run, federation, 1)
    found = run(
        "federation",
        "model",
        federation,
        "--key",
        "bob.key",
        "-o",
        "new.npz",
        "--receipt",
        "r.json",
    )
    assert (found["round"], found["marks"]) == (1, ["SIMULATED", "UNWITNESSED"])
    state = load_state(tmp_path / "new.npz")
    assert np.allclose(state["w"], 0.01) and state["w"].shape == (4, 2)
    assert run("verify", "receipt", "r.json")["digest"] == found["receipt"]
    held = run("verify", "receipt", "r.json", "--file", found["file"], "--key", "bob.key")
    assert held["file"]["output"] == "model"
    for name in ("alice", "bob", "owner"):
        run(
            "federate", "join", "--simulated", federation, "--key", f"{name}.key", "--train",
            "train.py:train", "--once",
        )  # fmt: skip
    assert run("watch", federation)["state"] == "finished"


def until_model(run: Run, federation: str, number: int) -> None:
    """Wait until the host tells of the model of a round."""
    while run("runs", federation)["federate"]["model_round"] < number:
        time.sleep(0.02)


def test_join_goes_on_until_the_federation_ends(
    run: Run, federation: str, home: Home, people: dict[str, Keys]
) -> None:
    run("start", federation)

    def others() -> None:
        """They take part as well, until it ends."""
        with Client.at_home(home, simulated=True) as client:
            joined = [client.federations.join(federation, people[n]) for n in ("bob", "owner")]
            for both in zip(*(each.rounds() for each in joined), strict=True):
                for round in both:
                    round.send(round.model())

    beside = threading.Thread(target=others)
    beside.start()
    told = run(
        "federate",
        "join",
        "--simulated",
        federation,
        "--key",
        "alice.key",
        "--train",
        "train.py:train",
    )
    beside.join(timeout=30)
    assert told["rounds"] == [1, 2]


def test_what_cannot_be_sent_ends_the_command(run: Run, federation: str, host: Any) -> None:
    run("start", federation)
    join = ("federate", "join", "--simulated", federation, "--key", "alice.key", "--train")
    assert run(*join, "train.py:broken", code=2)["error"]["reason"] == "STATE_REFUSED"
    for name in ("train.py", "train.py:missing", "other.py:train", ":train"):
        assert run(*join, name, code=2)["error"]["reason"] == "USAGE"
    assert "a pair" in run(*join, "train.py:alone", code=2)["error"]["message"]
    for bound in ("--epsilon", "--delta"):
        told = run(*join, "train.py:train", bound, "1", code=2)["error"]["message"]
        assert "--epsilon and --delta" in told
    assert run(*join, "train.py:train", "--weight", "many", code=2)["error"]["reason"] == "USAGE"
    assert run(*join, "train.py:train", "--weight", "10001", code=2)["error"]["reason"] == "USAGE"
    assert "Federations.Update" not in host.called
    refused = run(
        "federate",
        "join",
        "--simulated",
        federation,
        "--key",
        "analyst.key",
        "--train",
        "train.py:train",
        code=1,
    )
    assert refused["error"]["reason"] == "NOT_ON_ROSTER"


def test_once_stops_for_who_is_quarantined(run: Run, federation: str) -> None:
    run("start", federation)
    once = ("--train", "train.py:train", "--once")
    with faulty("NORM_EXCEEDED"):
        run("federate", "join", "--simulated", federation, "--key", "alice.key", *once)
    for name in ("bob", "owner"):
        run("federate", "join", "--simulated", federation, "--key", f"{name}.key", *once)
    while run("runs", federation)["federate"]["round"] < 2:
        time.sleep(0.02)
    refused = run(
        "federate", "join", "--simulated", federation, "--key", "alice.key", *once, code=1
    )
    assert refused["error"]["reason"] == "CLIENT_QUARANTINED"
    assert refused["error"]["details"]["actual"] == "NORM_EXCEEDED"
    shown = run("runs", federation)["federate"]["members"][0]
    assert (shown["client"], shown["quarantined_until"], shown["why"]) == (
        "alice",
        4,
        "NORM_EXCEEDED",
    )


def test_a_model_becomes_a_vector(run: Run, tmp_path: Path) -> None:
    save_state(tmp_path / "m.npz", {"b": np.arange(3, dtype=np.float32)})
    assert run("federation", "vector", "m.npz", "-o", "m.f32")["elements"] == 3
    assert np.frombuffer((tmp_path / "m.f32").read_bytes(), "<f4").tolist() == [0, 1, 2]
