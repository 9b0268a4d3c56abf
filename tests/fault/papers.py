# SPDX-License-Identifier: Apache-2.0
"""Documents and uploads as load: what was acknowledged."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from placet.client import Client
from placet.refusals import Refused
from tests.fault.asking import Asker, Asking
from tests.fault.machine import MIB, Machine

T = TypeVar("T")
BALLOTS = 30  # on a proposal; then comes another one
KEPT = 96 * MIB  # of uploads, before older ones are deleted


class Documents(Asker):
    """A seat that says over and over that it abstains."""

    kind = "documents"

    def __init__(self, asking: Asking, seed: str, machine: Machine) -> None:
        super().__init__(asking, seed)
        self.machine, self.client = machine, machine.connect(self.kind)
        self.program = machine.bundle("def main(job):\n    pass\n").digest
        self.acknowledged: list[str] = []
        self._proposal, self._left = "", 0

    def ask(self) -> None:
        machine, client, ask = self.machine, self.client, self.asking.patiently
        if not self._left:
            job, fields = machine.job(self.program, {}), machine.window()
            self._proposal = ask(
                lambda: client.council.propose(machine.analyst, job, **fields).digest,
                what="propose",
            )
            self.acknowledged.append(self._proposal)
            self._left = BALLOTS
        seat = machine.seats["cleo"]
        ballot = ask(
            lambda: client.council.vote(seat, self._proposal, "abstain").digest, what="abstain"
        )
        self.acknowledged.append(ballot)
        self._left -= 1
        self.asking.pause(self.dice.uniform(0.1, 0.6))


@dataclass(slots=True)
class Upload:
    """A blob that is there, whole."""

    id: str
    sha256: str
    length: int


class Uploads(Asker):
    """An owner who puts blobs of up to 16 MiB, and deletes the oldest ones."""

    kind = "uploads"

    def __init__(self, asking: Asking, seed: str, machine: Machine) -> None:
        super().__init__(asking, seed)
        self.machine, self.client = machine, machine.connect(self.kind)
        self.kept: list[Upload] = []
        self.deleted: list[str] = []

    def ask(self) -> None:
        length = int(MIB * 2 ** self.dice.uniform(-6, 4))
        data, id = self.dice.randbytes(length), self.dice.randbytes(16).hex()
        owner = self.machine.owner.public.signing
        put = self.asking.patiently(
            lambda: self.client.blobs.put(id, data, owner=owner), what="put"
        )
        if not put.complete:
            self.asking.surprised(f"put: {put}")
        self.kept.append(Upload(id, hashlib.sha256(data).hexdigest(), length))
        while sum(upload.length for upload in self.kept) > KEPT:
            self._forget(self.kept.pop(0))
        self.asking.pause(self.dice.uniform(0.3, 1.5))

    def wrong(self, client: Client, upload: Upload, folder: Path) -> str:
        """What is wrong with a blob that was acknowledged; empty if nothing is."""
        sink = folder / upload.id
        got = self.asking.patiently(
            _unless_gone(lambda: client.blobs.get(upload.id, sink)), what="get"
        )
        if got is None:
            return "gone" if upload in self.kept else ""
        found = hashlib.sha256(sink.read_bytes()).hexdigest()
        sink.unlink()
        return "" if found == upload.sha256 else "other bytes"

    def there(self, client: Client, id: str) -> bool:
        """Whether the host has anything of a blob."""
        stat = _unless_gone(lambda: client.blobs.stat(id))
        return self.asking.patiently(stat, what="stat") is not None

    def _forget(self, upload: Upload) -> None:
        delete = _unless_gone(lambda: self.client.blobs.delete(upload.id, self.machine.owner))
        self.asking.patiently(delete, what="delete")
        self.deleted.append(upload.id)


def _unless_gone(call: Callable[[], T]) -> Callable[[], T | None]:
    """The call, which gives None where there is no such blob."""

    def asked() -> T | None:
        try:
            return call()
        except Refused as refused:
            if refused.reason != "BLOB_NOT_FOUND":
                raise
            return None

    return asked
