# SPDX-License-Identifier: Apache-2.0
"""A file put with the client library, over a bare gRPC stream of the same bytes with the same TLS
to the same disk.

Both write parts of 8 MiB, each flushed before it counts, and send chunks of 1 MiB from a file that
the page cache holds. Ours makes the digest of all bytes on either side besides.

    python bench/put.py
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from _figures import Figure, Seconds, arguments, figure, ratio, tell
from _host.bare import bare_peer
from _host.council import Scene, connected, scene

from placet.proto.limits import MAX_CHUNK, MIB
from placet.proto.v1 import blobs_pb2, blobs_pb2_grpc

LENGTH = 1024 * MIB


def run(length: int, passes: int) -> Iterator[Figure]:
    """The line to print."""
    with scene(1) as made, tempfile.NamedTemporaryFile(dir=made.folder) as file:
        for _ in range(length // MIB):
            file.write(os.urandom(MIB))
        file.flush()
        with bare_peer(made) as address:
            seconds = timed(made, Path(file.name), address, length, passes)
    ours, bare = seconds["ours"], seconds["bare"]
    rate, against = (length / MIB / statistics.median(each) for each in (ours, bare))
    yield figure("put_over_bare", rate, "MiB/s", against, ratio(bare, ours), mib=length // MIB)


def timed(made: Scene, path: Path, address: str, length: int, passes: int) -> Seconds:
    """Seconds of each put, in turns; the first two only warm up. After each its files are removed:
    memory that a machine has not used before is slow, and both get the same."""

    def ours() -> None:
        assert made.client.blobs.put(os.urandom(16).hex(), path).complete

    def bare() -> None:
        info = asyncio.run(put_bare(address, made.certificate, path, length))
        assert info.length == length

    seconds: Seconds = {"ours": [], "bare": []}
    kept = set(_files(made.folder))
    for number in range(passes + 1):
        for name, put in (("ours", ours), ("bare", bare)):
            started = time.perf_counter()
            put()
            if number:
                seconds[name].append(time.perf_counter() - started)
            for file in set(_files(made.folder)) - kept:
                file.unlink()
    return seconds


def _files(folder: Path) -> Iterator[Path]:
    """What puts have written."""
    yield from (folder / "host" / "blobs").glob("*/*")
    yield from (folder / "bare").iterdir()


async def put_bare(address: str, certificate: bytes, path: Path, length: int) -> blobs_pb2.BlobInfo:
    """The same stream as ours, with nothing made of it."""

    async def requests() -> AsyncIterator[blobs_pb2.PutRequest]:
        yield blobs_pb2.PutRequest(header=blobs_pb2.PutHeader(id="00" * 16, length=length))
        with path.open("rb") as file:
            while chunk := file.read(MAX_CHUNK):
                yield blobs_pb2.PutRequest(chunk=chunk)

    async with connected(address, certificate, own=True) as channel:
        return await blobs_pb2_grpc.BlobsStub(channel).Put(requests())


if __name__ == "__main__":
    small = arguments(__doc__).parse_args().small
    tell(run(16 * MIB, 1) if small else run(LENGTH, 5))
