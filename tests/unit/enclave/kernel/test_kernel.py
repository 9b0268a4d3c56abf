# SPDX-License-Identifier: Apache-2.0
"""The kernel's own calls, each in the situation it exists for; deadlines end real processes."""

import subprocess
import sys
import time
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.enclave import _kernel

CODE = 75
FAR = 60.0  # a hung program that outlives this was not ended by its deadline

# Each holds the GIL in one native call that takes minutes.
HUNG = {
    "regular expression": "import re; re.match(r'(a|a)*$', 'a' * 60 + 'b')",
    "big integer": "pow(3, 10**9)",
    "lock": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
}


def run(program: str) -> tuple[int, float, str]:
    """Runs a program in a process of its own: exit code, seconds, what it printed."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"from placet.enclave import _kernel\n{program}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=FAR,
    )
    return done.returncode, time.monotonic() - start, done.stdout + done.stderr


@given(st.binary(max_size=300))
def test_wipe_leaves_zeros_only(content: bytes) -> None:
    buffer = bytearray(content)
    _kernel.wipe(buffer)
    assert buffer == bytes(len(content))


def test_wipe_keeps_to_the_part_it_was_given() -> None:
    buffer = bytearray(b"abcdefgh")
    _kernel.wipe(memoryview(buffer)[2:5])
    assert buffer == b"ab\0\0\0fgh"


def test_wipe_takes_items_of_any_size() -> None:
    numbers = array("d", [1.5, -2.0])
    _kernel.wipe(numbers)
    assert numbers == array("d", [0.0, 0.0])


def test_wipe_refuses_what_it_cannot_overwrite_whole() -> None:
    with pytest.raises(BufferError):
        _kernel.wipe(b"constant")
    with pytest.raises(BufferError):
        _kernel.wipe(memoryview(bytearray(8))[::2])
    with pytest.raises(TypeError):
        _kernel.wipe("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("program", HUNG.values(), ids=HUNG.keys())
def test_a_hung_program_ends_at_its_deadline(program: str) -> None:
    code, seconds, output = run(f"_kernel.exit_at(0.3, {CODE})\n{program}")
    assert (code, output) == (CODE, "")
    assert seconds >= 0.3


def test_a_later_call_moves_the_deadline_further() -> None:
    code, seconds, _ = run(
        f"_kernel.exit_at(0.2, 1)\n_kernel.exit_at(0.8, {CODE})\n{HUNG['big integer']}"
    )
    assert code == CODE
    assert seconds >= 0.8


def test_a_later_call_moves_the_deadline_nearer() -> None:
    code, _, _ = run(f"_kernel.exit_at(3600, 1)\n_kernel.exit_at(0, {CODE})\n{HUNG['big integer']}")
    assert code == CODE


def test_a_deadline_can_be_taken_back_and_set_again() -> None:
    wait = "import threading; threading.Event().wait(0.4)"
    code, _, output = run(f"_kernel.exit_at(0.2, 1)\n_kernel.exit_cancel()\n{wait}\nprint('alive')")
    assert (code, output) == (0, "alive\n")
    code, _, _ = run(
        f"_kernel.exit_at(0.2, 1)\n_kernel.exit_cancel()\n_kernel.exit_at(0.1, {CODE})\n{wait}"
    )
    assert code == CODE


def test_a_process_may_end_before_its_deadline() -> None:
    code, seconds, output = run("_kernel.exit_at(3600, 1)\nprint('done')")
    assert (code, output) == (0, "done\n")
    assert seconds < FAR


def test_any_thread_may_move_the_one_deadline() -> None:
    threads = (
        "from threading import Thread\n"
        "ts = [Thread(target=lambda: [_kernel.exit_at(100, 1) for _ in range(2000)]) "
        "for _ in range(4)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]\n"
    )
    code, _, output = run(f"{threads}_kernel.exit_at(0.1, {CODE})\n{HUNG['lock']}")
    assert (code, output) == (CODE, "")


def test_a_forked_child_has_no_deadline_and_may_set_one() -> None:
    code, _, output = run(
        "import os, threading, warnings\n"
        "warnings.simplefilter('ignore')\n"  # that forking a threaded process is risky
        "_kernel.exit_at(0.3, 1)\n"
        "first = os.fork()\n"
        "if not first: threading.Event().wait(0.6); os._exit(7)\n"
        "second = os.fork()\n"
        f"if not second: _kernel.exit_at(0.1, {CODE}); {HUNG['big integer']}\n"
        "_kernel.exit_cancel()\n"
        "print([os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in (first, second)])"
    )
    assert (code, output) == (0, f"[7, {CODE}]\n")


def test_signals_still_reach_the_main_thread() -> None:
    code, _, output = run(
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "_kernel.exit_at(3600, 1)\n"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert (code, output) == (0, "handled\n")


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e12])
def test_exit_at_refuses_a_senseless_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds_from_now"):
        _kernel.exit_at(seconds, 0)


@pytest.mark.parametrize("code", [-1, 256])
def test_exit_at_refuses_a_code_that_no_process_can_have(code: int) -> None:
    with pytest.raises(ValueError, match="code"):
        _kernel.exit_at(3600.0, code)


def test_harden_says_what_worked() -> None:
    code, _, output = run(
        "import ctypes, resource\n"
        "worked = _kernel.harden()\n"
        "PR_GET_DUMPABLE = 3\n"
        "limits = resource.getrlimit(resource.RLIMIT_CORE)\n"
        "assert ('no_core_dumps' in worked) == (limits == (0, 0)), limits\n"
        "dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE)\n"
        "assert ('not_dumpable' in worked) == (dumpable == 0), dumpable\n"
        "assert _kernel.harden() == worked\n"
        "print(*worked)"
    )
    assert code == 0, output
    assert set(output.split()) <= {"no_core_dumps", "not_dumpable"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters with a GIL of their own")
def test_an_interpreter_with_its_own_gil_loads_it() -> None:
    code, _, output = run(
        "try: import _interpreters as interpreters\n"
        "except ImportError: import _xxsubinterpreters as interpreters\n"
        "made = interpreters.create()\n"
        "failed = interpreters.run_string(\n"
        "    made, 'from placet.enclave import _kernel; _kernel.wipe(bytearray(4))')\n"
        "interpreters.destroy(made)\n"
        "print(failed)"
    )
    assert (code, output) == (0, "None\n")
