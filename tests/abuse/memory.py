# SPDX-License-Identifier: Apache-2.0
"""What a process takes of the memory, looked at again and again."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

_EVERY = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


class Memory(threading.Thread):
    """Resident bytes of a process over time, until `over`."""

    def __init__(self, process: int) -> None:
        super().__init__(name="memory", daemon=True)
        self._statm = Path(f"/proc/{process}/statm")
        self._seen: list[tuple[float, float]] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(_EVERY):
            with suppress(FileNotFoundError, ProcessLookupError):  # its end is somebody else's news
                self._seen.append((time.monotonic(), self.now()))

    def now(self) -> float:
        """MiB that are resident."""
        return int(self._statm.read_text().split()[1]) * _PAGE / MIB

    def most(self, since: float, until: float) -> float:
        """The most MiB that were resident between two times."""
        return max((mib for when, mib in list(self._seen) if since <= when <= until), default=0.0)
