# SPDX-License-Identifier: Apache-2.0
"""The council that a home folder belongs to, and the newest checkpoint seen of its log: it may only grow beyond it.

    memory = CheckpointMemory(folder / "log.json")
    memory.adopt(charter, log)          # pins the council: another one is refused from then on
    memory.advance(note)                # keeps the note if it is newer than what is kept

Whether a newer checkpoint extends the one kept is shown by a consistency proof, which `Session.accept` asks for before
it calls `advance`. The file is replaced atomically and flushed; a lock file beside it keeps processes apart.
"""

import fcntl
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from placet.client._files import read_file, write_file
from placet.client.errors import FileRefused
from placet.governance.errors import OtherLog
from placet.governance.log import Checkpoint, LogError, VerifierKey, verify_checkpoint

_MAX_FILE = 256 * 1024


class CheckpointMemory:
    """What is remembered of one council; without a path it lasts as long as the object."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._charter = ""
        self._log = ""
        self._note = b""
        self._load()

    @property
    def charter(self) -> str:
        """The pinned council by the digest of its charter; empty before the first."""
        return self._charter

    @property
    def log(self) -> str:
        """The log that the charter names, by its verifier key text; empty before the first."""
        return self._log

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint seen, as this process or another one has stored it."""
        self._load()
        return self._checkpoint(self._note) if self._note else None

    def adopt(self, charter: str, log: str) -> None:
        """Pin a council. Raises `OtherLog` if another one is pinned, `CheckpointInvalidError` for no key."""
        VerifierKey.from_text(log)
        with self._locked():
            self._load()
            if self._charter and (self._charter, self._log) != (charter, log):
                raise OtherLog(
                    "This home folder belongs to another council than the host serves. Use another home folder, "
                    "or compare the charter's digest with another member's.",
                    claim="charter",
                    expected=self._charter,
                    actual=charter,
                )
            if not self._charter:
                self._charter, self._log = charter, log
                self._store()

    def advance(self, note: bytes) -> bool:
        """Keep a verified note that extends `newest`; False if another process has stored a newer one meanwhile."""
        with self._locked():
            before = self._note
            self._load()
            if self._note != before:
                return False
            self._note = note
            self._store()
            return True

    def _checkpoint(self, note: bytes) -> Checkpoint:
        return verify_checkpoint(note, VerifierKey.from_text(self._log))

    def _load(self) -> None:
        if self._path is None or not self._path.exists():
            return
        try:
            value = json.loads(read_file(self._path, _MAX_FILE))
            self._charter, self._log = str(value["charter"]), str(value["log"])
            note = str(value["checkpoint"]).encode()
            if note:
                self._checkpoint(note)
        except (ValueError, KeyError, TypeError, RecursionError, LogError):
            raise FileRefused(
                f"{self._path} is damaged: it held the newest checkpoint seen. Restore it from a backup; if you delete it, "
                "a log that was rolled back in the meantime cannot be told from the true one.",
                claim=str(self._path),
            ) from None
        self._note = note

    def _store(self) -> None:
        if self._path is not None:
            value = {
                "charter": self._charter,
                "log": self._log,
                "checkpoint": self._note.decode(),
            }
            write_file(self._path, json.dumps(value, indent=1).encode(), mode=0o600)

    @contextmanager
    def _locked(self) -> Generator[None]:
        if self._path is None:
            yield
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
