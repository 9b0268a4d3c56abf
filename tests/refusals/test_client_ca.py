# SPDX-License-Identifier: Apache-2.0
"""Where an operator wants it, nobody comes in without a certificate of the operator's CA; who comes
in logs in as everywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from placet.client import Client, CouncilMemory, FileRefused, Home, HostUnreachable
from placet.governance.documents import Stop
from placet.governance.envelope import sign
from placet.proto.limits import GRPC_OPTIONS
from placet.proto.v1 import governance_pb2, governance_pb2_grpc, log_pb2, log_pb2_grpc
from tests.support.issuer import Issuer

CA = Issuer()
MEMBER = CA.issue("member")
# Of another CA that has the name of the first.
OTHERS = Issuer().issue("member")


@pytest.fixture(scope="module")
def world(new_world: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A host that asks for certificates, whose enclaves come in without one."""
    file = tmp_path_factory.mktemp("ca") / "callers.pem"
    file.write_bytes(CA.pem)
    return new_world(flags=("--client-ca", str(file)), certificate=MEMBER).start()


def channel(world: Any, own: bytes) -> Any:
    """A connection of a stranger's."""
    tls = grpc.ssl_channel_credentials(
        (world.folder / "host" / "tls" / "cert.pem").read_bytes(), own or None, own or None
    )
    options = (*GRPC_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
    return grpc.secure_channel(world.address, tls, options=options)


@pytest.mark.parametrize("own", [b"", OTHERS], ids=["none", "another CA's"])
def test_without_a_certificate_no_call_arrives(world: Any, own: bytes) -> None:
    with channel(world, own) as opened:
        log: Any = log_pb2_grpc.LogStub(opened)
        governance: Any = governance_pb2_grpc.GovernanceStub(opened)
        proposal = world.propose(world.job(world.bundle(world.copy).digest, {"data": world.data()}))
        stop = sign(
            Stop(world.header(), "cleo", "veto", proposal, "No."), world.seats["cleo"].signing
        )
        asked: tuple[tuple[Any, Any], ...] = (
            (log.GetCheckpoint, log_pb2.GetCheckpointRequest()),
            (governance.Stop, governance_pb2.DocumentRequest(envelope=stop)),
        )
        for call, request in asked:
            with pytest.raises(grpc.RpcError) as caught:
                call(request, metadata=world.metadata)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not world.client.log.ledger().state.proposals[proposal].stopped
    with (
        pytest.raises(HostUnreachable, match="asks for a certificate"),
        Client.connect(
            world.address, world.pin, memory=world.memory, keys=world.owner, certificate=own
        ) as client,
    ):
        client.runs.list()


def test_with_one_everything_goes_as_everywhere(world: Any) -> None:
    ticket = world.ticket(world.job(world.bundle(world.copy).digest, {"data": world.data()}))
    job = world.client.runs.wait(world.client.runs.start(ticket).id)
    assert job.state == "finished" and len(world.output(job.id)) == 100
    proposal = world.propose(world.job(world.bundle(world.copy).digest, {"data": world.data()}))
    with Client.connect(
        world.address, world.pin, memory=world.memory, certificate=CA.issue("cleo")
    ) as cleo:
        # The certificate is no login.
        world.refused(lambda: cleo.runs.list(), "LOGIN_REQUIRED")
        cleo.council.stop(world.seats["cleo"], "veto", proposal, reason="No.")
    assert world.client.log.ledger().state.proposals[proposal].stopped == "veto"


def test_a_file_that_is_no_certificate_with_its_key(world: Any) -> None:
    for wrong in (b"no PEM", CA.pem, OTHERS[: len(OTHERS) // 2] + MEMBER):
        with pytest.raises(FileRefused, match="certificate, and its key"):
            Client.connect(
                world.address, world.pin, memory=CouncilMemory(), certificate=wrong
            ).close()


def test_a_home_keeps_the_certificate(world: Any, tmp_path: Path) -> None:
    (tmp_path / "member.pem").write_bytes(MEMBER)
    (tmp_path / "others.pem").write_bytes(OTHERS)
    world.analyst.save(tmp_path / "analyst.key")

    def run(line: str, code: int = 0, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "placet.client", *line.split()],
            cwd=tmp_path,
            env={**os.environ, "PLACET_HOME": "home", "PLACET_KEY": "analyst.key", **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    (tmp_path / "ca.pem").write_bytes(CA.pem)
    home = f"init --host {world.address} --charter {world.memory.charter}"
    run(f"{home} --pin {world.pin}")
    assert "asks for a certificate" in run("runs", 3)
    run(f"{home} --pin {world.pin} --certificate ca.pem", 2)
    # The host shows its own certificate to anybody: the pin can be looked up.
    run(f"{home} --yes --certificate member.pem")
    run("runs")
    run("doctor")
    run("runs", 3, PLACET_CERTIFICATE="others.pem")
    run(f"{home} --pin {world.pin}")  # and the certificate stays
    assert Home(tmp_path / "home").certificate() == MEMBER
    said = json.loads(run("config --json", PLACET_CERTIFICATE="others.pem"))
    found = {each["setting"]: (each["value"], each["whence"]) for each in said}
    assert found["certificate"] == ("others.pem", "PLACET_CERTIFICATE")
