# SPDX-License-Identifier: Apache-2.0
"""A wheel built from a clean copy of the sources, and small environments to try it in.

Environments are kept in build/packaging under a name made of what was asked for, so that only the
first run pays for them.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_SOURCES = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "build", "dist", "*.egg-info", "__pycache__", "*.so"
)

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

Environment = Callable[..., Path]
Run = Callable[..., str]


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd)
    if done.returncode != 0:
        pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs a command and returns what it printed; a failed one fails the test and is quoted."""
    return _run


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without anything that was built in it."""
    copy = tmp_path_factory.mktemp("sources") / "placet"
    shutil.copytree(ROOT, copy, ignore=NOT_SOURCES, symlinks=True)
    return copy


@pytest.fixture(scope="session")
def build_wheel() -> Callable[[Path, Path], Path]:
    """Builds a folder's wheel into another folder, as `make` does: with the locked setuptools."""

    def build(sources: Path, folder: Path) -> Path:
        options = ("--no-build-isolation", "--no-deps", "--wheel-dir")
        _run(*PIP, "wheel", *options, folder, sources)
        [wheel] = folder.glob("*.whl")
        return wheel

    return build


@pytest.fixture(scope="session")
def wheel(
    build_wheel: Callable[[Path, Path], Path],
    sources: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    return build_wheel(sources, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents as an installer lays them out in site-packages."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def registry() -> None:
    """Skips what needs the package registry where there is none to be reached."""
    probe = subprocess.run(
        [*PIP, "--retries", "0", "--timeout", "15", "--no-cache-dir", "install"]
        + ["--dry-run", "--ignore-installed", "--no-deps", "typing-extensions"],
        check=False,
        capture_output=True,
    )
    if probe.returncode != 0:
        pytest.skip("the package registry cannot be reached from here")


@pytest.fixture(scope="session")
def enclave(registry: None) -> Path:
    """The build of the enclaves that `make enclave` makes, once for all tests and runs."""
    given = ("MAKE", "MFLAGS", "ARGS", "STATE", "PYTHON", "AEAD", "ENCLAVE", "CFLAGS")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(given)}
    folder = ROOT / "build" / "enclave" / f"tests-{sys.version_info[0]}.{sys.version_info[1]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = ["make", "enclave", f"VENV={sys.prefix}", f"ENCLAVE={folder}"]
    with (folder.parent / "tests.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def environment(registry: None) -> Environment:
    """Makes an environment that holds exactly what pip's arguments say; returns its interpreter."""

    def make(*pip_arguments: str, inputs: bytes = b"") -> Path:
        key = hashlib.sha256(repr((sys.version, pip_arguments)).encode() + inputs)
        folder = ROOT / "build" / "packaging" / key.hexdigest()[:16]
        python = folder / "bin" / "python"
        if not folder.exists():
            unfinished = folder.with_suffix(f".{os.getpid()}")
            venv.create(unfinished, with_pip=False, symlinks=True)
            interpreter = unfinished / "bin" / "python"
            options = ("--quiet", "--no-compile")  # little of it is ever imported
            _run(*PIP, "--python", interpreter, "install", *options, *pip_arguments)
            try:
                unfinished.rename(folder)
            except OSError:  # another process of this run has made it meanwhile
                shutil.rmtree(unfinished)
        assert python.exists()
        return python

    return make
