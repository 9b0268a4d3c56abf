# SPDX-License-Identifier: Apache-2.0
"""`python -I -m placet.enclave preloaded`: a process that has imported what a worker needs, and
forks whenever its launcher asks for one. A worker then costs a fork, and no start of Python.

It serves simulated attestation alone: hardware measures an enclave from its start. Standard input
is a socket of the launcher's. Each message there brings four descriptors: standard input, output
and error of a worker, and its leash, a socket. The launcher hears on the leash the worker's process
id, with a pidfd, and at last its exit code. The worker alone reads its arguments there, so that
none of a later one's secrets lies in the memory of an earlier one, or of this process.

When the launcher has gone, so are all workers.
"""

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from placet.governance.codec import prepare
from placet.governance.documents import Ballot, Charter, Constitution, Lease, Proposal

# Nothing here may start a thread that a fork would lose, or draw numbers that forks would share.
_MODULES = (
    "placet.attestation.simulation.attester",
    "placet.enclave.worker.federation.round",
    "placet.enclave.worker.main",
    "numpy",
)
_DESCRIPTORS = 4
_MAX_ARGUMENTS = 256 * 1024
# /proc/self/stat behind the name: where the command line lies in memory, and where it ends.
_COMMAND_LINE = slice(45, 47)


def fork_on_request() -> list[str]:
    """Serve the launcher; returns in each worker alone, with its arguments."""
    for module in _MODULES:
        importlib.import_module(module)
    prepare(Charter, Constitution, Lease, Proposal, Ballot)
    _show(sys.orig_argv[:-1])
    gc.collect()
    gc.freeze()  # a collection in a worker would touch, and so copy, all of it
    return _become_worker(_Server(socket.socket(fileno=os.dup(0))).serve())


class _Server:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._workers: dict[int, tuple[int, socket.socket]] = {}  # by pidfd
        self._poll = select.poll()
        self._poll.register(requests, select.POLLIN)

    def serve(self) -> list[int]:
        """Returns in each worker alone, with the descriptors that it was given."""
        while True:
            for file, _ in self._poll.poll():
                if file in self._workers:
                    self._reap(file)
                    continue
                files = self._requested()
                # Where there is no more room for processes or descriptors, the leash ends.
                with suppress(OSError):
                    if len(files) == _DESCRIPTORS and self._fork(files):
                        return files
                for given in files:
                    os.close(given)

    def _requested(self) -> list[int]:
        message, files, _, _ = socket.recv_fds(self._requests, 1, _DESCRIPTORS)
        if message:
            return files
        for pid, _ in self._workers.values():
            _kill_all(pid)
        os._exit(0)

    def _fork(self, files: list[int]) -> bool:
        """Whether this is the worker. Raises OSError where there is none."""
        leash = socket.socket(fileno=os.dup(files[-1]))
        pid = os.fork()
        if pid == 0:
            for one in (self._requests, leash, *(leash for _, leash in self._workers.values())):
                one.close()
            return True
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            _kill_all(pid)
            os.waitpid(pid, 0)
            raise
        self._workers[pidfd] = pid, leash
        self._poll.register(pidfd, select.POLLIN)
        with suppress(OSError):  # a launcher that waits no more has closed the worker's input too
            socket.send_fds(leash, [str(pid).encode()], [pidfd])
        return False

    def _reap(self, pidfd: int) -> None:
        self._poll.unregister(pidfd)
        pid, leash = self._workers.pop(pidfd)
        os.close(pidfd)
        _kill_all(pid)
        _, status = os.waitpid(pid, 0)
        with suppress(OSError), leash:
            leash.send(str(os.waitstatus_to_exitcode(status)).encode())


def _kill_all(pid: int) -> None:
    """End a worker with whatever its native code forked. It is not reaped yet, so both numbers are
    still its own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _become_worker(files: list[int]) -> list[str]:
    os.setsid()  # a process group of its own
    with socket.socket(fileno=files[-1]) as leash:
        arguments = leash.recv(_MAX_ARGUMENTS).decode().split("\0")
    for number in range(3):
        os.dup2(files[number], number)
    # Those that there are: the most that there may be are a thousand million in some containers.
    for file in map(int, os.listdir("/proc/self/fd")):
        if file > 2:
            with suppress(OSError):  # what listed them
                os.close(file)
    _show([*sys.orig_argv[:-2], *arguments])
    return arguments


def _show(words: list[str]) -> None:
    """Let `ps` show this command line, as far as there is room where that of the preloaded process
    was: its last word is there for that."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = map(int, fields[_COMMAND_LINE])
    room = max(0, end - start - 1)
    line = "\0".join(words).encode(errors="surrogateescape")[:room]
    if room:
        ctypes.memmove(start, line.ljust(room + 1, b"\0"), room + 1)
