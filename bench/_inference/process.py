# SPDX-License-Identifier: Apache-2.0
"""What another process on this machine has used: Linux."""

import contextlib
import time
from pathlib import Path

_PAGE_KIB = "VmRSS:"


class Process:
    """By its id."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads, those that have ended included."""
        # The kernel's clock of a process, as clock_getcpuclockid(3) numbers it.
        return time.clock_gettime((~self.pid << 3) | 2)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(_PAGE_KIB))


def find_process(*words: str) -> Process:
    """The one process on whose command line all these stand."""
    found: list[Process] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_text(errors="replace")
                if all(word in line for word in words):
                    found.append(Process(int(folder.name)))
    (process,) = found
    return process
