# SPDX-License-Identifier: Apache-2.0
"""The folder that an enclave finds itself in under Gramine, as a command sees it that stands for
Gramine."""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from placet.host import LaunchOrder
from placet.host.enclaves.gramine import GramineLauncher

PROGRAM = "ab" * 32
# Says what it was started with, and what lies where it was started.
COMMAND = """#!{python} -I
import json, os, sys
from pathlib import Path
found = {{str(p): p.read_text() for p in sorted(Path().rglob("*")) if p.is_file()}}
print(json.dumps([sys.argv[1:], found]), file=sys.stderr)
"""


class Deaf:
    """A quoting service that nobody asks anything."""

    def __init__(self, enclave: str = "worker") -> None:
        self._enclave = enclave

    def serve(self, enclave: str, launched_for: str, reader: BinaryIO, writer: BinaryIO) -> None:
        assert (enclave, launched_for, reader.read()) == (self._enclave, f"sha256:{PROGRAM}", b"")


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """Manifests as deploy/gramine leaves them, signed for SGX too."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "authority.manifest").write_text("authority")
    (folder / "worker.manifest").write_text(f"worker of {'0' * 64}")
    (folder / "authority.manifest.sgx").write_text("signed authority")
    (folder / "authority.sig").write_text("signature")
    return folder


@pytest.fixture
def command(tmp_path: Path) -> str:
    """What stands for Gramine."""
    path = tmp_path / "gramine"
    path.write_text(COMMAND.format(python=sys.executable))
    path.chmod(0o755)
    return str(path)


def order(folder: Path, role: str) -> LaunchOrder:
    (folder / "cert.pem").write_text("certificate")
    (folder / "bundle").write_text("program")
    worker = role == "worker"
    return LaunchOrder(
        role=role,
        token="t",
        address="127.0.0.1:1",
        certificate=folder / "cert.pem",
        origin="a/log",
        log=folder / "log",
        launched_for=f"sha256:{PROGRAM}" if worker else "",
        bundle=folder / "bundle" if worker else None,
        scratch=folder / "worker" / "scratch" if worker else None,
    )


def started(folder: Path, work: Coroutine[Any, Any, Any]) -> Any:
    """What the command said."""

    async def body() -> None:
        assert await (await work).wait() == 0

    asyncio.run(body())
    return json.loads((folder / "log").read_text().splitlines()[-1])


def test_direct_fills_in_the_program_of_a_worker(
    tmp_path: Path, manifests: Path, command: str
) -> None:
    launcher = GramineLauncher(command, manifests, tmp_path / "tmp", service=Deaf())
    words, files = started(tmp_path, launcher.launch(order(tmp_path, "worker")))
    assert words == ["enclave"]
    assert files == {
        "enclave.manifest": f"worker of {PROGRAM}",
        "launch/arguments": "--host\n127.0.0.1:1\n--cert\n/launch/cert.pem\n--token\nt\n",
        "launch/bundle": "program",
        "launch/cert.pem": "certificate",
        "launch/log": "",
    }
    (manifests / "federation.manifest").write_text(f"federation {'0' * 64}")
    federation = order(tmp_path, "worker")
    (tmp_path / "bundle").write_text("{}")
    _, files = started(tmp_path, launcher.launch(federation))
    assert files["enclave.manifest"] == f"federation {PROGRAM}"
    (manifests / "worker-onnx.manifest").write_text(f"models {'0' * 64}")
    launcher = GramineLauncher(command, manifests, tmp_path / "tmp", service=Deaf("worker[onnx]"))
    _, files = started(tmp_path, launcher.launch(replace(federation, variant="onnx")))
    assert files["enclave.manifest"] == f"models {PROGRAM}"
    launcher = GramineLauncher(command, manifests, tmp_path / "tmp", service=Deaf())
    (manifests / f"worker-{PROGRAM}.manifest").write_text("its own")
    _, files = started(tmp_path, launcher.launch(order(tmp_path, "worker")))
    assert files["enclave.manifest"] == "its own"


def test_sgx_takes_what_was_signed_and_nothing_else(
    tmp_path: Path, manifests: Path, command: str
) -> None:
    collateral = tmp_path / "collateral.json"
    collateral.write_text("of today")
    launcher = GramineLauncher(command, manifests, tmp_path / "tmp", collateral=collateral)
    for content in ("of today", "renewed"):
        collateral.write_text(content)
        _, files = started(tmp_path, launcher.launch(order(tmp_path, "authority")))
        assert files["launch/collateral.json"] == content
    assert files["enclave.manifest.sgx"] == "signed authority"
    assert files["enclave.sig"] == "signature"
    assert "enclave.manifest" not in files
    assert files["launch/arguments"].endswith("--origin\na/log\n")
    assert os.path.islink(tmp_path / "tmp" / "authority" / "launch" / "collateral.json")
    with pytest.raises(FileNotFoundError, match="make gramine"):
        asyncio.run(launcher.launch(order(tmp_path, "worker")))
