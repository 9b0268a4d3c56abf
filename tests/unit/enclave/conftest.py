# SPDX-License-Identifier: Apache-2.0
"""The interpreter of enclaves, hosts that live as long as a module, and stories in one process."""

import asyncio
import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Coroutine, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from placet.builds.measurement import LOCKS, measure
from tests.support.council import Council
from tests.support.live import Loop, Running, live_host
from tests.support.machines.machine import Machine
from tests.support.memory_host import memory_host
from tests.support.scene import Scene

ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "enclave" / "requirements.txt"
ONNX_LOCK = ROOT / "enclave" / "requirements-onnx.txt"
COMPONENTS = ("attestation", "enclave", "governance", "proto", "refusals", "sealing")


def _build(folder: Path, lock: Path) -> None:
    """A venv with a lock, by hash, and nothing else: pip itself goes as well."""
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--require-hashes", "--no-deps", "-r", str(lock)], check=True)
    subprocess.run([*pip, "uninstall", "--yes", "setuptools", "pip"], check=True)


@pytest.fixture(scope="session")
def python() -> str:
    """The python of a venv that holds the enclave's lock, and Placet's trusted components as they
    are now."""
    return _interpreter(LOCK)


@pytest.fixture(scope="session")
def onnx_python() -> str:
    """The same with the lock of workers that serve models."""
    return _interpreter(ONNX_LOCK)


def _interpreter(requirements: Path) -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    key = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:16]
    folder = ROOT / "build" / f"enclave-venv-{key}"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "enclave-venv.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _build(folder, requirements)
            (folder / "complete").touch()
        # Another process of this run may be using what it has installed.
        installed, wanted = folder / "installed", "\n".join(measure(one) for one in LOCKS)
        if not installed.exists() or installed.read_text() != wanted:
            installed.unlink(missing_ok=True)
            major = f"python{sys.version_info[0]}.{sys.version_info[1]}"
            _install(folder / "lib" / major / "site-packages" / "placet")
            installed.write_text(wanted)
    return str(folder / "bin" / "python")


def _install(target: Path) -> None:
    """The files of the trusted components, as a wheel would lay them out."""
    shutil.rmtree(target, ignore_errors=True)
    for name in COMPONENTS:
        spec = find_spec(f"placet.{name}")
        assert spec is not None
        assert spec.submodule_search_locations
        source = Path(next(iter(spec.submodule_search_locations)))
        shutil.copytree(
            source, target / name, ignore=shutil.ignore_patterns("__pycache__", "kernel", "*.c")
        )


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Starts hosts that live as long as the module."""
    loop, stacks = Loop(), list[Any]()

    def begin(council: Council | None = None, **settings: Any) -> Running:
        folder = tmp_path_factory.mktemp("live")
        manager = live_host(folder, council or Council(), **settings)
        live = loop.run(manager.__aenter__())
        stacks.append(manager)
        return Running(loop, live)

    yield begin
    for manager in stacks:
        loop.run(manager.__aexit__(None, None, None))
    loop.close()


@pytest.fixture(scope="module")
def running(start: Callable[..., Running]) -> Running:
    """One founded host for the module."""
    return start()


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., None]:
    """Runs a story with a founded council: `scene(story)`."""

    def play(
        story: Callable[[Scene], Coroutine[Any, Any, None]],
        council: Council | None = None,
        found: bool = True,
    ) -> None:
        async def run() -> None:
            machine = Machine()
            try:
                async with memory_host(tmp_path) as host:
                    stage = Scene(host, machine, council or Council())
                    if found:
                        await stage.found()
                    await story(stage)
                    for connection in stage.connections:
                        await connection.close()
                    await stage.end()
            finally:
                machine.close()

        asyncio.run(asyncio.wait_for(run(), 30))

    return play
