# SPDX-License-Identifier: Apache-2.0
"""Opening a sealed stream: a file of plaintext that authenticates every byte before it is seen.

`open_stream` checks, in this order and before any segment is opened:

1. that the leaf hashes, if given, fold to the descriptor's root;
2. that the key is the one that the descriptor commits to;
3. that there are exactly as many sealed bytes as the descriptor says (it is consistent in itself);
4. that the header is one of this format.

Each segment is then read once into a buffer of the reader's own, hashed there if leaf hashes were
given, and decrypted from there: what is checked is what is used, though the file belongs to others.

    leaves = verify_root(file, descriptor)
    with open_stream(file, key, descriptor, leaf_hashes=leaves) as reader:
        reader.readinto(array)
"""

import io
import os
from collections.abc import Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag

from placet.sealing._descriptor import ObjectDescriptor
from placet.sealing._header import verify_header
from placet.sealing._io import SeekableSource, fill, wipe
from placet.sealing._key import StreamKey
from placet.sealing._layout import HEADER_BYTES, TAG_BYTES, locate
from placet.sealing._merkle import leaf_hash
from placet.sealing._root import check_leaf_hashes, check_sealed_length, segment_forged, truncated
from placet.sealing._segments import segment_cipher, segment_nonce

# Segments that are wanted together are read together, as far as this many bytes: fewer calls, and
# what is read is still in the processor's cache when it is decrypted.
_READ_BYTES = 256 << 10

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def open_stream(
    source: SeekableSource,
    key: StreamKey,
    descriptor: ObjectDescriptor,
    *,
    leaf_hashes: Sequence[bytes] | None,
) -> "StreamReader":
    """Open the object that `descriptor` names, whose sealed bytes are the whole of `source`.

    With the `leaf_hashes` of `verify_root` every segment is checked against the root when it is
    opened; with None only against the key. The reader moves `source` about and does not close it.
    Raises `KeyCommitmentMismatch`, `StreamLength`, `StreamHeaderMalformed` or
    `ObjectRootMismatch`; reading raises `SegmentForged` or `StreamLength`.
    """
    if leaf_hashes is not None:
        check_leaf_hashes(leaf_hashes, descriptor)
    key.verify_commitment(descriptor.commitment)
    check_sealed_length(source, descriptor)
    return StreamReader(source, key, descriptor, leaf_hashes)


class StreamReader(io.RawIOBase):
    """The plaintext of a sealed object as a seekable binary file; made by `open_stream`.

    `readinto` fills the buffer unless the object ends first, and decrypts whole segments straight
    into it. If a segment is refused, what it left in the buffer is cleared and the position does
    not move. Not for use by two threads at once.
    """

    def __init__(
        self,
        source: SeekableSource,
        key: StreamKey,
        descriptor: ObjectDescriptor,
        leaf_hashes: Sequence[bytes] | None,
    ) -> None:
        super().__init__()
        salt, self._prefix = _read_header(source)
        self._source = source
        self._decrypt_into = segment_cipher(key, salt, descriptor.id).decrypt_into
        self._leaves = None if leaf_hashes is None else tuple(leaf_hashes)
        self._length = descriptor.length
        self._segment_size = descriptor.segment_size
        self._last = descriptor.segments - 1
        self._sealed_length = descriptor.sealed_length
        self._batch = max(1, _READ_BYTES // descriptor.segment_size)
        self._sealed = memoryview(bytearray(self._batch * descriptor.segment_size))
        self._plain = memoryview(bytearray(descriptor.segment_size))
        self._plain_size = 0
        self._plain_index = -1  # the segment that _plain holds; -1 for none
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a plaintext position; beyond the end is allowed and reads nothing there."""
        self._check_open()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}
        if whence not in bases:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence}")
        position = bases[whence] + offset
        if position < 0:
            raise ValueError(f"cannot seek to the negative position {position}")
        self._position = position
        return position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` from the position on; return the number of bytes, 0 at the end."""
        self._check_open()
        out = memoryview(buffer)
        if not out.nbytes:
            return 0  # and a view of no bytes cannot be cast
        out = out.cast("B")
        done, want = 0, min(len(out), self._length - self._position)
        while done < want:
            index, offset = locate(self._position + done, self._segment_size)
            whole = self._whole_segments(index, want - done) if offset == 0 else 0
            if whole and index != self._plain_index:
                done += self._open_run(index, whole, out[done:want])
            else:
                piece = self._open_buffered(index)[offset : offset + want - done]
                out[done : done + len(piece)] = piece
                done += len(piece)
        self._position += done
        return done

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes, or all that are left."""
        self._check_open()
        left = max(0, self._length - self._position)
        buffer = bytearray(left if size is None or size < 0 else min(size, left))
        try:
            self.readinto(buffer)
            return bytes(buffer)
        finally:
            wipe(buffer)

    def readall(self) -> bytes:
        """Return all bytes that are left."""
        return self.read()

    def close(self) -> None:
        """Clear the buffers and let go of the key; the source stays open."""
        if not self.closed and hasattr(self, "_plain"):
            wipe(self._plain)
            wipe(self._sealed)
            del self._decrypt_into, self._source
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a closed stream reader")

    def _whole_segments(self, index: int, room: int) -> int:
        """How many segments from `index` on fit into `room` plaintext bytes, the last included."""
        end = max(0, index * (self._segment_size - TAG_BYTES) - HEADER_BYTES) + room
        if end >= self._length:
            return self._last + 1 - index
        return locate(end, self._segment_size)[0] - index

    def _open_buffered(self, index: int) -> memoryview:
        """The plaintext of one segment, in the reader's buffer until another is opened there."""
        if index != self._plain_index:
            self._plain_index = -1
            self._plain_size = self._open_run(index, 1, self._plain)
            self._plain_index = index
        return self._plain[: self._plain_size]

    def _open_run(self, index: int, count: int, out: memoryview) -> int:
        """Open `count` segments from `index` on into `out`; return the size of their plaintext."""
        done = 0
        while count:
            together = min(count, self._batch)
            sealed = self._fetch(index, together)
            done += self._open_fetched(index, sealed, out[done:])
            index, count = index + together, count - together
        return done

    def _open_fetched(self, index: int, sealed: memoryview, out: memoryview) -> int:
        """Check and decrypt the segments in `sealed`; a tight loop, as the cipher is fast."""
        decrypt_into, prefix, leaves = self._decrypt_into, self._prefix, self._leaves
        segment_size, last = self._segment_size, self._last
        done = 0
        for start in range(0, len(sealed), segment_size):
            segment = sealed[start : start + segment_size]
            if leaves is not None and not compare_digest(leaf_hash(segment), leaves[index]):
                raise segment_forged(index, "is not the one under the object's root")
            if index == 0:
                segment = segment[HEADER_BYTES:]
            end = done + len(segment) - TAG_BYTES
            plain = out[done:end]
            try:
                decrypt_into(segment_nonce(prefix, index, index == last), segment, None, plain)
            except BaseException as error:
                # A failed decryption leaves unauthenticated plaintext behind.
                wipe(plain)
                if not isinstance(error, InvalidTag):
                    raise
                raise segment_forged(index, "does not open") from None
            index, done = index + 1, end
        return done

    def _fetch(self, index: int, count: int) -> memoryview:
        """Read the sealed bytes of `count` segments into the reader's buffer."""
        start = index * self._segment_size
        size = min(count * self._segment_size, self._sealed_length - start)
        # Others may have moved the source, so where it stands is never assumed.
        self._source.seek(start)
        sealed = self._sealed[:size]
        if fill(self._source, sealed) != size:
            raise truncated(self._sealed_length - start)
        return sealed


def _read_header(source: SeekableSource) -> tuple[bytes, bytes]:
    header = bytearray(HEADER_BYTES)
    source.seek(0)
    if fill(source, memoryview(header)) != HEADER_BYTES:
        raise truncated(HEADER_BYTES)
    return verify_header(bytes(header))
