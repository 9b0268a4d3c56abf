# SPDX-License-Identifier: Apache-2.0
"""The guard, from inside: a list of attempts in a process of its own, none of which may pass."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_FRAME = """
import ctypes, os, sys
from pathlib import Path
scratch, outside = Path(sys.argv[1]), Path(sys.argv[2])
from placet.enclave.worker.guard import GuardRefused, lay_guard
lay_guard(scratch)
refused, passed = [], []
def attempt(number, action):
    try:
        action()
    except GuardRefused:
        refused.append(number)
    except Exception as error:
        if isinstance(error.__context__, GuardRefused):
            refused.append(number)
        else:
            passed.append((number, repr(error)))
    else:
        passed.append((number, "passed"))
{body}
for number, action in enumerate(actions):
    attempt(number, action)
print(len(actions), passed)
"""


@pytest.fixture
def under_guard(tmp_path: Path) -> "Runner":
    return Runner(tmp_path)


class Runner:
    """Runs a list of actions under the guard; returns what passed."""

    def __init__(self, folder: Path) -> None:
        self.scratch, self.outside = folder / "scratch", folder / "outside"
        self.scratch.mkdir()
        self.outside.mkdir()
        (self.outside / "secret").write_text("secret")
        (self.scratch / "planted").symlink_to(self.outside)

    def __call__(self, body: str) -> tuple[int, list[tuple[int, str]]]:
        code = _FRAME.format(body=textwrap.dedent(body))
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, str(self.scratch), str(self.outside)],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        count, rest = done.stdout.split(" ", 1)
        passed: list[tuple[int, str]] = ast.literal_eval(rest)
        return int(count), passed


def test_files_outside_scratch_are_refused(under_guard: Runner) -> None:
    count, passed = under_guard("""
        import io, posix, pathlib, shutil, numpy as np
        deep = scratch / "a" / "b" / "c"
        deep.mkdir(parents=True)
        fd = os.open(scratch, os.O_RDONLY)
        def in_deep(action):
            def run():
                os.chdir(deep)
                try: action()
                finally: os.chdir(scratch)
            return run
        up = "../../../../outside/secret"
        actions = [
            lambda: open(outside / "secret"),
            lambda: open(outside / "new", "w"),
            lambda: io.open(outside / "secret", "rb"),
            lambda: io.FileIO(str(outside / "secret")),
            lambda: os.open(outside / "secret", os.O_RDONLY),
            lambda: os.open(outside / "new", os.O_CREAT | os.O_WRONLY),
            lambda: os.open(outside, os.O_TMPFILE | os.O_RDWR),
            lambda: os.open("/", os.O_PATH),
            lambda: posix.open(str(outside / "secret"), os.O_RDONLY),
            lambda: open("/proc/self/mem", "r+b"),
            lambda: open("/proc/self/environ"),
            lambda: open("/etc/passwd"),
            lambda: open(scratch / ".." / "outside" / "secret"),
            lambda: open(scratch / "planted" / "secret"),
            lambda: open(b"/etc/passwd"),
            lambda: os.open("../outside/secret", os.O_RDONLY, dir_fd=fd),
            in_deep(lambda: os.open(up, os.O_RDONLY, dir_fd=fd)),
            in_deep(lambda: open("../../../../outside/secret")),
            lambda: os.open(os.path.dirname(os.__file__), os.O_RDONLY),
            lambda: open(os.path.join(os.path.dirname(os.__file__), "new.py"), "w"),
            lambda: os.symlink(outside, scratch / "link"),
            lambda: os.symlink("../outside", scratch / "link"),
            lambda: os.link(outside / "secret", scratch / "hard"),
            lambda: os.rename(outside / "secret", scratch / "taken"),
            lambda: os.rename(scratch / "a", outside / "a"),
            lambda: os.replace(scratch / "a", outside / "a"),
            lambda: os.remove(outside / "secret"),
            lambda: os.unlink("secret", dir_fd=os.open(outside, os.O_RDONLY)),
            lambda: os.mkdir(outside / "new"),
            lambda: os.rmdir(outside),
            lambda: os.chmod(outside / "secret", 0o777),
            lambda: os.truncate(outside / "secret", 0),
            lambda: os.utime(outside / "secret"),
            lambda: os.listdir(outside),
            lambda: list(os.scandir(outside)),
            lambda: os.listdir("/proc/self/fd"),
            lambda: os.chdir(outside),
            lambda: os.setxattr(outside / "secret", "user.x", b""),
            lambda: shutil.copy(outside / "secret", scratch / "copy"),
            lambda: shutil.rmtree(outside),
            lambda: np.fromfile(outside / "secret"),
            lambda: np.save(outside / "x.npy", np.zeros(1)),
            lambda: __import__("sqlite3").connect(outside / "db"),
        ]
    """)
    assert count > 40
    assert passed == []
    assert (under_guard.outside / "secret").read_text() == "secret"
    assert [path.name for path in under_guard.outside.iterdir()] == ["secret"]


def test_network_and_processes_are_refused(under_guard: Runner) -> None:
    count, passed = under_guard("""
        import multiprocessing, signal, socket, subprocess, urllib.request, _posixsubprocess
        def spawn():
            context = multiprocessing.get_context("spawn")
            context.Process(target=print).start()
        actions = [
            lambda: socket.socket(),
            lambda: socket.socketpair(),
            lambda: socket.getaddrinfo("localhost", 80),
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
            lambda: subprocess.run(["/bin/true"]),
            lambda: os.system("true"),
            lambda: os.popen("true"),
            lambda: os.fork(),
            lambda: os.execv("/bin/true", ["true"]),
            lambda: os.posix_spawn("/bin/true", ["true"], {}),
            lambda: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),
            lambda: os.kill(os.getpid(), 0),
            lambda: signal.pthread_kill(0, 0),
            spawn,
            lambda: _posixsubprocess.fork_exec(
                ["/bin/true"], [b"/bin/true"], True, (), None, None, -1, -1, -1, -1, -1, -1, -1, -1,
                False, False, -1, None, None, None, -1, None, False,
            ),
        ]
    """)
    assert count == 16
    assert passed == []


def test_native_code_and_walking_the_heap_are_refused(under_guard: Runner) -> None:
    (under_guard.scratch / "evil.so").write_bytes(b"\x7fELF")
    (under_guard.scratch / f"evil.{sys.implementation.cache_tag}.so").write_bytes(b"\x7fELF")
    count, passed = under_guard("""
        import gc, importlib.machinery, importlib.util
        def load():
            loader = importlib.machinery.ExtensionFileLoader("evil", str(scratch / "evil.so"))
            importlib.util.module_from_spec(importlib.util.spec_from_loader("evil", loader))
        def hook():
            seen = []
            sys.addaudithook(lambda *_: seen.append(1))
            open(os.devnull).close()
            if not seen:
                raise GuardRefused  # addaudithook says nothing where another hook refuses it
        actions = [
            load,
            lambda: ctypes.CDLL(str(scratch / "evil.so")),
            lambda: ctypes.CDLL("libc.so.6"),
            lambda: gc.get_objects(),
            lambda: gc.get_referrers(lay_guard),
            lambda: sys._current_frames(),
            hook,
        ]
    """)
    assert count == 7
    assert passed == []


def test_changing_the_guard_s_names_changes_nothing(under_guard: Runner) -> None:
    _, passed = under_guard("""
        import placet.enclave.worker.guard as guard
        for name in dir(guard):
            if not name.startswith("__"):
                setattr(guard, name, lambda *_: None)
        guard._FORBIDDEN = ()
        actions = [lambda: open("/etc/passwd"), lambda: __import__("socket").socket()]
        def attempt(number, action):
            try: action()
            except PermissionError: refused.append(number)
            else: passed.append((number, "passed"))
    """)
    assert passed == []


def test_what_the_guard_is_not(under_guard: Runner) -> None:
    """An array at any address reads and writes all memory of the process, the guard's and the
    timer's with it."""
    count, passed = under_guard("""
        import numpy as np
        class Anywhere:
            def __init__(self, address, size):
                self.__array_interface__ = {
                    "data": (address, False), "shape": (size,), "typestr": "|u1", "version": 3,
                }
        def touch():
            memory = bytes(b"some other object's bytes")
            there = np.asarray(Anywhere(id(memory), 64))
            start = there.tobytes().index(b"some other")
            there[start : start + 4] = list(b"your")
            assert memory.startswith(b"your other")
        actions = [touch]
        def attempt(number, action):
            try: action()
            except BaseException as error: refused.append(repr(error))
            else: passed.append((number, "passed"))
    """)
    assert (count, passed) == (1, [(0, "passed")])


def test_what_programs_need_still_works(under_guard: Runner) -> None:
    count, passed = under_guard("""
        import contextlib, json, tempfile, threading
        def files():
            with open("relative.txt", "w") as sink: sink.write("x")
            assert (scratch / "relative.txt").read_text() == "x"
            (scratch / "folder").mkdir()
            os.rename(scratch / "relative.txt", scratch / "folder" / "moved.txt")
            assert os.listdir(scratch / "folder") == ["moved.txt"]
            os.remove(scratch / "folder" / "moved.txt")
            os.rmdir(scratch / "folder")
        def temporary():
            tempfile.tempdir = str(scratch)
            with tempfile.TemporaryFile(dir=scratch) as file: file.write(b"x")
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                (Path(folder) / "sub").mkdir()
                (Path(folder) / "sub" / "x").write_text("x")
        def imports():
            import colorsys, sqlite3, wave, numpy.fft
        def quiet():
            with open(os.devnull, "w") as null, contextlib.redirect_stdout(null): print("x")
        def threads():
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
        def arrays():
            import numpy as np
            np.save(scratch / "x.npy", np.arange(3))
            assert np.load(scratch / "x.npy").sum() == 3
            np.memmap(scratch / "m", mode="w+", shape=(4,))
        actions = [files, temporary, imports, quiet, threads, arrays]
        def attempt(number, action):
            try: action()
            except BaseException as error: passed.append((number, repr(error)))
    """)
    assert count == 6
    assert passed == []
