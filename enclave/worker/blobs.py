# SPDX-License-Identifier: Apache-2.0
"""Sealed bytes between worker and host: fetched into scratch, sent from there. All of it is
ciphertext."""

import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc.aio

from placet.enclave.connection import Connection
from placet.enclave.worker.patience import patiently
from placet.proto.limits import MAX_CHUNK
from placet.proto.v1 import blobs_pb2, blobs_pb2_grpc
from placet.refusals import BlobIncomplete, StreamLength
from placet.sealing import ObjectDescriptor

# A full queue or disk, a fault of the host's, a call that was cut off. Any other code says that the
# put itself is not as it has to be.
_MOMENTARY = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)


async def fetch(
    host: Connection, descriptor: ObjectDescriptor, path: Path, left: Callable[[], float]
) -> None:
    """Bring the sealed bytes of an object into a file. Raises `StreamLength` unless their
    number is right, or as `receive`."""
    expected = descriptor.sealed_length
    try:
        received = await receive(host, descriptor.id, expected, path, left)
    except grpc.aio.AioRpcError:
        raise _length(descriptor, "some, then an error") from None
    if received != expected:
        raise _length(descriptor, f"{received} bytes" if received < expected else "more")


async def receive(
    host: Connection, object_id: str, expected: int, path: Path, left: Callable[[], float]
) -> int:
    """Bring sealed bytes into a file, and stop when there are more than expected; returns how many
    it holds. A disk or a host that is short of something is asked again, as long as seconds are
    left.

    Raises `grpc.aio.AioRpcError` where the host has no such blob, or breaks off, and
    `BlobIncomplete` where the disk has no room.
    """
    try:
        return await patiently(lambda: _receive(host, object_id, expected, path), _momentary, left)
    except OSError as error:
        raise BlobIncomplete(
            "The host's disk took in no sealed object for the worker. Let its operator make room.",
            claim="input",
            actual=errno.errorcode.get(error.errno or 0, ""),
        ) from None


async def _receive(host: Connection, object_id: str, expected: int, path: Path) -> int:
    """Once. A host that fails behind the last of the bytes has given all: what they are, their root
    says."""
    received = 0
    call = blobs_pb2_grpc.BlobsStub(host.channel).Get(
        blobs_pb2.GetBlobRequest(id=object_id), metadata=host.metadata
    )
    with path.open("wb") as sink:
        try:
            async for chunk in call:
                received += sink.write(chunk.data)
                if received > expected:
                    call.cancel()
                    break
        except grpc.aio.AioRpcError:
            if received != expected:
                raise
    return received


async def store(
    host: Connection, object_id: str, owner: str, path: Path, left: Callable[[], float]
) -> None:
    """Put the sealed bytes of an output; a host that is short of something is asked again, as long
    as seconds are left. Raises `BlobIncomplete`."""

    digest = b""  # known once all of it has been read, so a further try says it first

    async def requests() -> AsyncIterator[blobs_pb2.PutRequest]:
        nonlocal digest
        with path.open("rb") as source:
            length = os.fstat(source.fileno()).st_size
            header = blobs_pb2.PutHeader(id=object_id, length=length, sha256=digest, owner=owner)
            yield blobs_pb2.PutRequest(header=header)
            hasher = hashlib.sha256()
            while chunk := source.read(MAX_CHUNK):
                hasher.update(chunk)
                yield blobs_pb2.PutRequest(chunk=chunk)
        if not digest:
            digest = hasher.digest()
            yield blobs_pb2.PutRequest(sha256=digest)

    async def put() -> None:
        await blobs_pb2_grpc.BlobsStub(host.channel).Put(requests(), metadata=host.metadata)

    try:
        await patiently(put, _momentary, left)
    except grpc.aio.AioRpcError as error:
        raise BlobIncomplete(
            "The host did not take in a sealed output. Submit the job again.",
            claim="output",
            expected="OK",
            actual=error.code().name,
        ) from None


def _momentary(error: Exception) -> bool:
    if isinstance(error, OSError):
        return True  # scratch lies on the host's disk, and is ciphertext
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in _MOMENTARY


def _length(descriptor: ObjectDescriptor, found: str) -> StreamLength:
    return StreamLength(
        f"The sealed object {descriptor.id} should have {descriptor.sealed_length} bytes; the host "
        f"gave {found}. Put it again.",
        claim="length",
        expected=str(descriptor.sealed_length),
        actual=found,
    )
