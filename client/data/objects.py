# SPDX-License-Identifier: Apache-2.0
"""Sealing files at home, and opening them again.

    made = seal_file(Path("rows.npy"), Path("rows.sealed"), keys.hpke.public, kind="dataset",
    labels=("health",)) Path("rows.object.json").write_bytes(made.to_bytes())
    open_file(Path("rows.sealed"), Path("rows.npy"), made, keys.hpke)

The object file holds the descriptor and the object's key, sealed to its owner: no key lies on a
disk in the clear.
"""

import base64
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from placet.client.errors import FileRefused
from placet.client.files import check_free, read_file, reading, replacing
from placet.governance.codec import encode, parse_object
from placet.refusals import Refusal
from placet.sealing import (
    HPKEPrivateKey,
    HPKEPublicKey,
    ObjectDescriptor,
    StreamKey,
    context,
    open_envelope,
    open_stream,
    seal_envelope,
    seal_stream,
    verify_root,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Called with the bytes done and the bytes in all; for clients of the sync facade from another
# thread.
Progress = Callable[[int, int], None]

_MAX_FILE = 64 * 1024
_COPY = 1 << 20


@dataclass(frozen=True, slots=True)
class SealedObject:
    """A sealed object and its key, the latter sealed to the owner."""

    descriptor: ObjectDescriptor
    key_envelope: bytes

    @classmethod
    def to_owner(cls, descriptor: ObjectDescriptor, key: StreamKey, owner: HPKEPublicKey) -> Self:
        """Seal an object's key to its owner."""
        return cls(descriptor, seal_envelope(key.to_bytes(), owner, _info(descriptor)))

    def open_key(self, owner: HPKEPrivateKey) -> StreamKey:
        """The object's key. Raises as `open_envelope`, `KeyMalformed` or
        `KeyCommitmentMismatch`."""
        key = StreamKey.from_bytes(open_envelope(self.key_envelope, owner, _info(self.descriptor)))
        key.verify_commitment(self.descriptor.commitment)
        return key

    def to_bytes(self) -> bytes:
        return encode(
            {
                "descriptor": self.descriptor.to_dict(),
                "key": base64.b64encode(self.key_envelope).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises `FileRefused`."""
        try:
            value = parse_object(data, _MAX_FILE)
            key = base64.b64decode(value["key"], validate=True)
            return cls(ObjectDescriptor.from_dict(value["descriptor"]), key)
        except (Refusal, KeyError, ValueError, TypeError):
            raise FileRefused(
                "This is not an object file. Name the .object.json file that seal wrote."
            ) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an object file. Raises `FileRefused`."""
        return cls.from_bytes(read_file(path, _MAX_FILE))


def seal_file(
    source: Path,
    sink: Path,
    owner: HPKEPublicKey,
    *,
    kind: str,
    labels: tuple[str, ...],
    progress: Progress | None = None,
    force: bool = False,
) -> SealedObject:
    """Seal a file in bounded memory. force: a sink that is there may be replaced. Raises
    `FileRefused` or `DescriptorMalformed`; then there is no sink, or the old one."""
    if not force:
        check_free(sink)
    key = StreamKey.generate()
    with reading(source) as plain, replacing(sink) as sealed:
        counted = Counted(plain, _size(plain), progress)
        descriptor = seal_stream(counted, sealed, key, kind=kind, labels=labels)
    return SealedObject.to_owner(descriptor, key, owner)


def open_file(
    source: Path,
    sink: Path,
    sealed: SealedObject,
    owner: HPKEPrivateKey,
    progress: Progress | None = None,
    force: bool = False,
) -> None:
    """Verify and open a sealed file into one of mode 0600. force: another file that is there may be
    replaced. Raises `FileRefused`, or as `SealedObject.open_key`, `verify_root` and `open_stream`;
    then there is no sink, or the old one."""
    key = sealed.open_key(owner)
    with reading(source) as file, replacing(sink, mode=0o600, keep=not force) as plain:
        leaves = verify_root(file, sealed.descriptor)
        with open_stream(file, key, sealed.descriptor, leaf_hashes=leaves) as reader:
            counted = Counted(reader, sealed.descriptor.length, progress)
            while data := counted.read(_COPY):
                plain.write(data)


def check_sealed(source: Path, descriptor: ObjectDescriptor) -> None:
    """Make sure that a file holds the sealed bytes of an object, before any of it leaves. Raises
    `FileRefused`."""
    try:
        with reading(source) as file:
            verify_root(file, descriptor)
    except Refusal:
        raise FileRefused(
            f"{source} does not hold the sealed bytes of this object, and nothing of it was sent. "
            "Name the .sealed file that seal wrote.",
            claim=str(source),
        ) from None


class Counted(io.RawIOBase):
    """A readable file that reports how far it was read."""

    def __init__(
        self, source: io.BufferedReader | io.RawIOBase, total: int, progress: Progress | None
    ) -> None:
        super().__init__()
        self._source = source
        self._total = total
        self._done = 0
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = self._source.readinto(buffer) or 0
        self._done += count
        if self._progress is not None and count:
            self._progress(self._done, self._total)
        return count


def _size(file: io.BufferedReader) -> int:
    return os.fstat(file.fileno()).st_size


def _info(descriptor: ObjectDescriptor) -> bytes:
    return context("placet/object-key/v1", descriptor.digest.encode())
