# SPDX-License-Identifier: Apache-2.0
"""Workers of a simulating host, as forks of a process that has imported what they need
(`enclave/preloaded.py`). There is one such process for each interpreter, from the first worker on.

If it dies, its workers are lost, and the next worker begins another one. A worker that it cannot
fork is started by itself, and says in its log what is wrong.
"""

import logging
import os
import select
import signal
import socket
import subprocess
import threading
import weakref
from contextlib import ExitStack, suppress
from typing import BinaryIO

from placet.host.enclaves.children import Child, Spawned, environment
from placet.host.logs import kind_of

_START_SECONDS = 60.0
_MAX_SAID = 64
# A fork's command line is shown where that of the preloaded process was, and needs as much room.
_ROOM = " " * 4096
_log = logging.getLogger("placet.host.forks")


class Forks:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._preloaded: dict[tuple[str, ...], _Preloaded] = {}

    def start(self, enclave: list[str], arguments: list[str], log: BinaryIO) -> Child:
        """A worker, forked if that can be. Raises OSError."""
        try:
            return self._process(tuple(enclave)).fork(arguments, log)
        except OSError as error:
            _log.warning("not-forked %s", kind_of(error))
            return Spawned([*enclave, *arguments], log, piped=True, folder=None)

    def _process(self, enclave: tuple[str, ...]) -> "_Preloaded":
        with self._lock:
            found = self._preloaded.get(enclave)
            if found is None or not found.alive:
                found = self._preloaded[enclave] = _Preloaded(enclave)
            return found


class _Preloaded:
    """It ends with us: its socket does."""

    def __init__(self, enclave: tuple[str, ...]) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        weakref.finalize(self, self._requests.close)
        with theirs:
            self._process = subprocess.Popen(
                [*enclave, "preloaded", _ROOM],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,
            )
        wait = self._process.wait
        threading.Thread(target=wait, name="placet-preloaded", daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, arguments: list[str], log: BinaryIO) -> "Forked":
        """A worker. Raises OSError."""
        with ExitStack() as ours, ExitStack() as theirs:
            stdin, writer = _pipe(theirs, ours)
            reader, stdout = _pipe(ours, theirs)
            leash, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.enter_context(leash)
            theirs.enter_context(end)
            leash.send("\0".join(arguments).encode())
            given = [file.fileno() for file in (stdin, stdout, log, end)]
            socket.send_fds(self._requests, [b"f"], given)
            theirs.close()
            leash.settimeout(_START_SECONDS)
            said, files, _, _ = socket.recv_fds(leash, _MAX_SAID, 1)
            if not files:
                raise ConnectionResetError
            leash.settimeout(None)
            ours.pop_all()
        return Forked(int(said), files[0], leash, writer, reader)


class Forked:
    """A worker that the preloaded process forked, which is its parent. It is known by a pidfd: its
    number may be another's as soon as it has ended."""

    def __init__(
        self, pid: int, pidfd: int, leash: socket.socket, stdin: BinaryIO, stdout: BinaryIO
    ) -> None:
        self.pid, self.stdin = pid, stdin
        self.stdout: BinaryIO | None = stdout
        self._pidfd: int | None = pidfd
        self._leash = leash
        self._lock = threading.Lock()

    def wait(self) -> int:
        said = b""
        with suppress(OSError), self._leash:
            said = self._leash.recv(_MAX_SAID)
        if not said:
            self._lost()
        with self._lock:
            assert self._pidfd is not None
            os.close(self._pidfd)
            self._pidfd = None
        return int(said or -signal.SIGKILL)

    def kill(self) -> None:
        with self._lock, suppress(ProcessLookupError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _lost(self) -> None:
        """The preloaded process has died before it: nobody else would end what native code
        forked."""
        ended = select.poll()
        assert self._pidfd is not None
        ended.register(self._pidfd, select.POLLIN)
        if not ended.poll(0):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.kill()
        ended.poll()


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """Both ends of a pipe, each for one side to close."""
    read, write = os.pipe()
    reader = reading.enter_context(os.fdopen(read, "rb", buffering=0))
    return reader, writing.enter_context(os.fdopen(write, "wb", buffering=0))
