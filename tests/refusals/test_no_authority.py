# SPDX-License-Identifier: Apache-2.0
"""An authority that cannot start: the console of the host, its log, `placet status` and health say
so, and why."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from placet.client import Home
from tests.support.login import own_channel


def host(world: Any, *flags: str) -> subprocess.Popen[str]:
    """A host on the world's folder."""
    command = [sys.executable, "-m", "placet.host", "--listen", world.address, *flags]
    command += ["--state", str(world.folder / "host"), "--cpu", str(world.folder / "cpu")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def spoil(world: Any) -> None:
    """One bit of the sealed root secret is another."""
    with closing(sqlite3.connect(world.folder / "host" / "placet.db")) as database:
        ((root,),) = database.execute("SELECT wrapped FROM secrets WHERE name = 'root'")
        database.execute(
            "UPDATE secrets SET wrapped = ? WHERE name = 'root'",
            (root[:-1] + bytes([root[-1] ^ 1]),),
        )
        database.commit()


def another_machine(world: Any) -> None:
    (world.folder / "cpu" / "secret").write_bytes(os.urandom(32))


def status(world: Any, folder: Path) -> tuple[int, Any]:
    """What `placet status` says to somebody who knows the council."""
    home = Home(folder)
    home.configure(world.address, world.pin, world.memory.charter)
    words = [sys.executable, "-m", "placet.client", "--home", str(folder), "status", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def health(world: Any) -> int:
    """What the health service says to anybody."""
    certificate = (world.folder / "host" / "tls" / "cert.pem").read_bytes()
    with own_channel(world.address, certificate) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service="placet.ready"), timeout=10)
        return int(answer.status)


@pytest.mark.parametrize(
    ("ruin", "reason"),
    [(spoil, "KEY_UNWRAP_REFUSED"), (another_machine, "KEY_UNWRAP_REFUSED")],
)
def test_all_four_places_say_why(new_world: Any, tmp_path: Path, ruin: Any, reason: str) -> None:
    world = new_world().start()
    world.stop()
    ruin(world)
    process = host(world)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith(f"placet host: The authority cannot go on ({reason}): ")
        why = said.partition("): ")[2].strip()
        code, found = status(world, tmp_path / "home")
        assert code == 1
        assert not found["well"]
        assert why in found["evidence"]
        assert f"reason={reason}" in world.host_log()
        assert health(world) == health_pb2.HealthCheckResponse.NOT_SERVING
        # The reason is said once, though the authority is started again and again.
        world.until(lambda: world.host_log().count(f"reason={reason}") > 2, 30)
    finally:
        process.terminate()
        _, rest = process.communicate(timeout=30)
    assert "cannot go on" not in rest
    assert world.host_log().count("event=ready-again what=authority") == 1  # in its first life


def test_the_origin_of_a_log_is_kept_with_it(new_world: Any) -> None:
    world = new_world().start()
    world.stop()
    other = host(world, "--origin", "another.test/log")
    _, said = other.communicate(timeout=30)
    assert other.returncode == 1
    assert "has the origin refusals.test/log, and --origin says another.test/log" in said
    again = host(world)
    try:
        assert again.stdout is not None
        assert again.stdout.readline().startswith("address ")
        world.until(lambda: world.host_log().count("ready-again what=authority") == 2, 30)
    finally:
        again.terminate()
        again.communicate(timeout=30)
