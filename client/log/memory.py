# SPDX-License-Identifier: Apache-2.0
"""What a client remembers of its council: which one it is, and the log as far as it was read.

    memory = CouncilMemory(folder)
    memory.pin(charter)                 # the digest of the charter; another council is refused
    memory.learn(log)                   # the log key, once the charter of this digest was seen
    memory.advance(note, entries)       # the newest checkpoint, and the entries that it covers

In the folder: council.json (charter, log, newest checkpoint), entries.jsonl (an entry a line, in
order), and documents/ by digest. Whoever calls `advance` has verified that the entries have the
checkpoint's root (`replica.py`), and does so again with what is read back. Files are flushed; a
lock file keeps processes apart. What entries.jsonl holds beyond the checkpoint was never
acknowledged, and the next `advance` cuts it off.
"""

import fcntl
import json
import os
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from placet.client.errors import FileRefused
from placet.client.files import read_file, write_file
from placet.governance.log import Checkpoint, VerifierKey, verify_checkpoint
from placet.refusals import LogCheckpointInvalid, OtherLog

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_FILE = 256 * 1024
_MAX_DOCUMENT = 1024 * 1024


class CouncilMemory:
    """What is remembered of one council; without a folder it lasts as long as the object."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._charter = self._log = ""
        self._note = b""
        self._newest: Checkpoint | None = None
        self._entries: list[bytes] = []
        self._read = 0  # bytes of entries.jsonl that `_entries` are
        self._parsed = (0, 0, 0)  # which file council.json was when it was read
        self._documents: dict[str, bytes] = {}
        self._load()

    @property
    def charter(self) -> str:
        """The pinned council by the digest of its charter; empty before the first."""
        return self._charter

    @property
    def log(self) -> str:
        """The log that the charter names, by its verifier key text; empty before that was seen."""
        return self._log

    @property
    def note(self) -> bytes:
        """The newest checkpoint as it was signed; empty before the first."""
        return self._note

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint seen, as this process or another one has stored it."""
        self._load()
        return self._newest

    def entries(self) -> Sequence[bytes]:
        """The entries under `newest`; none where they were lost, so that they are read anew."""
        self._load()
        return self._entries

    def pin(self, charter: str) -> None:
        """Belong to a council from now on. Raises `OtherLog` where another one is pinned."""
        with self._locked():
            self._load()
            if self._charter not in ("", charter):
                raise OtherLog(
                    "This home folder belongs to another council. Use another home folder, or "
                    "compare the charter's digest with another member's.",
                    claim="charter",
                    expected=self._charter,
                    actual=charter,
                )
            if not self._charter:
                self._charter = charter
                self._store()

    def learn(self, log: str) -> None:
        """Keep the log key that the pinned charter names.

        Raises `LogCheckpointInvalid` for no key.
        """
        VerifierKey.from_text(log)
        with self._locked():
            self._load()
            self._log = log
            self._store()

    def advance(self, note: bytes, entries: Sequence[bytes]) -> bool:
        """Keep a verified note, and every entry that it covers.

        False if another process has kept more meanwhile.
        """
        with self._locked():
            self._load()
            if self._newest is not None and self._newest.size > len(entries):
                return False
            self._append(entries[len(self._entries) :])
            self._note, self._newest = note, self._checkpoint(note)
            self._store()
            return True

    def forget_entries(self) -> None:
        """Drop entries that do not have the checkpoint's root; they are read anew."""
        with self._locked():
            self._entries, self._read = [], 0
            if self._folder is not None:
                (self._folder / "entries.jsonl").unlink(missing_ok=True)

    def document(self, digest: str) -> bytes | None:
        """A document that was kept; whoever takes it verifies it."""
        if digest not in self._documents and self._folder is not None and _DIGEST.fullmatch(digest):
            path = self._folder / "documents" / digest.removeprefix("sha256:")
            if path.is_file():
                self._documents[digest] = read_file(path, _MAX_DOCUMENT)
        return self._documents.get(digest)

    def keep_document(self, digest: str, document: bytes) -> None:
        """Keep a document by its digest."""
        self._documents[digest] = document
        if self._folder is not None and _DIGEST.fullmatch(digest):
            folder = self._folder / "documents"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(folder / digest.removeprefix("sha256:"), document, mode=0o600)

    def _checkpoint(self, note: bytes) -> Checkpoint:
        return verify_checkpoint(note, VerifierKey.from_text(self._log))

    def _load(self) -> None:
        found = self._stamp()
        if self._folder is None or found == self._parsed:
            return
        path = self._folder / "council.json"
        try:
            value = json.loads(read_file(path, _MAX_FILE))
            self._charter, self._log = str(value["charter"]), str(value["log"])
            note = str(value["checkpoint"]).encode()
            if note != self._note:
                self._newest = self._checkpoint(note) if note else None
                self._note = note
        except (ValueError, KeyError, TypeError, RecursionError, LogCheckpointInvalid):
            raise FileRefused(
                f"{path} is damaged: it held the newest checkpoint seen. Restore it from a backup; "
                "if you delete it, a log that was rolled back since cannot be told from the true "
                "one.",
                claim=str(path),
            ) from None
        self._load_entries(self._newest.size if self._newest else 0)
        self._parsed = found

    def _stamp(self) -> tuple[int, int, int]:
        """Tells one council.json from another: each is a new file, which takes the old one's
        place."""
        try:
            found = os.stat(self._folder / "council.json") if self._folder else None
        except FileNotFoundError:
            found = None
        return (found.st_ino, found.st_mtime_ns, found.st_size) if found else (0, 0, 0)

    def _load_entries(self, size: int) -> None:
        assert self._folder is not None
        path = self._folder / "entries.jsonl"
        if len(self._entries) >= size or not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read)
            while len(self._entries) < size and (line := file.readline()).endswith(b"\n"):
                self._entries.append(line[:-1])
                self._read += len(line)
        if len(self._entries) < size:
            self._entries, self._read = [], 0

    def _append(self, entries: Sequence[bytes]) -> None:
        self._entries.extend(entries)
        if self._folder is None or not entries:
            return
        # An entry is JSON in one line: the form of entries has no white space, and JSON escapes it.
        lines = b"".join(entry + b"\n" for entry in entries)
        with os.fdopen(
            os.open(self._folder / "entries.jsonl", os.O_RDWR | os.O_CREAT, 0o600), "r+b"
        ) as file:
            file.truncate(self._read)
            file.seek(self._read)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        self._read += len(lines)

    def _store(self) -> None:
        if self._folder is not None:
            value = {
                "charter": self._charter,
                "log": self._log,
                "checkpoint": self._note.decode(),
            }
            path = self._folder / "council.json"
            write_file(path, json.dumps(value, indent=1).encode(), mode=0o600)
            self._parsed = self._stamp()

    @contextmanager
    def _locked(self) -> Generator[None]:
        if self._folder is None:
            yield
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "council.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
