# SPDX-License-Identifier: Apache-2.0
"""Messages between an enclave and its quoting service, over two plain binary streams.

    request:  u32 length, big-endian | operation (1 byte) | argument
    answer:   u32 length, big-endian | status (1 byte)    | result

Operations: 1 quote (argument: 64 bytes of report data; result: encoded evidence), 2 sealing keys
(no argument; result, for each TCB that the machine has a key of, the newest first: TCB (1 byte) |
measurement (32) | key (32)). Status: 0 done, 1 refused (no result).
"""

from typing import BinaryIO

from placet.attestation.evidence import MAX_EVIDENCE_BYTES
from placet.refusals import AttesterUnavailable

QUOTE = 1
SEALING_KEYS = 2
DONE = 0
REFUSED = 1
MAX_REQUEST_BYTES = 1 + 64
MAX_ANSWER_BYTES = 1 + MAX_EVIDENCE_BYTES
SEALING_KEY_BYTES = 32
SEALING_ENTRY_BYTES = 1 + 32 + SEALING_KEY_BYTES
_LENGTH_BYTES = 4


def send(writer: BinaryIO, code: int, content: bytes) -> None:
    """Write one message; raise AttesterUnavailable if the other side has gone."""
    data = bytes([code]) + content
    view = memoryview(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
    try:
        while view:
            written = writer.write(view)
            if not written:
                raise AttesterUnavailable("The quoting channel takes nothing.")
            view = view[written:]
        writer.flush()
    except (OSError, ValueError) as error:  # ValueError: the stream was closed here
        raise AttesterUnavailable("The quoting channel is closed.") from error


def receive(reader: BinaryIO, limit: int) -> tuple[int, bytes] | None:
    """Read one message of at most `limit` bytes; None if the other side ended before one began.

    Raises AttesterUnavailable for a message that is empty, too long or cut off.
    """
    head = _read(reader, _LENGTH_BYTES)
    if not head:
        return None
    size = int.from_bytes(head, "big")
    if len(head) != _LENGTH_BYTES or not 0 < size <= limit:
        raise AttesterUnavailable(f"A message on the quoting channel must have 1 to {limit} bytes.")
    data = _read(reader, size)
    if len(data) != size:
        raise AttesterUnavailable("A message on the quoting channel was cut off.")
    return data[0], data[1:]


def _read(reader: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, or fewer where the stream ends."""
    found = bytearray()
    try:
        while len(found) < size:
            part = reader.read(size - len(found))
            if not part:
                break
            found += part
    except (OSError, ValueError) as error:
        raise AttesterUnavailable("The quoting channel is closed.") from error
    return bytes(found)
