# SPDX-License-Identifier: Apache-2.0
"""The processes of this machine, as /proc shows them."""

import contextlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    parent: int
    arguments: tuple[bytes, ...]

    @property
    def forks(self) -> bool:
        """Whether workers are forked from it."""
        return b"preloaded" in self.arguments


def processes() -> dict[int, Process]:
    """Those that have not ended, by process id."""
    found: dict[int, Process] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            status = (path / "stat").read_text().rpartition(")")[2].split()
            arguments = (path / "cmdline").read_bytes().split(b"\0")
            if status[0] != "Z":
                found[int(path.name)] = Process(int(status[1]), tuple(arguments))
    return found
