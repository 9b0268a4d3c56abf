# SPDX-License-Identifier: Apache-2.0
"""Programs that do what no program may, in real workers: each ends in one of the fixed states, and
nothing leaves."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import processes

SECRET = b"patient-4711 "

# What main(job) does; {path} is a path outside scratch, {pid} the host's process.
PROGRAMS: dict[str, tuple[str, str]] = {
    "raises": ("raise ValueError(job.inputs['data'].read())", "PROGRAM_RAISED"),
    "raises SystemExit": ("raise SystemExit(0)", "PROGRAM_RAISED"),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt", "PROGRAM_RAISED"),
    "interrupts itself": (
        "import _thread; _thread.interrupt_main(); time.sleep(9)",
        "PROGRAM_RAISED",
    ),
    "asks for all memory": ("bytearray(1 << 60)", "PROGRAM_MEMORY"),
    "recurses": ("main(job)", "PROGRAM_RAISED"),
    "exits": ("sys.exit(3)", "PROGRAM_RAISED"),
    "exits at once": ("os._exit(3)", "PROGRAM_EXITED"),
    "exits at once as if released": ("os._exit(0)", "PROGRAM_EXITED"),
    "exits at once as if ended": ("os._exit(70)", "PROGRAM_EXITED"),
    "forks": ("os.fork()", "PROGRAM_RAISED"),
    "starts a process": ("import subprocess; subprocess.run(['/bin/true'])", "PROGRAM_RAISED"),
    "starts a shell": ("os.system('touch {path}')", "PROGRAM_RAISED"),
    "kills the host": ("os.kill({pid}, 9)", "PROGRAM_RAISED"),
    "opens a socket": ("import socket; socket.socket()", "PROGRAM_RAISED"),
    "asks for a name": ("import socket; socket.getaddrinfo('x', 1)", "PROGRAM_RAISED"),
    "writes outside": ("open('{path}', 'wb').write(b'x')", "PROGRAM_RAISED"),
    "links to the outside": ("os.symlink('{path}', 'link')", "PROGRAM_RAISED"),
    "reads outside": ("open('/etc/passwd').read()", "PROGRAM_RAISED"),
    "writes no output": ("pass", "OUTPUT_MISSING"),
    "writes another output": ("job.output('more').write(b'x')", "OUTPUT_UNDECLARED"),
    "writes too much": ("job.output('out').write(bytes(1001))", "OUTPUT_TOO_LARGE"),
    "writes too much in pieces": (
        "out = job.output('out'); [out.write(bytes(100)) for _ in range(11)]",
        "OUTPUT_TOO_LARGE",
    ),
}


@pytest.fixture(scope="module")
def data(world: Any) -> Any:
    return world.data(SECRET * 1000)


Try = Callable[..., Any]


@pytest.fixture(scope="module")
def attempt(world: Any, data: Any) -> Try:
    """Runs a program that has to fail for a reason."""

    def attempt(body: str, reason: str, **changed: Any) -> Any:
        source = f"import os, sys, time\n\n\ndef main(job):\n    {body}\n"
        ticket = world.ticket(world.job(world.bundle(source).digest, {"data": data}, **changed))
        return world.failed(ticket, reason)

    return attempt


@pytest.mark.parametrize("case", PROGRAMS)
def test_a_program_that_may_not(world: Any, attempt: Try, tmp_path: Path, case: str) -> None:
    body, reason = PROGRAMS[case]
    outside = tmp_path / "outside"
    body = body.replace("{path}", str(outside)).replace("{pid}", str(world.process.pid))
    job = attempt(body, reason)
    assert job.job.attempt == 1
    assert not outside.exists()
    assert "4711" not in str(job.refusal)


def test_no_words_of_a_program_are_kept(world: Any) -> None:
    """After all of the above."""
    for path in (world.folder / "host").rglob("*"):
        if path.is_file():
            assert SECRET not in path.read_bytes(), path


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(60)",
        "sum(range(10**14))",  # one call into C that never lets the interpreter go
        "import threading; threading.Event().wait()",
        (
            "import signal; [signal.signal(s, signal.SIG_IGN) for s in (2, 14, 15)]; "
            "sum(range(10**14))"
        ),
    ],
)
def test_a_program_that_hangs(world: Any, attempt: Try, body: str) -> None:
    begun = time.monotonic()
    attempt(body, "PROGRAM_DEADLINE", deadline_seconds=1)
    assert time.monotonic() - begun < 6


def test_a_crash_in_native_code_is_the_program_s_own_fault(world: Any, attempt: Try) -> None:
    job = attempt("import ctypes; ctypes.string_at(0)", "PROGRAM_EXITED", attempts=2)
    assert world.entries_of(job.id) == ["lease", "close"]


def test_a_worker_that_is_killed_is_no_fault_of_the_program_s(world: Any, data: Any) -> None:
    """A signal from outside costs an attempt; the proposal has two of them."""
    bundle = world.bundle("import time\ndef main(job):\n    time.sleep(60)\n")
    job = world.job(bundle.digest, {"data": data}, attempts=2)
    started = world.client.runs.start(world.ticket(job)).id
    for number in (1, 2):
        seen = world.client.runs.watch(started)
        next(run for run in seen if (run.state, run.job.attempt) == ("running", number))
        for worker in world.enclaves("worker"):
            os.kill(worker, signal.SIGKILL)
    ended = world.client.runs.wait(started)
    assert ended.state == "failed"
    world.check_refusal(ended.refusal, "ATTEMPTS_USED_UP", "claim", "expected", "actual")
    assert world.entries_of(ended.id) == ["lease", "close"] * 2


def test_the_next_program_runs(world: Any, data: Any) -> None:
    ticket = world.ticket(world.job(world.bundle(world.copy).digest, {"data": data}))
    job = world.client.runs.wait(world.client.runs.start(ticket).id)
    assert world.output(job.id) == (SECRET * 1000)[:100]
    assert os.getpgid(world.process.pid)


def orphans(world: Any) -> list[int]:
    """Processes with a command line of this host's enclaves that neither the host nor its
    preloaded process started."""
    parents = {world.process.pid, *world.enclaves("preloaded")}
    folder = str(world.folder).encode()
    return [
        pid
        for pid, one in processes().items()
        if b"placet.enclave" in one.arguments
        and any(folder in word for word in one.arguments)
        and one.parent not in parents
    ]


def test_what_native_code_forks_ends_with_its_worker(world: Any, attempt: Try) -> None:
    """The guard does not see a fork that native code makes; the process group does."""
    body = "__import__('ctypes').CDLL(None).fork() or time.sleep(3600); raise ValueError"
    attempt(body, "PROGRAM_RAISED")
    deadline = time.monotonic() + 10
    while orphans(world) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert orphans(world) == []
