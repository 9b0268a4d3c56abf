# SPDX-License-Identifier: Apache-2.0
"""What strangers do by connections that speak no gRPC."""

import asyncio
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.abuse.there import Abuse, There

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
HEADERS = b"\0\0\x40\1\0\0\0\0\1\x83"  # of 64 bytes, one of which comes
HELLO = bytes.fromhex("160301020001") + bytes(40)  # of TLS, its beginning
GARBAGE = (
    PREFACE + os.urandom(1 << 16),
    PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    os.urandom(4096),
)


async def _say(there: There, *pieces: bytes, tls: bool = True) -> None:
    """Connect, say this, and stay until the host ends it."""
    reader, writer = await there.connect(tls=tls)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        while await reader.read(1 << 16):
            pass
    finally:
        writer.transport.abort()


async def idle(there: There, _: object) -> None:
    """A connection without a call."""
    await _say(there, PREFACE)


async def unfinished(there: There, _: object) -> None:
    """The beginning of a call."""
    await _say(there, PREFACE, HEADERS)


async def silent(there: There, _: object) -> None:
    """A connection without a handshake."""
    await _say(there, tls=False)


async def half_open(there: There, _: object) -> None:
    """The beginning of a handshake."""
    await _say(there, HELLO, tls=False)


async def plain(there: There, _: object) -> None:
    """HTTP/2 where TLS is spoken."""
    await _say(there, PREFACE, tls=False)


async def garbage(there: There, _: object) -> None:
    """Bytes that mean nothing, after a handshake."""
    for piece in GARBAGE:
        await asyncio.wait_for(_say(there, piece), 10)


WIRES: Final[Mapping[str, Abuse]] = MappingProxyType(
    {
        "idle connections": Abuse(idle, 1000, 1.0),
        "unfinished headers": Abuse(unfinished, 200, 1.0),
        "silent connections": Abuse(silent, 300, 1.0),
        "half-open handshakes": Abuse(half_open, 200, 1.0),
        "plain connections": Abuse(plain, 8, 0.2),
        "garbage": Abuse(garbage, 8),
    }
)
