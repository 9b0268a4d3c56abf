# SPDX-License-Identifier: Apache-2.0
"""Padding: an output is sealed at its declared size, so that its length tells nothing.

A padded plaintext is the length of the content (8 bytes, little-endian), the content, and zeros up
to the declared size.
"""

import io
from typing import TYPE_CHECKING

from placet.refusals import StreamHeaderMalformed
from placet.sealing._io import ReadableSource, WritableSink, fill, wipe, write_all

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LENGTH_BYTES = 8
_COPY_BYTES = 1 << 20


def padded_length(max_bytes: int) -> int:
    """Bytes of plaintext that content of at most `max_bytes` takes once it is padded."""
    return _LENGTH_BYTES + max_bytes


def pad(content: ReadableSource, length: int, max_bytes: int) -> ReadableSource:
    """A source of the padded plaintext of `content`, which holds `length` bytes from its position
    on.

    Raises `ValueError` if `length` is above `max_bytes`.
    """
    if not 0 <= length <= max_bytes:
        raise ValueError(f"the content has {length} bytes, and at most {max_bytes} were declared")
    return _Padded(content, length, padded_length(max_bytes))


def unpad_into(source: ReadableSource, sink: WritableSink, padded: int) -> int:
    """Copy the content out of a padded plaintext of `padded` bytes; returns its length.

    Raises `StreamHeaderMalformed` if the length it names is more than it holds, or the padding is
    not zeros.
    """
    head = bytearray(_LENGTH_BYTES)
    if fill(source, memoryview(head)) < _LENGTH_BYTES:
        raise _malformed()
    length = int.from_bytes(head, "little")
    if length > padded - _LENGTH_BYTES:
        raise _malformed()
    buffer = memoryview(bytearray(min(_COPY_BYTES, max(padded, 1))))
    try:
        left, content = padded - _LENGTH_BYTES, length
        while left:
            size = fill(source, buffer[: min(left, len(buffer))])
            written = min(size, content)
            if not size or any(buffer[written:size]):
                raise _malformed()
            write_all(sink, buffer[:written])
            left, content = left - size, content - written
    finally:
        wipe(buffer)
    return length


def _malformed() -> StreamHeaderMalformed:
    return StreamHeaderMalformed(
        "The plaintext is not a padded output: length, content, zeros.", claim="padding"
    )


class _Padded(io.RawIOBase):
    """Length, content, zeros, one after the other."""

    def __init__(self, content: ReadableSource, length: int, total: int) -> None:
        super().__init__()
        self._head = io.BytesIO(length.to_bytes(_LENGTH_BYTES, "little"))
        self._content = content
        self._content_left = length
        self._left = total

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        size = self._head.readinto(view)
        if not size and self._content_left:
            size = fill(self._content, view[: min(len(view), self._content_left)])
            if not size:
                raise OSError("the content is shorter than it was said to be")
            self._content_left -= size
        elif not size:
            size = min(len(view), self._left)
            view[:size] = bytes(size)
        self._left -= size
        return size
