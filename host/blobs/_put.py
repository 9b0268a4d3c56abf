# SPDX-License-Identifier: Apache-2.0
"""One put: what is received so far, and the steps that touch the disk.

`begin`, `write` and `complete` block and are run one after the other in threads, `hash` beside the
`write` of the same part; `take` is pure.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from placet.host.blobs.blob_files import BlobFiles, Manifest, arriving
from placet.refusals import BlobConflict, BlobDigest, BlobOffset, BlobTooLarge


class Put:
    """A put of the blob that `wanted` describes, by `whose` principal; its digest may be empty
    until `expect` says it.

    The first one whose bytes are all there has the id. Bytes whose digest begins with the id take
    the place of any others: a program's bundle is nobody's to keep away.
    """

    def __init__(self, files: BlobFiles, id: str, whose: str, wanted: Manifest) -> None:
        self._files = files
        self._id = id
        self._blob = arriving(id, whose)
        self._wanted = wanted
        self._hasher = hashlib.sha256()
        # Two, used again and again, because memory that was not touched before is slow.
        self._filling, self._other = bytearray(), bytearray()
        self._held = 0  # bytes in the first one
        self._part = 0  # that it will be

    @property
    def whole(self) -> bool:
        """Whether every byte has been taken, and the digest been said."""
        return self._part == self._wanted.parts and self._wanted.sha256 != ""

    def begin(self, offset: int) -> bool:
        """Find where to continue; True if the blob is complete already.

        Raises `BlobConflict` for a blob that is another one, `BlobOffset` for an offset that is
        neither 0 nor what was received.
        """
        with self._files.naming:
            # Without a digest nobody knows yet whether it is the same, so that is asked at the end.
            there = self._of_this_id() if self._wanted.sha256 else None
            if there is not None and self._is_whole(there):
                return True
            if there is not None:  # it lost parts, and the others are this put's to go on with
                self._files.write_manifest(self._id, self._wanted)
                self._files.move(self._id, self._blob)
            held = self._files.manifest(self._blob)
            if held is not None and not held.may_be(self._wanted):
                self._files.remove(self._blob)  # the principal's own, which it has given up
                held = None
            received = 0 if held is None else self._files.received(self._blob, held)
            same = held is not None and held.complete and held.sha256 == self._wanted.sha256
            if same and received == self._wanted.parts:
                self._publish()  # the host ended just before
                return True
        durable = min(received * self._wanted.part_size, self._wanted.length)
        if offset not in (0, durable):
            raise BlobOffset(
                f"The put may begin at 0 or at {durable}, not at {offset}.",
                expected=str(durable),
                actual=str(offset),
                remedy="Ask with Stat how much was received.",
            )
        if held is None or offset == 0:
            self._files.remove(self._blob)
            received = 0
        self._files.write_manifest(self._blob, self._wanted)  # nothing is complete from here on
        self._adopt(received)
        return False

    def _of_this_id(self) -> Manifest | None:
        """What has the id, where it is this blob. Raises `BlobConflict` where it is another, and
        stays."""
        held, wanted = self._files.manifest(self._id), self._wanted
        if held is None:
            return None
        same = (held.length, held.sha256) == (wanted.length, wanted.sha256)
        certified = wanted.certified(self._id)
        if not same and certified:
            return None
        if not same or (held.owner != wanted.owner and not certified):
            raise BlobConflict(
                "The id belongs to a blob of another length, digest or owner.",
                remedy="Use a new random id.",
            )
        return held

    def _is_whole(self, held: Manifest) -> bool:
        return held.complete and self._files.received(self._id, held) == held.parts

    def _publish(self) -> None:
        """Give it its id, unless somebody else has put the same bytes meanwhile."""
        held = self._of_this_id()
        if held is not None and self._is_whole(held):
            self._files.remove(self._blob)
        else:
            self._files.move(self._blob, self._id)

    def take(self, chunk: bytes) -> Iterator[tuple[int, memoryview]]:
        """Take in bytes and give out each part that is now full: good until the one after the next
        is given out. Raises `BlobTooLarge`."""
        if self._taken + len(chunk) > self._wanted.length:
            raise BlobTooLarge("More bytes came than the header announced.", claim="length")
        view = memoryview(chunk)
        while view:
            size = self._wanted.size_of(self._part)
            if len(self._filling) < size:
                self._filling = bytearray(size)
            piece, view = view[: size - self._held], view[size - self._held :]
            memoryview(self._filling)[self._held : self._held + len(piece)] = piece
            self._held += len(piece)
            if self._held == size:
                full = memoryview(self._filling)[:size]
                self._filling, self._other = self._other, self._filling
                self._part, self._held = self._part + 1, 0
                yield self._part - 1, full

    def expect(self, sha256: bytes) -> None:
        """The digest that all bytes have to have."""
        self._wanted = replace(self._wanted, sha256=sha256.hex())

    def hash(self, data: memoryview) -> None:
        self._hasher.update(data)

    def write(self, part: int, data: memoryview) -> None:
        self._files.write_part(self._blob, part, data)

    def complete(self) -> None:
        """Check the digest and say that the blob is complete; raises `BlobDigest` and drops it."""
        found = self._hasher.hexdigest()
        if found != self._wanted.sha256:
            self._files.remove(self._blob)
            raise BlobDigest(
                "The bytes received have another SHA-256 than was said, so they were dropped.",
                expected=self._wanted.sha256,
                actual=found,
            )
        self._files.sync_names(self._blob)
        self._files.write_manifest(self._blob, replace(self._wanted, complete=True))
        with self._files.naming:
            self._publish()

    @property
    def _taken(self) -> int:
        whole = min(self._part * self._wanted.part_size, self._wanted.length)
        return whole + self._held

    def _adopt(self, parts: int) -> None:
        """Continue after the parts of an earlier put, which may not have been flushed."""
        for part in range(parts):
            size = self._wanted.size_of(part)
            self._hasher.update(self._files.read_part(self._blob, part, 0, size))
            self._files.sync_part(self._blob, part)
        self._part = parts
