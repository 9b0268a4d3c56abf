# SPDX-License-Identifier: Apache-2.0
"""What another process on this machine has used: Linux."""

import contextlib
import os
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
    def ended_cpu(self) -> float:
        """Seconds of processor time of its children that have ended."""
        fields = self._fields()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    @property
    def parent(self) -> int:
        return int(self._fields()[1])

    @property
    def memory(self) -> int:
        """Resident bytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(_PAGE_KIB))

    def _fields(self) -> list[str]:
        """What the kernel says of it, behind its name."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()


def find_process(*words: str, parent: int = 0) -> Process:
    """The one process on whose command line all these stand, of this parent if one is given."""
    found: list[Process] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_text(errors="replace")
                process = Process(int(folder.name))
                of_parent = not parent or process.parent == parent
                if of_parent and all(word in line for word in words):
                    found.append(process)
    (process,) = found
    return process
