# SPDX-License-Identifier: Apache-2.0
"""The state folder: one host at a time, and nothing of a former host's enclaves.

state/lock  placet.db  blobs/  logs/  tls/     kept
state/tmp/                                     emptied at every start
"""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from placet.host.errors import StateLocked


@contextmanager
def open_state(state: Path) -> Generator[None, None, None]:
    """Hold the folder, made if there is none. Raises `StateLocked` if another host holds it."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateLocked(f"Another host uses {state}. Stop it first.") from None
        shutil.rmtree(state / "tmp", ignore_errors=True)
        (state / "tmp").mkdir(mode=0o700)
        yield
    finally:
        os.close(lock)


def prune_logs(folder: Path, kept: int) -> None:
    """Keep so many of the newest logs of workers, one file each, and forget the others."""
    logs = sorted(folder.glob("worker-*.log"), key=lambda path: path.stat().st_mtime)
    for path in logs[:-kept]:
        path.unlink(missing_ok=True)
