# SPDX-License-Identifier: Apache-2.0
"""`make enclave`: one commit has one measurement, whatever the machine has besides; and it is what a host runs."""

import contextlib
import importlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from placet.attestation.measurement import (
    COMPONENTS,
    ENVIRONMENTS,
    LOCKS,
    interpreter,
    measure,
    measure_folders,
    measured_files,
)
from placet.client.builds import Build, read_build

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))

from hospitals import Council, running_host
from shares import load_shares

pytestmark = pytest.mark.timeout(600)

Run = Callable[..., str]

# Under the enclave's interpreter: all that can be imported there, and where Placet's comes from.
INSTALLED = """
import importlib.metadata, sys
print(*sorted(one.name.lower().replace("_", "-") for one in importlib.metadata.distributions()))
"""
HEADER = "#error this header is of another machine's library\n"


@pytest.fixture(scope="module")
def made(enclave: Path) -> Build:
    """What the build that the tests share was made of; its measurements have been taken again."""
    return read_build(enclave)


@pytest.fixture(scope="module")
def builder() -> Any:
    """The module deploy/enclave.py."""
    sys.path.insert(0, str(ROOT / "deploy"))
    try:
        return importlib.import_module("enclave")
    finally:
        sys.path.remove(str(ROOT / "deploy"))


def unpacked(wheel: Path, folder: Path) -> dict[str, list[Path]]:
    """The folders of a wheel's trusted components."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return {name: [folder / "placet" / name] for name in COMPONENTS}


def test_another_folder_and_another_machine_s_settings_give_the_same_measurements(
    made: Build,
    builder: Any,
    sources: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What decided before: a header of ipsec-mb, the flags of CPython and of the shell, the compiler, the umask."""
    (tmp_path / "intel-ipsec-mb.h").write_text(HEADER)
    (tmp_path / "openssl").mkdir()
    (tmp_path / "openssl" / "evp.h").write_text(HEADER)
    for name, value in {
        "CPATH": str(tmp_path), "CFLAGS": "-O0 -g", "LDFLAGS": "-Wl,-rpath,/home/somebody", "CC": "false",
        "SOURCE_DATE_EPOCH": "1700000000", "PLACET_AEAD": "ipsec-mb", "PYTHONOPTIMIZE": "2",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    mask = os.umask(0o077)
    try:
        wheel = builder.make_wheel(sources, ROOT / "build/compiler", tmp_path / "wheel", "openssl")
    finally:
        os.umask(mask)
    components = unpacked(wheel, tmp_path / "unpacked")
    assert {one: measure_folders(one, components) for one in LOCKS} == made.measurements


def test_the_two_ciphers_are_two_builds(
    made: Build, builder: Any, sources: Path, tmp_path: Path
) -> None:
    if not Path("/usr/include/intel-ipsec-mb.h").exists():
        pytest.skip("ipsec-mb's header is missing (Debian: libipsec-mb-dev, on x86-64)")
    wheel = builder.make_wheel(sources, ROOT / "build/compiler", tmp_path / "wheel", "ipsec-mb")
    components = unpacked(wheel, tmp_path / "unpacked")
    found = {one: measure_folders(one, components) for one in LOCKS}
    assert all(found[enclave] != made.measurements[enclave] for enclave in LOCKS)


def test_it_says_what_it_was_made_of(made: Build) -> None:
    assert made.aead == "openssl"
    assert made.compiler.startswith("ziglang ")
    assert made.python == ".".join(map(str, sys.version_info[:2]))
    pinned = (ROOT / "requirements/compiler.txt").read_text()
    assert made.compiler.replace(" ", "==") in pinned


@pytest.mark.parametrize("enclave_name", LOCKS)
def test_it_holds_its_lock_and_placet_and_nothing_else(
    enclave: Path, run: Run, enclave_name: str
) -> None:
    python = interpreter(enclave, enclave_name)
    lock = (ROOT / LOCKS[enclave_name].removeprefix("placet/")).read_text()
    pins = [line.split("==")[0] for line in lock.splitlines() if line[:1].isalnum()]
    installed = run(python, "-I", "-c", INSTALLED).split()
    assert "placet" in installed
    assert set(installed) <= {*pins, "placet"}
    packages = measured_files(enclave_name, enclave)[LOCKS[enclave_name]].parents[2]
    assert {path.name for path in (packages / "placet").iterdir()} == set(COMPONENTS)


def test_its_compiled_modules_say_which_source_they_are_of(enclave: Path) -> None:
    """And name no folder of this machine: PEP 552, flags 0b11, checked by the source's digest."""
    for name in set(ENVIRONMENTS.values()):
        compiled = list((enclave / name).glob("lib/*/site-packages/placet/**/*.pyc"))
        assert len(compiled) > 50
        for path in compiled:
            content = path.read_bytes()
            assert content[4:8] == b"\x03\0\0\0", path
            assert str(ROOT).encode() not in content, path


def test_the_kernel_names_no_folder_of_this_machine(enclave: Path) -> None:
    for enclave_name in LOCKS:
        [kernel] = [
            path
            for name, path in measured_files(enclave_name, enclave).items()
            if name.endswith(".so")
        ]
        content = kernel.read_bytes()
        for place in (str(ROOT), sys.base_prefix, str(Path.home())):
            assert place.encode() not in content


def test_its_kernel_passes_the_kernel_s_tests(enclave: Path, run: Run, tmp_path: Path) -> None:
    """Another compiler made it than the one of the development build, which the other tests run."""
    package = tmp_path / "placet"
    package.mkdir()
    for name in ("client", "host"):
        (package / name).symlink_to(ROOT / name)
    for name in COMPONENTS:
        path = interpreter(enclave, "worker").parents[1]
        [folder] = path.glob(f"lib/*/site-packages/placet/{name}")
        (package / name).symlink_to(folder)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    tests = [str(path) for path in sorted((ROOT / "tests/unit/enclave").glob("test_kernel*.py"))]
    done = subprocess.run(
        [*command, "--override-ini=addopts=--import-mode=importlib", *tests],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    which = "from placet.enclave import _kernel; print(_kernel.__file__)"
    shown = subprocess.run(
        [sys.executable, "-P", "-c", which],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith(str(tmp_path))


def test_a_host_runs_it_and_nothing_of_its_own(enclave: Path, made: Build, tmp_path: Path) -> None:
    """A council that wants these measurements is founded, and trains: authority and worker have joined by them."""
    council = Council(tmp_path)
    council.build = enclave
    options = ("--enclave", str(enclave))
    with (
        running_host(tmp_path, options=options) as (address, pin),
        council.connect(address, pin) as client,
    ):
        council.found(client)
        policy = client.council().policy("authority")
        assert policy.measurements == (made.measurements["authority"],)
        for hospital, rows in load_shares().training.items():
            council.seal_and_grant(client, hospital, rows)
        parameters = {"steps": 10, "learning_rate_percent": 30}
        digest = council.propose(client, "breast_cancer", parameters, "model")
        council.vote(client, digest, "north", "south", "privacy")
        assert client.wait(client.submit(client.proposal(digest).ticket).id).state == "released"
        running = enclaves()
    assert {argv[0] for argv in running} == {str(interpreter(enclave, "authority").absolute())}


def test_the_development_build_is_another_enclave(made: Build) -> None:
    """What is installed here was made by the compiler that is here; nobody may take it for the build."""
    assert measure("authority") != made.measurements["authority"]


def enclaves() -> list[list[str]]:
    """The command lines of the enclaves that descend from this process."""
    found: list[list[str]] = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (path / "cmdline").read_text().split("\0")
            if "placet.enclave" in argv and descends(int(path.name)):
                found.append(argv)
    return found


def descends(process: int) -> bool:
    while process > 1:
        if process == os.getpid():
            return True
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False
