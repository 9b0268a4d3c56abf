# SPDX-License-Identifier: Apache-2.0
"""`make enclave`: one commit has one measurement, whatever the machine has; and a host runs it."""

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from placet.builds.measurement import (
    COMPONENTS,
    ENVIRONMENTS,
    LOCKS,
    interpreter,
    measure,
    measure_folders,
    measured_files,
)
from placet.client import Keys
from placet.client.trust.builds import Build, read_build
from placet.enclave._kernel import IMPLEMENTATIONS
from placet.governance.codec import encode

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
    """What decided before: ipsec-mb's header, flags of CPython and of the shell, compiler,
    umask."""
    (tmp_path / "intel-ipsec-mb.h").write_text(HEADER)
    (tmp_path / "openssl").mkdir()
    (tmp_path / "openssl" / "evp.h").write_text(HEADER)
    for name, value in {
        "CC": "false", "CFLAGS": "-O0 -g", "LDFLAGS": "-Wl,-rpath,/home/somebody",
        "CPATH": str(tmp_path),
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
    for name in ("auditing", "client", "host"):
        (package / name).symlink_to(ROOT / name)
    for name in COMPONENTS:
        path = interpreter(enclave, "worker").parents[1]
        [folder] = path.glob(f"lib/*/site-packages/placet/{name}")
        (package / name).symlink_to(folder)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    tests = [str(path) for path in sorted((ROOT / "tests/unit/enclave/kernel").glob("test_*.py"))]
    assert tests
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
    """A council that wants these measurements is founded, and trains: both roles have joined."""
    council = Council(tmp_path)
    council.build = enclave
    options = ("--enclave", str(enclave))
    with (
        running_host(tmp_path, options=options) as (address, pin),
        council.connect(address, pin) as client,
    ):
        council.found(client)
        policy = client.council.verify().policy("authority")
        assert policy.measurements == (made.measurements["authority"],)
        for hospital, rows in load_shares().training.items():
            council.seal_and_grant(client, hospital, rows)
        parameters = {"steps": 10, "learning_rate_percent": 30}
        digest = council.propose(client, "breast_cancer", parameters, "model")
        council.vote(client, digest, "north", "south", "privacy")
        assert (
            client.runs.wait(client.runs.start(client.council.ticket(digest)).id).state
            == "finished"
        )
        running = enclaves()
    assert {argv[0] for argv in running} == {str(interpreter(enclave, "authority").absolute())}


def test_the_development_build_is_another_enclave(made: Build) -> None:
    """What is installed here was made by the compiler that is here: it is not the build."""
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


def test_a_client_without_a_compiler_invents_no_measurement(
    environment: Callable[..., Path], sources: Path, tmp_path: Path
) -> None:
    """The README's installation for data owners works, and names no enclave that cannot start."""
    lock = (ROOT / "requirements" / "host.txt").read_bytes()
    packages = environment(
        "--no-deps", "--require-hashes", "-r", str(ROOT / "requirements/host.txt"), inputs=lock
    )
    given = {**os.environ, "CC": "false"}
    given.pop("PLACET_AEAD", None)
    install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-build-isolation", "--no-deps", "--target", str(tmp_path / "here")]
    command = [*install, *options, str(sources)]
    subprocess.run(command, check=True, capture_output=True, env=given)
    assert not list((tmp_path / "here/placet/enclave").glob("*.so"))

    def placet(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        start = f"import runpy, sys; sys.path.insert(0, {str(tmp_path / 'here')!r}); "
        start += f"runpy.run_module('placet.{module}', run_name='__main__')"
        words = [str(packages), "-I", "-c", start, *arguments]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    host = ("--state", str(tmp_path / "host"), "--cpu", str(tmp_path / "cpu"))
    for refused in (
        placet("client", "measure"),
        placet("client", "init", "--templates", str(tmp_path / "no"), "--enclave", "development"),
        placet("host", "--listen", "127.0.0.1:0", *host),
    ):
        assert refused.returncode == 1, refused.stdout
        assert "compiled kernel is missing" in refused.stderr
        assert "make enclave" in refused.stderr
    assert not (tmp_path / "no").exists()
    assert placet("client", "init", "--templates", str(tmp_path / "templates")).returncode == 0
    text = (tmp_path / "templates" / "constitution.toml").read_text()
    assert '"MEASUREMENT OF THE AUTHORITY OF A BUILD"' in text
    assert not re.search(r'measurements = \[\s*"[0-9a-f]{64}"', text)


def test_a_host_does_not_start_on_what_is_no_build(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "placet.host", "--enclave", str(tmp_path / "nothing")]
    command += ["--state", str(tmp_path / "host"), "--cpu", str(tmp_path / "cpu")]
    command += ["--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "is no build of the enclaves." in done.stderr
    assert "make enclave" in done.stderr


def test_a_release_is_signed_by_a_known_key_and_ships_with_the_client(
    made: Build, enclave: Path, run: Run, tmp_path: Path
) -> None:
    """In a copy whose clients know a key: the client verifies the file, and names its builds."""
    keys = Keys.generate("release")
    keys.save(tmp_path / "release.key")
    whole = replace(made, commit=made.commit.partition("+")[0].replace("none", "a" * 40))
    (tmp_path / "build.json").write_bytes(encode(whole))
    package = tmp_path / "sources" / "placet"
    package.mkdir(parents=True)
    for name in (*COMPONENTS, "host"):
        (package / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "client", package / "client")
    shutil.copytree(ROOT / "deploy", tmp_path / "sources" / "deploy")
    (tmp_path / "sources" / "client").symlink_to(package / "client")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "sources")}

    def ask(*command: object) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, "-P", *map(str, command)]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)

    sign = (tmp_path / "sources/deploy/release.py", "--key", tmp_path / "release.key")
    unknown = ask(*sign, tmp_path / "build.json")
    assert (unknown.returncode, "Clients do not know" in unknown.stderr) == (1, True)
    builds = package / "client" / "trust" / "builds.py"
    known = f'RELEASE_KEYS: tuple[str, ...] = ("{keys.public.signing.text}",)'
    builds.write_text(builds.read_text().replace("RELEASE_KEYS: tuple[str, ...] = ()", known))
    signed = ask(*sign, tmp_path / "build.json")
    assert signed.returncode == 0, signed.stderr
    measured = ("-m", "placet.client", "measure", "--enclave", "release", "--json")
    shown = ask(*measured)
    assert json.loads(shown.stdout) == [{"build": whole.name, "measurements": whole.measurements}]
    path = package / "client" / "release.json"
    path.write_bytes(path.read_bytes().replace(b'"sig":"', b'"sig":"AAAA', 1))
    forged = ask(*measured)
    assert (forged.returncode, "SIGNATURE_INVALID" in forged.stderr) == (1, True)


def test_its_kernel_uses_the_processor_as_the_development_build_does(
    enclave: Path, run: Run
) -> None:
    """A compiler whose library knows no processor would make it a slow one, and nobody would
    see."""
    which = "from placet.enclave import _kernel; print(*_kernel.IMPLEMENTATIONS)"
    assert run(interpreter(enclave, "worker"), "-I", "-c", which).split() == [*IMPLEMENTATIONS]
