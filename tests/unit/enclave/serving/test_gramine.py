# SPDX-License-Identifier: Apache-2.0
"""What deploy/gramine lists for a worker that serves models is what such a worker opens, as strace
sees a real one."""

import importlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.proto.v1 import enclaves_pb2
from tests.support import serving

TOOLS = Path(__file__).resolve().parents[4] / "deploy" / "gramine"
STRACE = shutil.which("strace")
_OPENED = re.compile(r'^\d+ +(?:openat\(AT_FDCWD, |open\(|execve\()"([^"]+)".* = \d+$')


@pytest.fixture
def closure(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module deploy/gramine/closure.py."""
    monkeypatch.setattr(sys, "path", [str(TOOLS), *sys.path])
    return importlib.import_module("closure")


def opened(trace: Path) -> set[str]:
    """The regular files that a traced process has opened, links resolved."""
    found = [_OPENED.match(line) for line in trace.read_text().splitlines()]
    return {path for one in found if one and os.path.isfile(path := os.path.realpath(one[1]))}


@pytest.mark.skipif(STRACE is None, reason="strace is missing (Debian: strace)")
def test_every_file_that_a_serving_worker_opens_is_on_its_list_and_no_other(
    play: Any, closure: Any, onnx_python: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    traced = [str(STRACE), "-f", "-qq", "-e", "trace=open,openat,execve", "-o", str(trace)]
    command = [*traced, onnx_python, *closure.OPTIONS, "-m", "placet.enclave"]

    async def story(service: Any) -> None:
        worker = serving.WorkerProcess(service, tmp_path, command, closure.ENVIRONMENT)
        await worker.begin()
        mean = await worker.ask(await worker.session(), [[1, 2]])
        assert np.allclose(mean, serving.TABLE[[[1, 2]]].mean(1))
        await service.stage.record(service.council.stop("s4", "veto", service.digest))
        ((name, stopped),) = service.host.stopped
        service.host.links[name].send(enclaves_pb2.KIND_STOPPED, stopped)
        assert await worker.exit() == 70

    play(story)
    gramines = {os.path.realpath(f"/lib/x86_64-linux-gnu/{name}") for name in closure.LIBC}
    own = (f"{tmp_path}/", *closure.NOT_NEEDED)
    found = {path for path in opened(trace) - gramines if not path.startswith(own)}
    tasks = closure.TASKS["serve"]
    listed = {
        os.path.realpath(one) for one in closure.closure(Path(onnx_python), "worker", tasks).all
    }
    assert found - listed == set(), "opened and not listed"
    # The build's variables, which the guard of a program asks for; every worker's list has them.
    (variables,) = listed - found
    assert Path(variables).name.startswith("_sysconfigdata_"), "listed and not opened"
