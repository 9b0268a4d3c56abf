# SPDX-License-Identifier: Apache-2.0
"""`placet federate join` as clients run it: a process each, on a real host; one is killed with -9
and comes back."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.client import Home

TRAIN = """
import os, pathlib, time
import numpy as np

def train(state, round):
    marks = pathlib.Path(os.environ["MARKS"])
    mark = marks / f"{os.environ['WHO']}-{round}"
    first = not mark.exists()
    mark.touch()
    if os.environ["WHO"] == "eli" and round == 1 and first:
        time.sleep(600)  # until it is killed
    names = ["ana", "bea", "cem", "dia", "eli"]
    step = np.float32(0.001 * (1 + names.index(os.environ["WHO"])))
    return {name: array + step for name, array in state.items()}, 10
"""


class Clients:
    """Homes, key files, and a function that trains."""

    def __init__(self, council: Any, folder: Path) -> None:
        self.council, self.folder = council, folder
        (folder / "train.py").write_text(TRAIN)
        (folder / "marks").mkdir()
        for name, keys in council.clients.items():
            home = Home(folder / name)
            home.configure(
                council.world.address, council.world.pin, council.world.client.log.charter
            )
            keys.save(folder / f"{name}.key")
            home.use_key(folder / f"{name}.key")

    def command(self, name: str, *arguments: str) -> list[str]:
        home = str(self.folder / name)
        return [sys.executable, "-m", "placet.client", "--home", home, *arguments]

    def join(self, name: str, federation: str, *arguments: str) -> subprocess.Popen[str]:
        command = self.command(
            name, "federate", "join", "--simulated", federation, "--key", f"{name}.key"
        )
        return subprocess.Popen(
            [*command, "--train", "train.py:train", *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "WHO": name, "MARKS": str(self.folder / "marks")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def clients(council: Any, tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return Clients(council, tmp_path_factory.mktemp("clients"))


def _ended(process: subprocess.Popen[str]) -> str:
    said, wrong = process.communicate(timeout=120)
    assert process.returncode == 0, said + wrong
    return said


def test_five_join_and_one_is_killed_while_it_trains(council: Any, clients: Clients) -> None:
    federation = council.federation(rounds=2, largest_weight=100, clip="100")
    processes = {name: clients.join(name, federation.id) for name in council.clients}
    mark = clients.folder / "marks" / "eli-1"
    deadline = time.monotonic() + 60
    while not mark.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    processes["eli"].kill()
    processes["eli"].communicate()
    processes["eli"] = clients.join("eli", federation.id)
    for process in processes.values():
        _ended(process)
    assert [len(e["counted"]) for e in federation.entries("close-round")] == [5, 5]
    np.testing.assert_allclose(federation.model(2), 2 * 0.003, atol=1e-6)


def test_what_a_client_fetches_afterwards(council: Any, clients: Clients) -> None:
    federation = council.federation(rounds=1, clip="100")
    for process in [clients.join(name, federation.id, "--once") for name in council.clients]:
        _ended(process)
    federation.until_state("FINISHED")
    shown = subprocess.run(
        clients.command("ana", "runs", federation.id, "--json"),
        capture_output=True,
        text=True,
        check=True,
        cwd=clients.folder,
    )
    assert json.loads(shown.stdout)["state"] == "finished"
    subprocess.run(
        clients.command(
            "ana", "federation", "model", federation.id, "--key", "ana.key", "--out", "model.npz"
        ),
        check=True,
        capture_output=True,
        cwd=clients.folder,
    )
    with np.load(clients.folder / "model.npz") as model:
        np.testing.assert_allclose(model["w"], 0.003, atol=1e-6)
        assert model["w"].shape == (150, 200)
