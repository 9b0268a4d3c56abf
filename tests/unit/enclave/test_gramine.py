# SPDX-License-Identifier: Apache-2.0
"""Enclaves by their Gramine manifests. What stands for Gramine here starts what a manifest says,
under strace, and hides nothing.

So the manifests' arguments, environment and file lists are proved against real enclaves that run a
real job; that Gramine itself enforces the lists is not shown.
"""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.host import Host, HostConfig, LauncherMissing

ROOT = Path(__file__).resolve().parents[3]
STRACE = shutil.which("strace")
_OPENED = re.compile(r'^\d+ +(?:openat\(AT_FDCWD, |open\(|execve\()"([^"]+)"(.*)$')

# Gramine, as far as this test goes: one manifest, one process, /launch and /tmp where they really
# are.
STAND_IN = """#!{python} -I
import os, sys, tomllib
from pathlib import Path
manifest = tomllib.loads(Path(sys.argv[1] + ".manifest").read_text())
here = os.getcwd()
os.mkdir("tmp")
def real(word):
    return word.replace("/launch/", here + "/launch/") if word != "/tmp" else here + "/tmp"
arguments = Path("launch/arguments")
arguments.write_text(real(arguments.read_text()))
argv = [real(word) for word in manifest["loader"]["argv"]]
environment = dict(manifest["loader"]["env"])
del environment["LD_LIBRARY_PATH"]
role = argv[argv.index("placet.enclave") + 1]
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
to = f"{traces}/{{role}}.{{os.getpid()}}"
traced = ["{strace}", "-f", "-qq", "-e", "trace=open,openat,execve", "-o", to]
os.execve(traced[0], [*traced, *argv], environment)
"""


def opened(trace: Path, cwd: Path) -> set[str]:
    """The regular files that a traced process has opened, links resolved."""
    found: set[str] = set()
    for line in trace.read_text().splitlines():
        match = _OPENED.match(line)
        if match and " = -1 " not in match[2]:
            found.add(os.path.realpath(cwd / match[1]))
    return {path for path in found if os.path.isfile(path)}


def trusted(manifest: Path) -> set[str]:
    """The files on a manifest's list that are not Gramine's own, nor the program."""
    listed = tomllib.loads(manifest.read_text())["sgx"]["trusted_files"]
    paths = [one.removeprefix("file:") for one in listed if isinstance(one, str)]
    return {os.path.realpath(path) for path in paths if not path.startswith("{{")}


def render(python: str, out: Path, *also: str) -> None:
    tool = [sys.executable, str(ROOT / "deploy" / "gramine" / "render.py"), "--python", python]
    subprocess.run([*tool, "--out", str(out), "--simulated", *also], check=True, timeout=120)
    for path in out.glob("*.rendered"):
        path.rename(path.with_suffix(""))  # what gramine-manifest would do


def not_needed() -> tuple[str, ...]:
    """What deploy/gramine/closure.py says is asked for and not needed."""
    code = "import closure, json; print(json.dumps([closure.NOT_NEEDED, sorted(closure.LIBC)]))"
    folder = ROOT / "deploy" / "gramine"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, check=True)
    prefixes, libc = json.loads(done.stdout)
    return (*prefixes, *(os.path.realpath(f"/lib/x86_64-linux-gnu/{name}") for name in libc))


@pytest.mark.skipif(STRACE is None, reason="strace is missing (Debian: strace)")
def test_every_file_that_an_enclave_opens_is_on_its_list_and_no_other(
    start: Callable[..., Any], python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests, traces = tmp_path / "manifests", tmp_path / "traces"
    traces.mkdir()
    render(python, manifests)
    command = tmp_path / "gramine-direct"
    text = STAND_IN.format(python=sys.executable, strace=STRACE, traces=traces)
    command.write_text(text)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("venv", "venv-onnx"):
        (tmp_path / "build" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "build" / name).symlink_to(Path(python).parents[1])
    running = start(launcher="gramine-direct", manifests=manifests, enclave=tmp_path / "build")
    sink = io.BytesIO()
    np.save(sink, np.arange(10.0))
    data, _ = running(running.live.provision(sink.getvalue()))
    program = """
def main(job):
    with job.output("out") as sink: sink.write(str(job.inputs["data"].array().sum()).encode())
"""
    outcome = running(running.live.run(program, {"data": data}))
    assert outcome.results == {"out": b"45.0"}, running.live.logs()
    state = running.live.folder / "host" / "tmp"
    # What an enclave has to say is in its log although standard error is elsewhere under Gramine.
    logs = running.live.folder / "host" / "logs"
    assert "from=placet.authority ready" in (logs / "authority.log").read_text()
    for role in ("authority", "worker"):
        (trace,) = traces.glob(f"{role}.*")
        own = (f"{state.resolve()}/", f"{logs.resolve()}/", *not_needed())
        found = {path for path in opened(trace, state) if not path.startswith(own)}
        listed = trusted(manifests / f"{role}.manifest")
        assert found - listed == set(), f"opened by the {role} and not listed"
        assert listed - found == set(), f"listed for the {role} and not opened"


def test_gramine_that_is_not_there_is_refused(tmp_path: Path) -> None:
    if shutil.which("gramine-sgx"):
        pytest.skip("gramine-sgx is installed")
    config = HostConfig(
        state=tmp_path / "host",
        cpu=tmp_path / "cpu",
        origin="a/b",
        launcher="gramine-sgx",
        manifests=tmp_path,
    )

    async def body() -> None:
        with pytest.raises(LauncherMissing, match="gramine-sgx is not installed"):
            async with Host(config):
                pass

    asyncio.run(body())
    with pytest.raises(ValueError, match="make gramine"):
        HostConfig(
            state=tmp_path / "host", cpu=tmp_path / "cpu", origin="a/b", launcher="gramine-sgx"
        )
