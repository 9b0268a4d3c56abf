# SPDX-License-Identifier: Apache-2.0
"""A blob as it lies in the folder: a manifest and parts of 8 MiB, all of them on the disk before
the manifest says that they are complete.

    <id>/manifest.json     length, SHA-256 of all bytes, part size, owner, complete or not
    <id>/part-00000000     8 MiB each, the last one shorter
    <id>.<whose>/...       the same while it comes, each principal's apart: nobody's put touches
                           another's

A blob without a manifest does not exist: parts beside none are left over and are removed before a
new manifest is written. obstore replaces a manifest whole but does not flush it; that is done here.
All functions block; call them in a thread.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import obstore
from obstore.store import LocalStore

from placet.host.store.durable import sync_file, sync_folder
from placet.proto.limits import MIB

PART = 8 * MIB
_MANIFEST = "manifest.json"
ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[0-9a-f]{32}(\.[0-9a-f]{16})?")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a blob is. `sha256` is 64 hexadecimal digits, or empty while it is not known; `owner` is
    a public key's text or empty."""

    length: int
    sha256: str
    owner: str
    complete: bool
    part_size: int = PART

    def certified(self, blob: str) -> bool:
        """Whether the id is the beginning of the digest: nobody has other bytes for it."""
        return self.sha256.startswith(blob)

    def may_be(self, other: "Manifest") -> bool:
        """Whether nothing that is known of both tells them apart."""
        known = self.sha256 and other.sha256
        alike = replace(self, complete=other.complete, sha256=other.sha256) == other
        return alike and (not known or self.sha256 == other.sha256)

    @property
    def parts(self) -> int:
        """How many parts the whole blob has."""
        return -(-self.length // self.part_size)

    def size_of(self, part: int) -> int:
        """Bytes of a part."""
        return min(self.part_size, self.length - part * self.part_size)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        return cls(**json.loads(data))


def arriving(blob: str, whose: str) -> str:
    """The name of a blob while it comes from this principal; "": from an enclave or the host."""
    return f"{blob}.{hashlib.sha256(whose.encode()).hexdigest()[:16]}"


class BlobFiles:
    """The folder of all blobs. `blob` is an id of 32 hexadecimal digits, checked by callers, or the
    name of one that is arriving."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root
        # Held while what has an id is looked at and changed.
        self.naming = threading.Lock()
        self._store = LocalStore(prefix=root)

    def manifest(self, blob: str) -> Manifest | None:
        """The manifest; None if there is no such blob, or the disk has damaged its manifest."""
        try:
            return Manifest.from_bytes((self._root / _manifest(blob)).read_bytes())
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def has_manifest(self, blob: str) -> bool:
        """Whether there is one, of whatever form."""
        return (self._root / _manifest(blob)).exists()

    def write_manifest(self, blob: str, manifest: Manifest) -> None:
        """Make or replace the manifest."""
        self._put(blob, _manifest(blob), manifest.to_bytes())

    def blobs(self) -> Iterator[str]:
        """The names of all that lies here, in no order; what arrives or is left over too."""
        with os.scandir(self._root) as found:
            yield from (item.name for item in found if _NAME.fullmatch(item.name))

    def move(self, name: str, to: str) -> None:
        """Give it another name, in the place of what has that name."""
        self.remove(to)
        (self._root / name).rename(self._root / to)
        sync_folder(self._root)

    def received(self, blob: str, manifest: Manifest) -> int:
        """How many parts are there without a gap, each of its full size, whatever the manifest
        says."""
        sizes = dict(self._list(blob))
        count = 0
        while count < manifest.parts and sizes.get(_part(blob, count)) == manifest.size_of(count):
            count += 1
        return count

    def write_part(self, blob: str, part: int, data: memoryview) -> None:
        """Its bytes are on the disk then; its name is with `sync_names`, once for all parts. One
        that was cut short has not its size, so it counts as none."""
        with (self._root / _part(blob, part)).open("wb", buffering=0) as file:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())

    def sync_names(self, blob: str) -> None:
        """Flush the names of the parts that were written."""
        sync_folder(self._root / blob)

    def read_part(self, blob: str, part: int, start: int, end: int) -> bytes:
        """Bytes start..end-1 of a part. Raises FileNotFoundError where it is lost, or shorter."""
        name = _part(blob, part)
        with (self._root / name).open("rb") as file:
            data = os.pread(file.fileno(), end - start, start)
        if len(data) != end - start:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return data

    def digest(self, blob: str, manifest: Manifest, pace: Callable[[int], None]) -> str:
        """The SHA-256 of all parts as they are on the disk. Raises FileNotFoundError.

        `pace` is told the bytes of each part before it is read.
        """
        hasher = hashlib.sha256()
        for part in range(manifest.parts):
            pace(manifest.size_of(part))
            hasher.update(self.read_part(blob, part, 0, manifest.size_of(part)))
        return hasher.hexdigest()

    def forget(self, blob: str, manifest: Manifest) -> None:
        """Keep of a blob no more than what it has to be: it may be put again."""
        self.write_manifest(blob, replace(manifest, complete=False))
        for part in range(manifest.parts):
            (self._root / _part(blob, part)).unlink(missing_ok=True)
        sync_folder(self._root / blob)

    def sync_part(self, blob: str, part: int) -> None:
        """Flush a part that an interrupted put left."""
        sync_file(self._root / _part(blob, part))

    def remove(self, blob: str) -> None:
        """Remove a blob, its manifest first: after a crash in between it is gone all the same."""
        folder = self._root / blob
        try:
            names = sorted(os.listdir(folder))  # "manifest.json" sorts before "part-..."
        except FileNotFoundError:
            return
        for name in names:
            (folder / name).unlink(missing_ok=True)
            if name == _MANIFEST:
                sync_folder(folder)
        folder.rmdir()
        sync_folder(self._root)

    def changed(self, blob: str) -> float:
        """When a part or the manifest was written last, in Unix seconds. Raises
        FileNotFoundError."""
        return (self._root / blob).stat().st_mtime

    def free(self) -> int:
        """Bytes that the disk still has room for."""
        return shutil.disk_usage(self._root).free

    def _list(self, blob: str) -> Iterator[tuple[str, int]]:
        listed = obstore.list(  # pyright: ignore[reportUnknownMemberType]
            self._store, prefix=blob, return_arrow=False
        )
        for batch in listed:
            for item in batch:
                yield item["path"], item["size"]

    def _put(self, blob: str, name: str, data: bytes) -> None:
        fresh = not (self._root / blob).exists()
        obstore.put(self._store, name, data, use_multipart=False)
        sync_file(self._root / name)
        sync_folder(self._root / blob)
        if fresh:
            sync_folder(self._root)


def _manifest(blob: str) -> str:
    return f"{blob}/{_MANIFEST}"


def _part(blob: str, part: int) -> str:
    return f"{blob}/part-{part:08d}"
