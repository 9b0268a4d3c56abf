# SPDX-License-Identifier: Apache-2.0
"""Many clients at once at a host with few places: each update arrives, and is sealed once, whatever
comes between sealing and sending."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.client import Client, CouncilMemory, Home
from placet.governance.documents import Layout, Tensor, Update
from placet.governance.envelope import inspect
from placet.proto.v1 import blobs_pb2
from tests.federation.conftest import Council

CROWD = tuple(f"clinic-{n:02d}" for n in range(40))
LAYOUT = Layout((Tensor("w", (512, 256)),), "float32", 65536)
TRAIN = """
import os, pathlib

def train(state, round):
    with pathlib.Path(os.environ["MARKS"]).open("a") as marks:
        marks.write("trained\\n")
    return {name: array + 0.01 for name, array in state.items()}, 1
"""
# As `placet`, but killed when it would begin to send.
KILLED = """
import os, signal, sys
from placet.client.federations.exchange import Exchange

async def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

Exchange.send = die
from placet.client.cli import main
main()
"""


@pytest.fixture(scope="module")
def crowd(new_world: Callable[..., Any]) -> Council:
    """Forty clinics, and a host that takes in four uploads at a time."""
    return Council(new_world(max_workers=3, flags=("--max-puts", "4")), CROWD)


@pytest.fixture(scope="module")
def narrow(new_world: Callable[..., Any]) -> Council:
    """A host that takes in one upload at a time and lets nobody wait for long."""
    flags = ("--max-puts", "1", "--put-wait-seconds", "0.2")
    return Council(new_world(max_workers=3, flags=flags))


def test_forty_clients_at_once_all_arrive(crowd: Council, tmp_path: Path) -> None:
    federation = crowd.federation(rounds=1, round_seconds=300, layout=LAYOUT, clip="100")
    world, ready = crowd.world, threading.Barrier(len(CROWD), timeout=240)

    def take_part(name: str) -> int:
        memory = CouncilMemory(tmp_path / name)
        memory.pin(world.client.log.charter)
        with Client.connect(
            world.address,
            world.pin,
            memory=memory,
            simulated=True,
            keys=crowd.clients[name],
        ) as client:
            joined = client.federations.join(federation.id, crowd.clients[name], patience=120)
            round = next(joined.rounds())
            state = {name: array + np.float32(0.01) for name, array in round.model().items()}
            ready.wait()
            return round.send(state).index

    with ThreadPoolExecutor(len(CROWD)) as threads:
        sent = list(threads.map(take_part, CROWD))
    assert len(set(sent)) == len(CROWD)
    assert federation.until_over(1).released
    [closed] = federation.entries("close-round")
    assert len(closed["counted"]) == len(CROWD)


def test_an_update_waits_in_the_outbox_until_there_is_a_place(
    narrow: Council, tmp_path: Path
) -> None:
    federation = narrow.federation(rounds=1, round_seconds=300, layout=LAYOUT, clip="100")
    world, first = narrow.world, blobs_pb2.PutHeader(id=os.urandom(16).hex(), length=9)
    first.sha256 = bytes(32)
    gone = threading.Event()

    def silent() -> Any:
        yield blobs_pb2.PutRequest(header=first)
        gone.wait(60)

    held = world.stubs.blobs.Put.future(silent(), metadata=world.metadata)
    client, outbox = world.client, tmp_path / "outbox"
    joined = client.federations.join(
        federation.id, narrow.clients["ana"], outbox=outbox, patience=0.1
    )
    round = next(joined.rounds())
    threading.Timer(4, held.cancel).start()
    receipt = round.send(round.model())
    assert receipt.update.round == 1
    assert not list(outbox.iterdir())
    gone.set()


def test_what_was_sealed_before_a_kill_is_sent_and_nothing_is_trained_again(
    narrow: Council, tmp_path: Path
) -> None:
    world, marks = narrow.world, tmp_path / "marks"
    federation = narrow.federation(rounds=1, round_seconds=300, layout=LAYOUT, clip="100")
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "killed.py").write_text(KILLED)
    home = Home(tmp_path / "home")
    home.configure(world.address, world.pin, world.client.log.charter)
    narrow.clients["bea"].save(tmp_path / "bea.key")

    def join(*program: str) -> subprocess.CompletedProcess[str]:
        command = ["--home", str(home.folder), "federate", "join", "--simulated", federation.id]
        options = ["--key", "bea.key", "--train", "train.py:train", "--once"]
        return subprocess.run(
            [sys.executable, *program, *command, *options],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "MARKS": str(marks)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert join("killed.py").returncode == -9
    [sealed] = home.outbox.glob("*.sealed")
    kept = sealed.read_bytes()
    assert not federation.entries("update")
    resumed = join("-m", "placet.client")
    assert resumed.returncode == 0, resumed.stderr
    assert "an update was sealed before" in resumed.stdout + resumed.stderr
    [entry] = federation.entries("update")
    update = inspect(world.client.log.document(entry["update"]), Update)
    there = world.client.blobs.get(update.object, tmp_path / "there")
    assert there.read_bytes() == kept
    assert marks.read_text() == "trained\n"
    assert not list(home.outbox.iterdir())
