# SPDX-License-Identifier: Apache-2.0
"""Demos as a reader starts them, each once for all tests of a run, whichever process they are
in."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bash(command: str, folder: Path, timeout: int) -> str:
    """What a shell prints for a command, which has to succeed."""
    # Nothing of the `make test` that may have started us: neither its flags nor its variables.
    given = ("MAKE", "MFLAGS", "ARGS", "STATE", "PYTHON")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(given)}
    ran = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env={**environment, "VENV": sys.prefix},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert ran.returncode == 0, f"$ {command}\n{ran.stdout[-3000:]}"
    return ran.stdout


def run(factory: pytest.TempPathFactory, command: str, arguments: str = "") -> tuple[Path, str]:
    """The folder of a demo, where its files lie in `state`, and what it said."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / command.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    said = folder / "said"
    with (folder / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if not said.exists():
            given = ("STATE='{folder}/state' " + arguments).format(folder=folder)
            said.write_text(bash(f"{command} {given}", ROOT, 280))
    return folder, said.read_text()


def whole(factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The whole story."""
    return run(factory, "make demo")


def federation(factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two rounds of the federation instead of fifteen."""
    return run(factory, "make demo-federation", "ARGS='--rounds=2 --plot={folder}/plot.png'")
