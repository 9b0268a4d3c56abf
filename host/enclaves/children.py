# SPDX-License-Identifier: Apache-2.0
"""A process that runs an enclave, as what waits for it sees it; and one that the host starts."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import BinaryIO, Protocol, cast

_PASSED_ON = ("PATH", "LANG", "TZ")


class Child(Protocol):
    """A process with the quoting service on its standard input and output."""

    pid: int
    stdin: BinaryIO
    stdout: BinaryIO | None

    def wait(self) -> int:
        """Block until it has ended, with all of its process group; its exit code, negative: the
        signal that ended it. Called once."""
        ...

    def kill(self) -> None:
        """End it now, if it runs."""


def environment() -> dict[str, str]:
    """What an enclave has of the host's environment."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


class Spawned:
    """A process that the host started itself. Raises OSError."""

    def __init__(self, argv: list[str], log: BinaryIO, piped: bool, folder: Path | None) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            # Gramine writes standard error there too.
            stdout=subprocess.PIPE if piped else log,
            stderr=log,
            bufsize=0,  # a buffer has a lock, and closing would wait for it
            env=environment(),
            cwd=folder,
            start_new_session=True,  # an interrupt at the terminal is for the host alone
        )
        self.pid = self._process.pid
        self.stdin = cast("BinaryIO", self._process.stdin)
        self.stdout = cast("BinaryIO | None", self._process.stdout)

    def wait(self) -> int:
        # Before it is reaped, so that its process group is still its own: whatever native code
        # forked goes with it.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
